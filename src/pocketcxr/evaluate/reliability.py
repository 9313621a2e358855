"""How far probabilities can be taken at their word: reliability curve, expected calibration error, Brier score.

ECE: sum over bins of the share of images times |share with the finding - mean probability| (Naeini et al., AAAI 2015).
Equal-mass bins hold equal numbers of images, equal-width bins cut 0..1 evenly; most chest findings are rare, so nearly
all images fall into the first equal-width bins. Brier: mean squared difference of probability and label, split without
bins by isotonic regression (Dimitriadis, Gneiting and Jordan, PNAS 2021, equation 3).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.optimize import isotonic_regression

from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES, Estimate, estimate, patient_weights
from pocketcxr.evaluate.labelled_logits import OneFinding

NUM_BINS = 15
"""As Guo et al. 2017; fewer where a bin would hold fewer than MIN_IN_BIN images."""
MIN_IN_BIN = 20


class ReliabilityBin(BaseModel, frozen=True, extra="forbid"):
    """Images of like probability."""

    num_images: int
    mean_probability: float
    observed: Estimate
    """Share of them that have the finding."""


class BrierParts(BaseModel, frozen=True, extra="forbid"):
    """brier = miscalibration - discrimination + uncertainty, exactly."""

    miscalibration: float
    """What the best rising recalibration of these very images would take off; 0 is best."""
    discrimination: float
    """What telling images apart gains over the prevalence for all."""
    uncertainty: float
    """prevalence * (1 - prevalence): of the images, not of the model."""


class Reliability(BaseModel, frozen=True, extra="forbid"):
    """One finding's figures on one cohort, with 95 % patient-bootstrap intervals.

    ECE is never negative, so noise lifts it: its intervals lie high where images are few.
    """

    num_images: int
    num_positives: int
    mean_probability: float
    prevalence: float
    ece_equal_mass: Estimate
    ece_equal_width: Estimate
    brier: Estimate
    brier_parts: BrierParts
    curve: tuple[ReliabilityBin, ...]
    """Equal-mass bins by rising probability."""


class _Bins(NamedTuple):
    """`of` [m]: the bin of each image; bins 0..num - 1, some may be empty."""

    of: NDArray[np.intp]
    num: int


def reliability(
    images: OneFinding,
    probabilities: NDArray[np.float64],
    rng: np.random.Generator,
    num_resamples: int = NUM_RESAMPLES,
) -> Reliability:
    """The figures of `probabilities` [m], one for each image of `images`, which are of both kinds."""
    labels = images.is_present.astype(np.float64)
    mass, width = equal_mass(probabilities), equal_width(probabilities)
    ones = np.ones((1, len(labels)))
    point = [*_eces(probabilities, labels, (mass, width), ones), _mean_squares(probabilities, labels, ones)]
    blocks, observed_blocks = [], []
    for weights in patient_weights(images.patient_ids, rng, num_resamples):
        figures = [*_eces(probabilities, labels, (mass, width), weights), _mean_squares(probabilities, labels, weights)]
        blocks.append(np.stack(figures, axis=1))
        observed_blocks.append(_observed(labels, mass, weights))
    resampled = np.concatenate(blocks)
    mass_error, width_error, brier = (estimate(float(point[k][0]), resampled[:, k]) for k in range(3))
    return Reliability(
        num_images=len(labels),
        num_positives=images.num_present,
        mean_probability=float(probabilities.mean()),
        prevalence=float(labels.mean()),
        ece_equal_mass=mass_error,
        ece_equal_width=width_error,
        brier=brier,
        brier_parts=brier_parts(probabilities, images.is_present),
        curve=_curve(probabilities, labels, mass, np.concatenate(observed_blocks)),
    )


def expected_calibration_error(probabilities: NDArray[np.float64], is_present: NDArray[np.bool_], bins: _Bins) -> float:
    """The ECE of images [m] in these bins (`equal_mass` or `equal_width`)."""
    return float(_eces(probabilities, is_present.astype(np.float64), (bins,), np.ones((1, len(probabilities))))[0][0])


def equal_mass(probabilities: NDArray[np.float64]) -> _Bins:
    """Bins of equal numbers of images; images of equal probability share one, so that their order says nothing."""
    num = int(np.clip(len(probabilities) // MIN_IN_BIN, 1, NUM_BINS))
    first_of_equals = np.searchsorted(np.sort(probabilities), probabilities, side="left")
    return _Bins(first_of_equals * num // len(probabilities), num)


def equal_width(probabilities: NDArray[np.float64], num: int = NUM_BINS) -> _Bins:
    """Bins [0, 1 / num), ..., [1 - 1 / num, 1]."""
    return _Bins(np.minimum((probabilities * num).astype(np.intp), num - 1), num)


def brier_parts(probabilities: NDArray[np.float64], is_present: NDArray[np.bool_]) -> BrierParts:
    """The Brier score's three parts, without bins."""
    values, groups, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    shares = np.bincount(groups, weights=is_present, minlength=len(values)) / counts
    best = isotonic_regression(shares, weights=counts).x[groups]
    labels = is_present.astype(np.float64)
    prevalence = float(labels.mean())
    brier, brier_best = float(((probabilities - labels) ** 2).mean()), float(((best - labels) ** 2).mean())
    uncertainty = prevalence * (1 - prevalence)
    return BrierParts(
        miscalibration=brier - brier_best, discrimination=uncertainty - brier_best, uncertainty=uncertainty
    )


def _eces(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.float64],
    binnings: Sequence[_Bins],
    weights: NDArray[np.float64],
) -> list[NDArray[np.float64]]:
    """The ECE [r] under each weighting of `weights` [r, m], for each way of binning."""
    gaps, totals = weights * (probabilities - labels), weights.sum(axis=1)
    return [np.abs(gaps @ _membership(bins)).sum(axis=1) / totals for bins in binnings]


def _mean_squares(
    probabilities: NDArray[np.float64], labels: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    means: NDArray[np.float64] = weights @ (probabilities - labels) ** 2 / weights.sum(axis=1)
    return means


def _observed(labels: NDArray[np.float64], bins: _Bins, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """[r, bin]: the share with the finding; NaN in a bin without images."""
    membership = _membership(bins)
    totals = weights @ membership
    shares: NDArray[np.float64] = np.divide(
        (weights * labels) @ membership, totals, out=np.full(totals.shape, np.nan), where=totals > 0
    )
    return shares


def _membership(bins: _Bins) -> NDArray[np.float64]:
    """[m, bin]: 1 where the image lies in the bin."""
    membership: NDArray[np.float64] = (bins.of[:, None] == np.arange(bins.num)).astype(np.float64)
    return membership


def _curve(
    probabilities: NDArray[np.float64], labels: NDArray[np.float64], bins: _Bins, resampled: NDArray[np.float64]
) -> tuple[ReliabilityBin, ...]:
    return tuple(
        ReliabilityBin(
            num_images=int((bins.of == one).sum()),
            mean_probability=float(probabilities[bins.of == one].mean()),
            observed=estimate(float(labels[bins.of == one].mean()), resampled[:, one]),
        )
        for one in np.unique(bins.of)
    )
