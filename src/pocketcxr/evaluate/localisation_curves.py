"""One heatmap against one region at every threshold: intersection over union, and average precision of its pixels.

Both need each pixel's rank only, so the pixels are sorted once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Thresholds tried, as shares of the heatmap's largest value: 0.05 to 0.95. (CheXlocalize tries 0.2 to 0.8 in steps of
0.1: tune_heatmap_threshold.py of rajpurkarlab/cheXlocalize.)"""


@dataclass(frozen=True, eq=False)
class Ranked:
    """A heatmap's values, ascending, as far as they count."""

    inside: NDArray[np.floating]
    """[n > 0]: all in the region."""
    outside: NDArray[np.floating]
    """[m]: those outside of it that reach the lowest one inside or the lowest threshold; no other is ever counted."""
    thresholds: NDArray[np.floating] | None
    """[level]: LEVELS of the largest value; None where nothing is positive."""


def ranked(heatmap: NDArray[np.floating], mask: NDArray[np.bool_]) -> Ranked:
    """The heatmap's values sorted, inside the mask and outside of it; both [h, w], the mask not empty."""
    inside, outside = np.sort(heatmap[mask]), heatmap[~mask]
    largest, least = float(heatmap.max()), inside[0]
    thresholds = None
    if largest > 0:
        # In the heatmap's own precision: the largest value is never below its own threshold.
        thresholds = (np.asarray(LEVELS) * largest).astype(heatmap.dtype)
        least = min(least, thresholds[0])
    return Ranked(inside, np.sort(outside[outside >= least]), thresholds)


def average_precision(values: Ranked) -> float:
    """Area under the precision-recall curve of "this pixel shows the finding", as scikit-learn steps through it.

    A flat heatmap has the region's share of the image. Per image, as in Arun et al., Radiology: AI 2021 (their AUPRC).
    """
    # Each pixel of the region counts with the precision at its own value; equal ones enter together.
    taken_inside = len(values.inside) - np.searchsorted(values.inside, values.inside, side="left")
    taken_outside = len(values.outside) - np.searchsorted(values.outside, values.inside, side="left")
    return float((taken_inside / (taken_inside + taken_outside)).mean())


def ious(values: Ranked) -> NDArray[np.float64]:
    """[level]: intersection over union of the region and the pixels of at least each of LEVELS times the largest value.

    A heatmap without a positive value outlines nothing: 0 at every level.
    """
    if values.thresholds is None:
        return np.zeros(len(LEVELS))
    intersection = len(values.inside) - np.searchsorted(values.inside, values.thresholds, side="left")
    excess = len(values.outside) - np.searchsorted(values.outside, values.thresholds, side="left")
    answer: NDArray[np.float64] = intersection / (len(values.inside) + excess)
    return answer
