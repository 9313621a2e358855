"""Uncertainty from the patients at hand: the patient-level percentile bootstrap.

Images of one patient resemble each other, so patients are drawn with replacement, each with all of its images (Efron
and Tibshirani 1993, chapter 8). What the intervals mean, and what they leave out, is in docs/explanation/evaluation.md.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

NUM_RESAMPLES = 2000
CONFIDENCE = 0.95
MIN_RESAMPLES = 40  # fewer do not reach into a tail of 2.5 %
CHUNK_ELEMENTS = 1_000_000  # resamples x images held at once: 8 MB an array


class Estimate(BaseModel, frozen=True, extra="forbid"):
    """A figure with its 95 % interval; the interval is None where too few resamples define it."""

    value: float
    low: float | None
    high: float | None
    num_dropped: int = 0
    """Resamples in which the figure was undefined (for instance: no patient with the finding was drawn)."""

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def patient_weights(
    patient_ids: Sequence[str],
    rng: np.random.Generator,
    num_resamples: int = NUM_RESAMPLES,
    chunk_elements: int = CHUNK_ELEMENTS,
) -> Iterator[NDArray[np.float64]]:
    """How often each image counts in each resample: blocks [r, n] with `num_resamples` rows in all.

    As many patients are drawn as there are, and every image weighs as often as its patient was drawn. The rows are the
    same for every `chunk_elements`.
    """
    names, patients = np.unique(np.asarray(patient_ids), return_inverse=True)
    rows_at_once = max(1, chunk_elements // max(1, len(patients)))
    for start in range(0, num_resamples, rows_at_once):
        num_rows = min(rows_at_once, num_resamples - start)
        drawn = rng.integers(len(names), size=(num_rows, len(names)))
        drawn += np.arange(num_rows)[:, None] * len(names)
        counts = np.bincount(drawn.ravel(), minlength=num_rows * len(names)).reshape(num_rows, len(names))
        yield counts[:, patients].astype(np.float64)


def estimate(value: float, resampled: NDArray[np.float64]) -> Estimate:
    """`value` with the percentile interval of its resampled values [r]; NaN ones are dropped and counted."""
    defined = resampled[~np.isnan(resampled)]
    num_dropped = len(resampled) - len(defined)
    if len(defined) < MIN_RESAMPLES:
        return Estimate(value=value, low=None, high=None, num_dropped=num_dropped)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Estimate(value=value, low=float(low), high=float(high), num_dropped=num_dropped)


def estimate_each(values: NDArray[np.float64], resampled: NDArray[np.float64]) -> list[Estimate | None]:
    """One estimate a column of `resampled` [r, k]; None where the value itself is NaN."""
    return [
        None if np.isnan(value) else estimate(float(value), column)
        for value, column in zip(values, resampled.T, strict=True)
    ]


def estimate_mean(values: NDArray[np.float64], resampled: NDArray[np.float64]) -> Estimate | None:
    """The mean over the defined `values` [k] with its interval from `resampled` [r, k]; None where none is defined."""
    mean = resampled_mean(values, resampled)
    return None if mean is None else estimate(float(values[~np.isnan(values)].mean()), mean)


def resampled_mean(values: NDArray[np.float64], resampled: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The mean over the defined `values` [k] in every resample [r] of `resampled` [r, k]; None where none is defined.

    A resample that lacks one rare finding takes the mean deviation of the others: leaving the finding out of the mean
    itself would make the mean jump by how hard that finding is, which is no uncertainty of the model's.
    """
    defined = ~np.isnan(values)
    if not defined.any():
        return None
    deviations = resampled[:, defined] - values[defined]
    known = ~np.isnan(deviations)
    counts = known.sum(axis=1)
    sums = np.where(known, deviations, 0).sum(axis=1)
    shifts: NDArray[np.float64] = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    means: NDArray[np.float64] = values[defined].mean() + shifts
    return means
