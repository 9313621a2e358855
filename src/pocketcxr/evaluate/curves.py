"""Areas under the ROC and the precision-recall curve, for many weightings of the same images at once.

A bootstrap resample is a weighting (how often each image was drawn), so an image set is sorted once and every resample
is a row of one cumulative sum. Definitions, ties included, are scikit-learn's `roc_auc_score` and
`average_precision_score` with `sample_weight`; the tests hold the two together.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Areas(NamedTuple):
    """One value a weighting [r]; NaN where a class has no weight."""

    auroc: NDArray[np.float64]
    auprc: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RankedImages:
    """The images with a known label for one finding, by rising score, with what the areas need of ties.

    `rows` [m] are the images' rows in the cohort; `positives` [p] the positions (0..m) of the images that have the
    finding. For each of those, `tie_start` and `tie_end` [p] bound the images of equal score, and `rank_start` and
    `rank_end` [p] count the positives before those bounds.
    """

    rows: NDArray[np.intp]
    positives: NDArray[np.intp]
    tie_start: NDArray[np.intp]
    tie_end: NDArray[np.intp]
    rank_start: NDArray[np.intp]
    rank_end: NDArray[np.intp]


def by_score(labels: NDArray[np.floating], scores: NDArray[np.floating]) -> RankedImages | None:
    """The images [n] in order; None where both classes are not there or the scores are NaN (never learnt)."""
    known = np.flatnonzero(~np.isnan(labels))
    num_positives = int((labels[known] == 1).sum())
    if num_positives in {0, len(known)} or np.isnan(scores[known]).any():
        return None
    rows = known[np.argsort(scores[known], kind="stable")]
    ordered = scores[rows]
    positives = np.flatnonzero(labels[rows] == 1)
    tie_start = np.searchsorted(ordered, ordered[positives], side="left")
    tie_end = np.searchsorted(ordered, ordered[positives], side="right")
    return RankedImages(
        rows=rows,
        positives=positives,
        tie_start=tie_start,
        tie_end=tie_end,
        rank_start=np.searchsorted(positives, tie_start),
        rank_end=np.searchsorted(positives, tie_end),
    )


def areas(ranked: RankedImages, weights: NDArray[np.float64]) -> Areas:
    """AUROC and average precision for every row of `weights` [r, n] (one weight an image of the cohort)."""
    of_known = weights[:, ranked.rows]
    of_positives = of_known[:, ranked.positives]
    before = _sums_before(of_known)
    positives_before = _sums_before(of_positives)
    total, total_positive = before[:, -1:], positives_before[:, -1:]

    lower = before[:, ranked.tie_start] - positives_before[:, ranked.rank_start]
    lower_or_tied = before[:, ranked.tie_end] - positives_before[:, ranked.rank_end]
    pairs_won = np.einsum("rp,rp->r", of_positives, (lower + lower_or_tied) / 2)

    # A threshold at a positive's own score calls every image of that score or more.
    called = total - before[:, ranked.tie_start]
    called_positive = total_positive - positives_before[:, ranked.rank_start]
    precision = np.divide(called_positive, called, out=np.zeros_like(called), where=called > 0)
    precision_sum = np.einsum("rp,rp->r", of_positives, precision)

    positive, negative = total_positive[:, 0], (total - total_positive)[:, 0]
    defined = (of_positives > 0).any(axis=1) & (negative > 1e-9 * total[:, 0])
    auroc, auprc = np.full(len(weights), np.nan), np.full(len(weights), np.nan)
    np.divide(pairs_won, positive * negative, out=auroc, where=defined)
    np.divide(precision_sum, positive, out=auprc, where=defined)
    return Areas(auroc, auprc)


def roc_points(labels: NDArray[np.floating], scores: NDArray[np.floating]) -> NDArray[np.float64] | None:
    """The ROC curve [k, 2] as (false positive rate, true positive rate) from (0, 0) to (1, 1); None where undefined."""
    ranked = by_score(labels, scores)
    if ranked is None:
        return None
    is_positive = np.zeros(len(ranked.rows), dtype=bool)
    is_positive[ranked.positives] = True
    falling = scores[ranked.rows][::-1]
    ends_tie = np.append(falling[1:] != falling[:-1], True)
    true = np.cumsum(is_positive[::-1])[ends_tie] / is_positive.sum()
    false = np.cumsum(~is_positive[::-1])[ends_tie] / (~is_positive).sum()
    return np.concatenate([[[0.0, 0.0]], np.stack([false, true], axis=1)])


def _sums_before(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """[r, k + 1]: entry j is the sum of the first j columns of `weights` [r, k]."""
    sums = np.zeros((weights.shape[0], weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums
