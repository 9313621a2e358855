"""What a model makes of one thing added to a picture that is otherwise the same: a finding, or a device.

Of a finding its probability should rise, and its heatmap should rise where the picture changed. A device is no finding:
it should change neither. Pairs of such pictures exist where pictures are computed, so the figures speak of phantoms.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.study import Box
from pocketcxr.evaluate.heatmaps import inside, pointing_game

Heatmap = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Seen:
    """What the model says of one picture, by finding. heatmaps: [height, width], placed on the picture."""

    logits: dict[str, float]
    heatmaps: dict[str, Heatmap]


@dataclass(frozen=True, eq=False)
class ConceptPair:
    """One patient's picture without and with one thing, as the model sees both.

    thing: a finding of the model, or a device. findings: whose answers are looked at: a finding's own, all for a
    device. region: [height, width], where the picture visibly changed. boxes: where the thing is, in pixels. Raises
    ManifestError where an answer is missing or a heatmap has another size.
    """

    patient_id: str
    thing: str
    findings: tuple[str, ...]
    without: Seen
    with_thing: Seen
    region: Mask
    boxes: tuple[Box, ...]

    def __post_init__(self) -> None:
        where = f"concepts: {self.thing} in {self.patient_id}"
        for seen in (self.without, self.with_thing):
            for finding in self.findings:
                if finding not in seen.logits or finding not in seen.heatmaps:
                    raise ManifestError(f"{where}: the model says nothing of {finding}; name findings that it learnt")
                if seen.heatmaps[finding].shape != self.region.shape:
                    raise ManifestError(
                        f"{where}: the heatmap of {finding} is {seen.heatmaps[finding].shape} and the picture"
                        f" {self.region.shape}; place it on the picture first"
                    )


@dataclass(frozen=True)
class Reaction:
    """What adding `thing` to one patient's picture did to the answer for `finding`; NaN is undefined."""

    patient_id: str
    thing: str
    finding: str
    logit_change: float
    probability_change: float
    energy: float
    """Share of the heatmap's rise that lies in the region; NaN where it rose nowhere."""
    energy_of_other: float
    """The same of the heatmap's rise in the patient before, to whom the same thing was added elsewhere."""
    area: float
    """Share of the picture that the region covers: `energy` of a rise everywhere alike."""
    drawn: float
    """Share of the heatmap's positive energy in the region, with minus without the thing."""
    is_pointed: float
    """1 where the heatmap rose most inside the boxes, else 0; NaN where it rose nowhere."""
    is_pointed_by_other: float
    """The same of the rise in the patient before."""
    box_area: float
    """Share of the picture that the boxes cover."""

    @property
    def is_own(self) -> bool:
        """Whether the thing is the finding itself."""
        return self.thing == self.finding


def reactions(pairs: Iterable[ConceptPair]) -> list[Reaction]:
    """One reaction for each pair and each finding that it is looked at for, in order; no heatmap is kept.

    `pairs` may be a generator. The first patient of each thing has no patient before.
    """
    memory = _Memory()
    return [_reaction(pair, finding, memory) for pair in pairs for finding in pair.findings]


@dataclass
class _Memory:
    """The last patient's rise for each thing and finding."""

    rises: dict[tuple[str, str], Heatmap] = field(default_factory=dict)


def _reaction(pair: ConceptPair, finding: str, memory: _Memory) -> Reaction:
    before, after = pair.without.heatmaps[finding], pair.with_thing.heatmaps[finding]
    rise = np.maximum(after - before, 0)
    other = memory.rises.get((pair.thing, finding))
    if other is not None and other.shape != rise.shape:
        other = None
    memory.rises[pair.thing, finding] = rise
    logits = pair.without.logits[finding], pair.with_thing.logits[finding]
    return Reaction(
        patient_id=pair.patient_id,
        thing=pair.thing,
        finding=finding,
        logit_change=logits[1] - logits[0],
        probability_change=_probability(logits[1]) - _probability(logits[0]),
        energy=_share(rise, pair.region),
        energy_of_other=np.nan if other is None else _share(other, pair.region),
        area=float(pair.region.mean()),
        drawn=_share(np.maximum(after, 0), pair.region) - _share(np.maximum(before, 0), pair.region),
        is_pointed=_pointed(rise, pair.boxes),
        is_pointed_by_other=np.nan if other is None else _pointed(other, pair.boxes),
        box_area=float(inside(pair.boxes, *pair.region.shape).mean()),
    )


def _probability(logit: float) -> float:
    return float(0.5 * (1 + np.tanh(0.5 * logit)))  # the sigmoid, without overflow


def _share(positive: Heatmap, region: Mask) -> float:
    """Share of non-negative values in the region; NaN where all are zero."""
    total = float(positive.sum(dtype=np.float64))
    return float(positive[region].sum(dtype=np.float64)) / total if total > 0 else np.nan


def _pointed(rise: Heatmap, boxes: tuple[Box, ...]) -> float:
    return float(pointing_game(rise, boxes)) if rise.any() else np.nan
