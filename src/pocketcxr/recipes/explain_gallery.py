"""Which pictures of a cohort are shown: hits, misses and confident errors, by a rule that is printed beside them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

Group = Literal["hit", "miss", "confident-wrong"]
RULE = (
    "In each group: of every finding the image with the highest probability, the most probable findings first; then "
    "of every finding the second. These are the extremes, not typical images."
)
TITLE: dict[Group, str] = {"hit": "Hits", "miss": "Misses", "confident-wrong": "Confident errors"}
MEANING: dict[Group, str] = {
    "hit": "The finding is there, and the hottest point lies in its marked region.",
    "miss": "The finding is there, and the hottest point lies elsewhere: perhaps the right answer for a wrong reason.",
    "confident-wrong": "The label says that the finding is absent, and the model is surest of it: the heatmap shows "
    "where the wrong answer comes from, and looks no less convincing.",
}


@dataclass(frozen=True)
class Seen:
    """One finding of one image as the first method explained it."""

    image_id: str
    finding: str
    probability: float
    group: Group


def choose(seen: Iterable[Seen], num_each: int) -> dict[Group, tuple[Seen, ...]]:
    """At most `num_each` of every group, by RULE; equal probabilities in the order of findings and image ids."""
    by_group: dict[Group, list[Seen]] = {group: [] for group in MEANING}
    for one in seen:
        by_group[one.group].append(one)
    return {group: tuple(_in_turn(of_group)[:num_each]) for group, of_group in by_group.items()}


def _in_turn(seen: Sequence[Seen]) -> list[Seen]:
    """The most probable of each finding, then the second of each, and so on; within a turn the most probable first."""
    ordered = sorted(seen, key=lambda one: (one.finding, -one.probability, one.image_id))
    ranked = [
        (rank, one)
        for _, of_finding in groupby(ordered, lambda one: one.finding)
        for rank, one in enumerate(of_finding)
    ]
    return [one for _, one in sorted(ranked, key=lambda pair: (pair[0], -pair[1].probability))]
