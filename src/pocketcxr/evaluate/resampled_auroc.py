"""AUROC in thousands of patient resamples, for many models of the same images: exact, and fast enough for a grid.

The areas are those of curves.py (the tests hold the two together). What makes them faster: resamples lie beside each
other in memory, so that images are sorted by copying whole rows of small integers, and only the places where a positive
image stands are summed up to.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.errors import UsageError
from pocketcxr.evaluate.bootstrap import patient_weights

Counts = NDArray[np.unsignedinteger]
"""[image, resample]: how often each image counts in each resample."""

_AT_ONCE = 256
"""Resamples summed together: a block of some thousand images then fits a processor's cache."""


def draw_counts(patient_ids: Sequence[str], rng: np.random.Generator, num_resamples: int) -> Counts:
    """The resamples of `bootstrap.patient_weights`, turned round.

    Raises UsageError where `num_resamples` is not positive.
    """
    if num_resamples < 1:
        raise UsageError(f"bootstrap: {num_resamples} resamples asked for; ask for at least 1 (2000 is the default)")
    blocks = [block.astype(np.uint32) for block in patient_weights(patient_ids, rng, num_resamples)]
    largest = max(int(block.sum(axis=1).max()) for block in blocks)
    # Sums over images must fit: half the bytes take half the time.
    small = np.uint16 if largest <= np.iinfo(np.uint16).max else np.uint32
    return np.concatenate([block.T.astype(small) for block in blocks], axis=1)


def resampled_auroc(
    labels: NDArray[np.floating], scores: NDArray[np.floating], counts: Counts
) -> NDArray[np.float64] | None:
    """AUROC [resample] of one finding [image], NaN where a resample lacks a class.

    None where the known labels are not of both classes or a score is NaN (never learnt).
    """
    positives, negatives = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    if (
        not len(positives)
        or not len(negatives)
        or np.isnan(scores[positives]).any()
        or np.isnan(scores[negatives]).any()
    ):
        return None
    negatives = negatives[np.argsort(scores[negatives], kind="stable")]
    ordered = scores[negatives]
    lower = np.searchsorted(ordered, scores[positives], side="left")
    lower_or_tied = np.searchsorted(ordered, scores[positives], side="right")
    cuts = np.unique(np.concatenate([[0, len(negatives)], lower, lower_or_tied]))
    bounds = np.searchsorted(cuts, lower), np.searchsorted(cuts, lower_or_tied)
    blocks = [
        _areas(counts[:, start : start + _AT_ONCE], (positives, negatives), cuts, bounds)
        for start in range(0, counts.shape[1], _AT_ONCE)
    ]
    return np.concatenate(blocks)


def _areas(
    counts: Counts,
    rows: tuple[NDArray[np.intp], NDArray[np.intp]],
    cuts: NDArray[np.intp],
    bounds: tuple[NDArray[np.intp], NDArray[np.intp]],
) -> NDArray[np.float64]:
    """One block's areas. `cuts` are places in the sorted negatives, `bounds` the cuts below and above each positive."""
    positives, negatives = (counts.take(part, axis=0) for part in rows)
    below = np.zeros((len(cuts), counts.shape[1]), np.uint32)
    np.cumsum(np.add.reduceat(negatives, cuts[:-1], axis=0), axis=0, out=below[1:], dtype=np.uint32)
    doubled = below.take(bounds[0], axis=0) + below.take(bounds[1], axis=0)
    won = np.einsum("pr,pr->r", positives, doubled, dtype=np.float64) / 2
    pairs = positives.sum(axis=0, dtype=np.float64) * below[-1]
    areas: NDArray[np.float64] = np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)
    return areas
