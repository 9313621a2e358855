"""Means of figures that belong to pairs of image and finding: by finding, and over the findings.

Differences are columns like any other: put the difference of two methods beside both, and its interval is paired.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.errors import EmptyCohortError
from pocketcxr.domain.findings import place_in_order
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES, Estimate, estimate_each, estimate_mean
from pocketcxr.evaluate.patient_means import patient_means


@dataclass(frozen=True, eq=False)
class PairMeans:
    """Means of every column with patient-bootstrap intervals; None where no pair defines the column."""

    by_finding: dict[str, tuple[Estimate | None, ...]]
    """In the order of the glossary."""
    mean: tuple[Estimate | None, ...]
    """Unweighted means over the findings that have a figure."""


def pair_means(
    columns: NDArray[np.float64],
    findings: Sequence[str],
    patient_ids: Sequence[str],
    rng: np.random.Generator,
    num_resamples: int = NUM_RESAMPLES,
) -> PairMeans:
    """The means of `columns` [pair, k], NaN where a pair has no such figure; `findings` and `patient_ids` are by pair.

    One drawing of patients serves all findings and columns. Raises EmptyCohortError where there is no pair.
    """
    if not len(columns):
        raise EmptyCohortError("there is no pair of image and finding to average; choose images with marked findings")
    names = sorted(set(findings), key=place_in_order)
    is_of = np.asarray(findings) == np.array(names)[:, None]
    spread = np.where(is_of[:, :, None], columns, np.nan)
    beside = np.moveaxis(spread, 0, 1).reshape(len(columns), -1)
    means = patient_means(beside, patient_ids, rng, num_resamples)
    values = means.values.reshape(len(names), -1)
    resampled = means.resampled.reshape(len(means.resampled), len(names), -1)
    return PairMeans(
        by_finding={name: tuple(estimate_each(values[i], resampled[:, i])) for i, name in enumerate(names)},
        mean=tuple(estimate_mean(values[:, k], resampled[:, :, k]) for k in range(values.shape[1])),
    )
