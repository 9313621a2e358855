"""What somebody must know before they train on a data set or believe a score on it, in sentences."""

from collections.abc import Sequence

from pocketcxr.domain.study import Split
from pocketcxr.manifest.card_content import UNKNOWN, DataCard, FindingCard, SplitCard, spoken

MIN_POSITIVES = 20
"""Fewer positive test images give an AUROC whose interval is as wide as the difference of any two models."""
MIN_PATIENTS = 50
"""Intervals are drawn over patients: fewer of them, and the interval itself is a guess."""
MAX_UNKNOWN_AGES = 0.2
MAX_UNCERTAIN = 0.1

TRAIN, VALIDATION, TEST = (split.value for split in Split)


def warnings(card: DataCard) -> tuple[str, ...]:
    """The warnings, the gravest first; none where nothing is wrong."""
    filled = {name: split for name, split in card.splits.items() if split.num_images}
    return tuple(
        sentence
        for sentence in (
            *_of_splits(card, filled),
            *_of_positives(card.findings, filled),
            *_of_views(filled),
            *_of_states(card.findings),
            *_of_people(card),
        )
        if sentence
    )


def _of_splits(card: DataCard, filled: dict[str, SplitCard]) -> list[str]:
    told = []
    if empty := [name for name in card.splits if name not in filled]:
        told.append(f"No image is in {_listed(empty)}.")
    if TEST in filled and filled[TEST].num_patients < MIN_PATIENTS:
        told.append(
            f"Test holds only {filled[TEST].num_patients} {_plural('patient', filled[TEST].num_patients)}, however "
            "many images they have: intervals over patients will be wide or not to be trusted."
        )
    return told


def _of_positives(findings: Sequence[FindingCard], filled: dict[str, SplitCard]) -> list[str]:
    told = []
    if TEST in filled:
        few = {one.finding: one.splits[TEST].present for one in findings if one.splits[TEST].present < MIN_POSITIVES}
        if few:
            counted = _listed([f"{spoken(name)} ({count})" for name, count in few.items()])
            told.append(
                f"Fewer than {MIN_POSITIVES} positive test images: {counted}. Their scores will say next to nothing."
            )
        one_sided = [one.finding for one in findings if one.splits[TEST].present and not one.splits[TEST].absent]
        if one_sided:
            told.append(f"No negative test image is known for {_names(one_sided)}: they cannot be scored.")
    if VALIDATION in filled and (unseen := [one.finding for one in findings if not one.splits[VALIDATION].present]):
        told.append(f"No positive validation image: {_names(unseen)}. Nothing can be chosen or calibrated by them.")
    if TRAIN in filled and (unlearnt := [one.finding for one in findings if not one.splits[TRAIN].present]):
        told.append(f"No positive training image: {_names(unlearnt)}. A model cannot learn them here.")
    return told


def _of_views(filled: dict[str, SplitCard]) -> list[str]:
    seen = {name: [view for view, count in split.views.items() if count] for name, split in filled.items()}
    told = []
    if len({tuple(views) for views in seen.values()}) > 1:
        told += [f"Every image in {name} is {views[0]}." for name, views in seen.items() if len(views) == 1]
    if TRAIN in seen and TEST in seen and (new := [view for view in seen[TEST] if view not in seen[TRAIN]]):
        told.append(f"Test has {_listed(new)} images, training has none.")
    return told


def _of_states(findings: Sequence[FindingCard]) -> list[str]:
    hedged = []
    for one in findings:
        spoken_of = one.total.num_known + one.total.uncertain
        if spoken_of and one.total.uncertain / spoken_of > MAX_UNCERTAIN:
            hedged.append(f"{spoken(one.finding)} ({100 * one.total.uncertain / spoken_of:.0f} %)")
    told = []
    if hedged:
        told.append(
            f"Often uncertain where they are mentioned: {_listed(hedged)}. What the label policy makes of uncertain "
            "decides what is learnt."
        )
    if unknown := [one.finding for one in findings if not one.total.num_known]:
        told.append(f"No label is known at all for {_names(unknown)}.")
    return told


def _of_people(card: DataCard) -> list[str]:
    num_unknown = sum(split.ages[UNKNOWN] for split in card.splits.values())
    if num_unknown / max(card.num_images, 1) <= MAX_UNKNOWN_AGES:
        return []
    return [f"The age is unknown in {100 * num_unknown / card.num_images:.0f} % of the images."]


def _names(findings: Sequence[str]) -> str:
    return _listed([spoken(finding) for finding in findings])


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
