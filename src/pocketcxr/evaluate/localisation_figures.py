"""Figures of localisation image by image, and their means under the patient bootstrap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketcxr.evaluate.bootstrap import Estimate, estimate, patient_weights, resampled_mean
from pocketcxr.evaluate.localisation_baselines import (
    CENTRE,
    HeatmapScore,
    Observed,
    best_fixed_point,
    fixed_hits,
    mean_heatmap_scores,
)
from pocketcxr.evaluate.localisation_thresholds import Threshold

IOU_HITS: tuple[float, ...] = (0.1, 0.3, 0.5)
"""An outline is a hit from these IoUs on: 0.1 and 0.3 as on chest radiographs, 0.5 as in object detection."""

_MODEL = ("pointing", "pointing_tolerant", "energy", "precision", "iou")
COLUMNS: tuple[str, ...] = (
    *_MODEL,
    *(f"iou_{share}" for share in IOU_HITS),
    *(f"mean_{name}" for name in _MODEL),
    *(f"over_mean_{name}" for name in _MODEL),
    *("centre", "centre_tolerant", "fixed", "fixed_tolerant", "random", "random_tolerant"),
    *("over_centre", "over_fixed"),
)
"""mean_*: of the mean heatmap. over_*: the model's minus theirs."""


_LEAST = tuple(-1.0 if name.startswith("over_") else 0.0 for name in COLUMNS)
"""Shares are 0 to 1, differences -1 to 1; a resampled mean that makes up for a missing finding can leave that."""


@dataclass(frozen=True, eq=False)
class Figures:
    """One finding's figures, image by image."""

    observed: tuple[Observed, ...]
    threshold: Threshold | None
    fixed_point: int
    """The best one, as a flat index of the grid."""
    columns: NDArray[np.float64]
    """[n, column], in the order of COLUMNS; NaN where unknown."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Means over images, and those of every resample."""

    values: NDArray[np.float64]
    """[column]; NaN where undefined."""
    resampled: NDArray[np.float64]
    """[r, column]"""

    def value(self, name: str) -> float:
        """The mean of a column; NaN where undefined."""
        return float(self.values[COLUMNS.index(name)])

    def known(self, name: str) -> float | None:
        """The mean of a column; None where undefined."""
        value = self.value(name)
        return None if np.isnan(value) else value

    def sure(self, name: str) -> Estimate:
        """The mean of a column that is always defined, with its interval."""
        return estimate(self.value(name), self.resampled[:, COLUMNS.index(name)])

    def perhaps(self, name: str) -> Estimate | None:
        """The mean of a column with its interval; None where undefined."""
        return None if np.isnan(self.value(name)) else self.sure(name)


def figures(observed: Sequence[Observed], threshold: Threshold | None) -> Figures:
    """The figures of one finding's samples and of every baseline on them."""
    on_grid = fixed_hits([one.on_grid for one in observed])
    near_grid = fixed_hits([one.near_grid for one in observed])
    point, tolerant_point = best_fixed_point(on_grid), best_fixed_point(near_grid)
    level = None if threshold is None else threshold.level
    mean_level = None if threshold is None else threshold.mean_heatmap_level
    model = _of_heatmaps([one.score for one in observed], level)
    of_mean = _of_heatmaps(mean_heatmap_scores(observed), mean_level)
    iou = model[:, -1:]
    points = np.stack(
        [
            on_grid[:, CENTRE],
            near_grid[:, CENTRE],
            on_grid[:, point],
            near_grid[:, tolerant_point],
            [one.area for one in observed],
            near_grid.mean(axis=1),
        ],
        axis=1,
    ).astype(np.float64)
    iou_hits = np.where(np.isnan(iou), np.nan, iou >= np.array(IOU_HITS))
    over_points = model[:, :1] - points[:, [0, 2]]
    columns = np.concatenate([model, iou_hits, of_mean, model - of_mean, points, over_points], axis=1)
    return Figures(tuple(observed), threshold, point, columns)


def measure(
    findings: Sequence[Figures], rng: np.random.Generator, num_resamples: int
) -> tuple[list[Measured], Measured]:
    """Every finding's means, and their unweighted mean over the findings; one drawing of patients serves all."""
    everyone = [one.patient_id for finding in findings for one in finding.observed]
    ends = np.cumsum([len(finding.observed) for finding in findings])
    parts = [slice(end - len(finding.observed), end) for end, finding in zip(ends, findings, strict=True)]
    values = np.stack([_weighted_means(one.columns, np.ones((1, len(one.columns))))[0] for one in findings])
    blocks = [
        np.stack(
            [_weighted_means(one.columns, weights[:, part]) for one, part in zip(findings, parts, strict=True)], axis=1
        )
        for weights in patient_weights(everyone, rng, num_resamples)
    ]
    resampled = np.concatenate(blocks)
    by_finding = [Measured(values[i], resampled[:, i]) for i in range(len(findings))]
    return by_finding, _mean(values, resampled)


def _of_heatmaps(scores: Sequence[HeatmapScore | None], level: int | None) -> NDArray[np.float64]:
    """[n, 5]: hit, hit with the tolerance, energy, average precision and IoU at the level; NaN where unknown."""
    rows = np.full((len(scores), len(_MODEL)), np.nan)
    for row, score in zip(rows, scores, strict=True):
        if score is not None:
            iou = np.nan if level is None else score.ious[level]
            row[:] = score.is_hit, score.is_near, score.energy, score.precision, iou
    return rows


def _mean(values: NDArray[np.float64], resampled: NDArray[np.float64]) -> Measured:
    """The mean over the findings that have a figure, of `values` [finding, column] and `resampled` [r, ..]."""
    mean = np.full(values.shape[1], np.nan)
    of_resamples = np.full((len(resampled), values.shape[1]), np.nan)
    for column in range(values.shape[1]):
        of_column = resampled_mean(values[:, column], resampled[:, :, column])
        if of_column is not None:
            mean[column] = np.nanmean(values[:, column])
            of_resamples[:, column] = np.clip(of_column, _LEAST[column], 1)
    return Measured(mean, of_resamples)


def _weighted_means(columns: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """[r, column]: the means of the columns [n, column] under each weighting [r, n]; NaN values are left out."""
    known = ~np.isnan(columns)
    sums, totals = weights @ np.where(known, columns, 0), weights @ known.astype(np.float64)
    means: NDArray[np.float64] = np.divide(sums, totals, out=np.full(sums.shape, np.nan), where=totals > 0)
    return means
