"""Calibration: one rising line a finding from logit to calibrated logit, fitted on labelled images.

probability = sigmoid(slope * logit + offset). Temperature scaling (Guo et al., ICML 2017, arXiv 1706.04599, section 4)
has slope 1 / T and offset 0; Platt scaling (Platt 1999, section 2.2) fits both, with targets a little inside 0 and 1.
As the line rises, the order of the images stays, and with it AUROC. Both fits are convex.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from scipy import optimize
from scipy.special import expit

from pocketcxr.evaluate.labelled_logits import LabelledLogits, OneFinding

Method = Literal["platt", "temperature"]

MIN_FOR_PLATT = 20
"""Images with and images without the finding: two parameters from fewer would mostly follow chance."""
MIN_FOR_TEMPERATURE = 10
MAX_SLOPE = 100.0
"""A steeper line says that the images are perfectly separated, and that there are too few to know how steep."""


class FittedLine(BaseModel, frozen=True, extra="forbid"):
    """One finding's calibration."""

    method: Method
    slope: Annotated[float, Field(gt=0, le=MAX_SLOPE)]
    offset: Annotated[float, Field(allow_inf_nan=False)]
    num_images: int
    num_positives: int

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probabilities of logits of any shape."""
        probabilities: NDArray[np.float64] = expit(self.slope * logits + self.offset)
        return probabilities


class NotFitted(BaseModel, frozen=True, extra="forbid"):
    """Why a finding has no calibration."""

    why: str


def fit(images: OneFinding, method: Method = "platt", least: int = MIN_FOR_TEMPERATURE) -> FittedLine | NotFitted:
    """The finding's calibration by `method`, or why there is none.

    Platt scaling falls back to temperature scaling, which has one parameter less, where fewer than MIN_FOR_PLATT images
    with or without the finding are there. Logits that rank no better than chance are not calibrated.
    """
    too_few = images.why_too_few(least)
    if too_few is not None:
        return NotFitted(why=too_few)
    if np.ptp(images.logits) == 0:
        return NotFitted(why="all logits are equal")
    if method == "platt" and images.why_too_few(MIN_FOR_PLATT) is None:
        slope, offset = _platt(images.logits, images.is_present)
    else:
        method, offset = "temperature", 0.0
        slope = _inverse_temperature(images.logits, images.is_present)
    if slope <= 0:
        return NotFitted(why="higher logits do not mean that the finding is likelier here")
    if slope > MAX_SLOPE:
        return NotFitted(why="the images are perfectly separated, so no finite temperature is the best")
    return FittedLine(
        method=method, slope=slope, offset=offset, num_images=len(images.rows), num_positives=images.num_present
    )


def fit_each(data: LabelledLogits, method: Method = "platt") -> dict[str, FittedLine | NotFitted]:
    """Every finding's calibration, or why it has none."""
    return {finding: fit(data.column(finding), method) for finding in data.findings}


def cross_fitted(images: OneFinding, method: Method, num_folds: int = 5, seed: int = 0) -> NDArray[np.float64]:
    """Calibrated probabilities [m] of each image by a fit that never saw its patient.

    Measured on its own images a fit looks better than it is. An image whose fold cannot be fitted has the plain
    sigmoid: what would be told without calibration.
    """
    names, patients = np.unique(np.asarray(images.patient_ids), return_inverse=True)
    folds = (np.random.default_rng(seed).permutation(len(names)) % num_folds)[patients]
    probabilities: NDArray[np.float64] = expit(images.logits)
    for fold in range(num_folds):
        held_out = folds == fold
        line = fit(images.take(~held_out), method)
        if isinstance(line, FittedLine):
            probabilities[held_out] = line.probabilities(images.logits[held_out])
    return probabilities


def platt_targets(is_present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Platt's targets: (N+ + 1) / (N+ + 2) for images with the finding, 1 / (N- + 2) for those without.

    They keep the slope finite where the images are perfectly separated.
    """
    num_present, num_absent = int(is_present.sum()), int((~is_present).sum())
    return np.where(is_present, (num_present + 1) / (num_present + 2), 1 / (num_absent + 2))


def _platt(logits: NDArray[np.float64], is_present: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset that minimise the cross entropy with Platt's targets: convex, by Newton steps."""
    targets = platt_targets(is_present)
    # Logits of spread 1 around 0 make the two parameters of one size, whatever the model's scale.
    centre, spread = float(logits.mean()), float(logits.std())
    design = np.stack([(logits - centre) / spread, np.ones_like(logits)], axis=1)

    def cross_entropy(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        values = design @ parameters
        loss = np.logaddexp(0, values) - targets * values
        return float(loss.mean()), design.T @ (expit(values) - targets) / len(values)

    def curvature(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        probabilities = expit(design @ parameters)
        curved: NDArray[np.float64] = (design.T * (probabilities * (1 - probabilities))) @ design / len(design)
        return curved

    start = np.array([0.0, np.log(targets.mean() / (1 - targets.mean()))])
    found = optimize.minimize(cross_entropy, start, jac=True, hess=curvature, method="trust-exact", tol=1e-9)
    slope, offset = (float(value) for value in found.x)
    return slope / spread, offset - slope * centre / spread


def _inverse_temperature(logits: NDArray[np.float64], is_present: NDArray[np.bool_]) -> float:
    """The slope 1 / T of least cross entropy, where its derivative is zero; -inf or inf where that is nowhere."""

    def derivative(slope: float) -> float:
        return float(((expit(slope * logits) - is_present) * logits).mean())

    if derivative(0.0) >= 0:
        return -np.inf
    if derivative(MAX_SLOPE) <= 0:
        return np.inf
    return float(optimize.brentq(derivative, 0.0, MAX_SLOPE, xtol=1e-12))
