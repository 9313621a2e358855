"""Pairs of an image and a finding whose heatmap is to be judged, how finely, and what comes out of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from pocketcxr.domain.errors import ManifestError

Metric = Literal["deletion", "insertion", "road", "infidelity", "max_sensitivity"]
METRICS: tuple[Metric, ...] = get_args(Metric)
HIGHER_IS_BETTER: frozenset[Metric] = frozenset({"insertion", "road"})
Role = Literal["heatmap", "random", "fixed"]
ROLES: tuple[Role, ...] = get_args(Role)

Share = Annotated[float, Field(gt=0, lt=1)]


class FaithfulnessSettings(BaseModel, frozen=True, extra="forbid"):
    """How finely to measure; the cost of a pair is `passes`."""

    num_steps: Annotated[int, Field(ge=2)] = 16
    """Equal shares in which deletion and insertion move the pixels."""
    road_fractions: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.1, 0.3, 0.5, 0.7, 0.9)
    """Shares of the pixels that ROAD removes."""
    num_squares: Annotated[int, Field(ge=1)] = 50
    """Random squares removed for infidelity."""
    num_nearby: Annotated[int, Field(ge=1)] = 10
    """Images near by whose maps max-sensitivity compares."""

    def passes(self) -> dict[str, int]:
        """Forward passes for one image and finding, baselines included; `explanations` are calls of the method."""
        return {
            "image and blur": 2,
            "deletion and insertion": len(ROLES) * 2 * (self.num_steps - 1),
            "road": len(ROLES) * 2 * len(self.road_fractions),
            "infidelity": self.num_squares,
            "explanations": 1 + self.num_nearby,
        }


@dataclass(frozen=True, eq=False)
class FaithfulnessSample:
    """One finding in one image, and the heatmap that is to be judged.

    Raises ManifestError where the image is not a square model input or the heatmap is not finite numbers on a grid.
    """

    image_id: str
    patient_id: str
    finding: str
    column: int
    """The finding's place in what `Predict` answers."""
    image: NDArray[np.float32]
    """[c, s, s], as the model gets it."""
    heatmap: NDArray[np.float32]
    """[h, w] on its own grid over that square; more means more evidence, signs are kept."""

    def __post_init__(self) -> None:
        where = f"faithfulness: {self.finding} in {self.image_id}"
        if self.image.ndim != 3 or self.image.shape[1] != self.image.shape[2]:
            raise ManifestError(f"{where}: the image is {self.image.shape}, not [c, s, s]; pass what the model gets")
        if self.heatmap.ndim != 2 or self.heatmap.size == 0:
            raise ManifestError(f"{where}: the heatmap is {self.heatmap.shape}; pass one [h, w] for this finding")
        if not np.isfinite(self.heatmap).all():
            raise ManifestError(f"{where}: the heatmap holds NaN or infinity; look at the model's weights")


@dataclass(frozen=True, eq=False)
class FaithfulnessScores:
    """What was measured, pair by pair; images and heatmaps are gone."""

    image_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    findings: tuple[str, ...]
    """One a pair."""
    values: NDArray[np.float64]
    """[pair, role, metric] in the order of ROLES and METRICS; NaN where undefined or not asked for."""
    curves: NDArray[np.float64]
    """[pair, role, 2, step]: probabilities by share deleted, and by share inserted."""
    road_curves: NDArray[np.float64]
    """[pair, role, 2, fraction]: probabilities without the most, and without the least salient pixels."""
    has_mean_map: tuple[bool, ...]
    """Whether a pair's fixed map was its finding's mean heatmap; otherwise a blob in the centre."""
    settings: FaithfulnessSettings
    seed: int


def mean_heatmaps(samples: Iterable[FaithfulnessSample]) -> dict[str, NDArray[np.float32]]:
    """By finding the mean of its heatmaps, raw: what a method says when it looks at no image in particular.

    Take other images than those that are judged, for instance validation images: a mean that contains the judged
    heatmap knows a little of it.
    """
    sums: dict[str, NDArray[np.float64]] = {}
    counts: dict[str, int] = {}
    for sample in samples:
        total = sums.setdefault(sample.finding, np.zeros(sample.heatmap.shape))
        if total.shape != sample.heatmap.shape:
            raise ManifestError(
                f"faithfulness: {sample.finding} in {sample.image_id} has a heatmap of {sample.heatmap.shape}, others"
                f" have {total.shape}; average maps of one method and model input only"
            )
        total += sample.heatmap
        counts[sample.finding] = counts.get(sample.finding, 0) + 1
    return {finding: (total / counts[finding]).astype(np.float32) for finding, total in sums.items()}


def centre_blob(side: int) -> NDArray[np.float32]:
    """A round hill [side, side] in the middle, 1 at its top, a quarter of the side wide (standard deviation)."""
    offset = (np.arange(side) + 0.5) / side - 0.5
    hill: NDArray[np.float32] = np.exp(-np.square([offset]) * 8).astype(np.float32)
    return hill.T @ hill
