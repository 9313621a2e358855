"""Localisation of a cohort: figures by finding, always beside baselines that look at nothing.

Chest findings lie in typical places, so a map that never looks at the image can score well: read every figure beside
the image's centre, the best fixed point and a random point.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr.domain.errors import EmptyCohortError
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.study import Box
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES, Estimate, estimate, estimate_mean, patient_weights
from pocketcxr.evaluate.heatmaps import LocalisationSample, energy_in_box, inside, pointing_game

GRID = 65
"""Fixed points tried along each side; odd, so that the image's centre is one of them."""

_CENTRE = GRID * GRID // 2


class Baselines(BaseModel, frozen=True, extra="forbid"):
    """How often a point that never looks at the image lands in the box."""

    centre: float
    """Of the image's centre."""
    best_fixed_point: float
    """Of the one relative point that hits most often *on these very images*: an oracle, hard to beat."""
    best_fixed_x: float
    """Where it is, as a share of the width."""
    best_fixed_y: float
    """Where it is, as a share of the height."""
    random_point: float
    """The share of the image that the boxes cover, which is also the energy share of a flat heatmap."""


class Localisation(BaseModel, frozen=True, extra="forbid"):
    """One finding's figures."""

    finding: str
    num_images: int
    num_patients: int
    pointing: Estimate
    """Share of images whose hottest pixel lies in a box."""
    energy: Estimate | None
    """Mean share of positive heatmap energy in the boxes; None where no heatmap has any."""
    num_without_energy: int
    """Images left out of `energy`: nothing in the heatmap is positive."""
    over_centre: Estimate
    """`pointing` minus the centre's hit rate, paired."""
    over_best_fixed_point: Estimate
    """`pointing` minus the best fixed point's hit rate, paired."""
    baselines: Baselines


class MeanLocalisation(BaseModel, frozen=True, extra="forbid"):
    """Unweighted means over the findings of the figures and baselines of the same names."""

    num_images: int
    """Pairs of image and finding."""
    num_patients: int
    pointing: Estimate | None
    energy: Estimate | None
    over_centre: Estimate | None
    over_best_fixed_point: Estimate | None
    centre: float
    best_fixed_point: float
    random_point: float


class LocalisationReport(BaseModel, frozen=True, extra="forbid"):
    """Localisation of one model on one cohort."""

    num_resamples: int
    findings: tuple[Localisation, ...]
    mean: MeanLocalisation


def localise(
    samples: Iterable[LocalisationSample], rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES
) -> LocalisationReport:
    """Pointing game and energy in the box by finding and on average, with patient-bootstrap intervals and baselines.

    `samples` may be a generator: no heatmap is kept. Raises EmptyCohortError where there is none.
    """
    observed = [_observe(sample) for sample in samples]
    if not observed:
        raise EmptyCohortError("localisation: no image with a marked finding; choose a split that has regions")
    findings = sorted({one.finding for one in observed}, key=_place_in_order)
    rows = [[row for row, one in enumerate(observed) if one.finding == finding] for finding in findings]
    fixed = [_best_fixed_point([observed[row] for row in of_finding]) for of_finding in rows]
    figures = [
        _figures([observed[row] for row in of_finding], point) for of_finding, point in zip(rows, fixed, strict=True)
    ]
    values = np.array([_weighted_means(figure, np.ones((1, len(figure))))[0] for figure in figures])
    blocks = [
        np.stack([_weighted_means(figure, weights[:, r]) for figure, r in zip(figures, rows, strict=True)], axis=1)
        for weights in patient_weights([one.patient_id for one in observed], rng, num_resamples)
    ]
    resampled = np.concatenate(blocks)
    by_finding = tuple(
        _localisation([observed[row] for row in rows[i]], values[i], resampled[:, i], fixed[i])
        for i in range(len(findings))
    )
    return LocalisationReport(
        num_resamples=num_resamples, findings=by_finding, mean=_mean(observed, by_finding, values, resampled)
    )


@dataclass(frozen=True, eq=False)
class _Observed:
    """What stays of a sample once its heatmap is gone."""

    finding: str
    patient_id: str
    is_hit: bool
    energy: float
    """NaN where the heatmap has no positive energy."""
    area: float
    fixed_hits: NDArray[np.uint8]
    """Which of the GRID x GRID fixed points lie in a box, as packed bits."""


def _observe(sample: LocalisationSample) -> _Observed:
    energy = energy_in_box(sample.heatmap, sample.boxes)
    scale_x, scale_y = GRID / sample.width, GRID / sample.height
    on_grid = [Box(box.x * scale_x, box.y * scale_y, box.w * scale_x, box.h * scale_y) for box in sample.boxes]
    return _Observed(
        finding=sample.finding,
        patient_id=sample.patient_id,
        is_hit=pointing_game(sample.heatmap, sample.boxes),
        energy=np.nan if energy is None else energy,
        area=float(inside(sample.boxes, sample.height, sample.width).mean()),
        fixed_hits=np.packbits(inside(on_grid, GRID, GRID)),
    )


def _fixed_hits(observed: Sequence[_Observed]) -> NDArray[np.uint8]:
    """[n, GRID * GRID]: whether each fixed point hits in each sample."""
    return np.unpackbits(np.stack([one.fixed_hits for one in observed]), axis=1, count=GRID * GRID)


def _best_fixed_point(observed: Sequence[_Observed]) -> int:
    """Flat grid index of the point that hits most often; of equally good ones the nearest to the centre."""
    num_hits = _fixed_hits(observed).sum(axis=0, dtype=np.int64)
    row, column = np.divmod(np.arange(GRID * GRID), GRID)
    distance = np.hypot(row - GRID // 2, column - GRID // 2)
    return int(np.lexsort((distance, -num_hits))[0])


def _figures(observed: Sequence[_Observed], fixed_point: int) -> NDArray[np.float64]:
    """[n, 4]: hit, energy, hit minus the centre's hit, hit minus the best fixed point's hit."""
    hit = np.array([one.is_hit for one in observed], dtype=np.float64)
    energy = np.array([one.energy for one in observed])
    fixed = _fixed_hits(observed)
    return np.stack([hit, energy, hit - fixed[:, _CENTRE], hit - fixed[:, fixed_point]], axis=1)


def _weighted_means(figures: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """[r, 4]: the means of the figures [n, 4] under each weighting [r, n]; NaN figures are left out."""
    known = ~np.isnan(figures)
    sums, totals = weights @ np.where(known, figures, 0), weights @ known.astype(np.float64)
    means: NDArray[np.float64] = np.divide(sums, totals, out=np.full(sums.shape, np.nan), where=totals > 0)
    return means


def _localisation(
    observed: Sequence[_Observed], values: NDArray[np.float64], resampled: NDArray[np.float64], fixed_point: int
) -> Localisation:
    fixed = _fixed_hits(observed)
    row, column = divmod(fixed_point, GRID)
    return Localisation(
        finding=observed[0].finding,
        num_images=len(observed),
        num_patients=len({one.patient_id for one in observed}),
        pointing=estimate(float(values[0]), resampled[:, 0]),
        energy=None if np.isnan(values[1]) else estimate(float(values[1]), resampled[:, 1]),
        num_without_energy=sum(bool(np.isnan(one.energy)) for one in observed),
        over_centre=estimate(float(values[2]), resampled[:, 2]),
        over_best_fixed_point=estimate(float(values[3]), resampled[:, 3]),
        baselines=Baselines(
            centre=float(fixed[:, _CENTRE].mean()),
            best_fixed_point=float(fixed[:, fixed_point].mean()),
            best_fixed_x=(column + 0.5) / GRID,
            best_fixed_y=(row + 0.5) / GRID,
            random_point=float(np.mean([one.area for one in observed])),
        ),
    )


def _mean(
    observed: Sequence[_Observed],
    by_finding: Sequence[Localisation],
    values: NDArray[np.float64],
    resampled: NDArray[np.float64],
) -> MeanLocalisation:
    """The unweighted mean over findings of `values` [finding, 4] and `resampled` [r, finding, 4]."""
    pointing, energy, over_centre, over_fixed = (estimate_mean(values[:, k], resampled[:, :, k]) for k in range(4))
    baselines = [one.baselines for one in by_finding]
    return MeanLocalisation(
        num_images=len(observed),
        num_patients=len({one.patient_id for one in observed}),
        pointing=pointing,
        energy=energy,
        over_centre=over_centre,
        over_best_fixed_point=over_fixed,
        centre=float(np.mean([one.centre for one in baselines])),
        best_fixed_point=float(np.mean([one.best_fixed_point for one in baselines])),
        random_point=float(np.mean([one.random_point for one in baselines])),
    )


def _place_in_order(finding: str) -> tuple[int, str]:
    """Sorts findings as the glossary does, unknown ones by name at the end."""
    return (CHESTXRAY14.index(finding) if finding in CHESTXRAY14 else len(CHESTXRAY14), finding)
