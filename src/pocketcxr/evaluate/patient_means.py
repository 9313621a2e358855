"""Means over images with their patient-bootstrap resamples, many figures at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES, patient_weights


@dataclass(frozen=True, eq=False)
class Means:
    """Means of k figures. values: [k]; resampled: [r, k]. NaN where no image defines the figure."""

    values: NDArray[np.float64]
    resampled: NDArray[np.float64]


def patient_means(
    figures: NDArray[np.float64],
    patient_ids: Sequence[str],
    rng: np.random.Generator,
    num_resamples: int = NUM_RESAMPLES,
) -> Means:
    """The mean of each column of `figures` [n, k] over its defined (not NaN) rows, and in each resample of patients.

    All columns meet the same resamples, so differences and ratios of them are paired.
    """
    names, patients = np.unique(np.asarray(patient_ids), return_inverse=True)
    is_known = ~np.isnan(figures)
    # Patients are drawn whole, so their sums are all that a resample needs.
    sums, counts = np.zeros((2, len(names), figures.shape[1]))
    np.add.at(sums, patients, np.where(is_known, figures, 0))
    np.add.at(counts, patients, is_known)
    blocks = [
        _ratio(weights @ sums, weights @ counts) for weights in patient_weights(names.tolist(), rng, num_resamples)
    ]
    return Means(_ratio(sums.sum(axis=0), counts.sum(axis=0)), np.concatenate(blocks))


def _ratio(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return ratio
