"""Operating points: thresholds on one finding's probability by named criteria, and what they achieve.

An image is called where probability >= threshold. A threshold lies midway between the probabilities of two images, so
that rounding on another machine does not turn the image it was chosen on.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES, Estimate, estimate, patient_weights
from pocketcxr.evaluate.labelled_logits import OneFinding

Criterion = Literal["sensitivity-90", "sensitivity-95", "specificity-90", "youden"]
"""sensitivity-90: the highest threshold that finds at least 90 % of the images with the finding. specificity-90: the
lowest that calls at most 10 % of those without. youden: the largest sensitivity + specificity (Youden 1950); of equal
ones the lowest threshold."""

CRITERIA: tuple[Criterion, ...] = ("sensitivity-90", "sensitivity-95", "specificity-90", "youden")
MIN_EACH = 20
"""Images with and without the finding: with fewer, 90 % of them is a matter of one or two images."""


class OperatingPointReport(BaseModel, frozen=True, extra="forbid"):
    """One threshold with what it achieves; intervals are of the patients at hand, for this very threshold.

    It was chosen on these images, so on others expect a little less.
    """

    finding: str
    criterion: Criterion
    threshold: float
    num_images: int
    num_positives: int
    sensitivity: Estimate
    specificity: Estimate
    prevalence: float
    """For which PPV and NPV hold."""
    ppv: Estimate | None
    """Share of the called that have the finding, by Bayes' rule; None where it calls none."""
    npv: Estimate | None
    """Share of those not called that are without it; None where it calls all."""


class Undefined(BaseModel, frozen=True, extra="forbid"):
    """Why a finding has no threshold by a criterion."""

    finding: str
    criterion: Criterion
    why: str


class Rates(NamedTuple):
    """Every different way to call the images [k], by falling threshold; the first calls the most probable only."""

    thresholds: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    specificity: NDArray[np.float64]


def rates(probabilities: NDArray[np.float64], is_present: NDArray[np.bool_]) -> Rates:
    """Sensitivity and specificity at every threshold that calls at least one image; images [m] of both kinds."""
    order = np.argsort(-probabilities, kind="stable")
    falling, present = probabilities[order], is_present[order]
    last_of_equals = np.append(falling[1:] != falling[:-1], True)
    called_present, called_absent = np.cumsum(present)[last_of_equals], np.cumsum(~present)[last_of_equals]
    values = falling[last_of_equals]
    below = np.append(values[1:], 0.0)
    middle = (values + below) / 2
    # Between two neighbouring floating point numbers there is none.
    thresholds = np.where(middle > below, middle, values)
    return Rates(thresholds, called_present / present.sum(), 1 - called_absent / (~present).sum())


def choose(curve: Rates, criterion: Criterion) -> int | None:
    """The place in `curve` that `criterion` asks for; None where no threshold meets it."""
    match criterion:
        case "sensitivity-90" | "sensitivity-95":
            least = 0.9 if criterion == "sensitivity-90" else 0.95
            return int(np.argmax(_at_least(curve.sensitivity, least)))
        case "specificity-90":
            meets = np.flatnonzero(_at_least(curve.specificity, 0.9))
            return int(meets[-1]) if len(meets) else None
        case "youden":
            gain = curve.sensitivity + curve.specificity
            return int(np.flatnonzero(_at_least(gain, float(gain.max())))[-1])


def operating_points(
    images: OneFinding,
    probabilities: NDArray[np.float64],
    rng: np.random.Generator,
    prevalence: float | None = None,
    num_resamples: int = NUM_RESAMPLES,
) -> list[OperatingPointReport | Undefined]:
    """The finding's threshold by each of CRITERIA on `probabilities` [m], or why it has none.

    `prevalence`, for PPV and NPV: None is that of the images.
    """
    too_few = images.why_too_few(MIN_EACH)
    if too_few is not None:
        return [Undefined(finding=images.finding, criterion=criterion, why=too_few) for criterion in CRITERIA]
    curve = rates(probabilities, images.is_present)
    places = [choose(curve, criterion) for criterion in CRITERIA]
    # A criterion that no threshold meets is computed like the others, and then not reported.
    thresholds = curve.thresholds[[place or 0 for place in places]]
    called = probabilities[:, None] >= thresholds
    blocks = [
        _achieved(called, images.is_present, weights)
        for weights in patient_weights(images.patient_ids, rng, num_resamples)
    ]
    resampled = np.concatenate(blocks)
    own = images.num_present / len(images.rows)
    choices = [
        _Choice(criterion, curve, place, resampled[:, column])
        for column, (criterion, place) in enumerate(zip(CRITERIA, places, strict=True))
    ]
    return [_report(images, choice, own if prevalence is None else prevalence) for choice in choices]


def predictive_values(
    sensitivity: NDArray[np.float64], specificity: NDArray[np.float64], prevalence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """PPV and NPV by Bayes' rule, elementwise; NaN where nothing or everything is called."""
    found, false_alarms = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    cleared, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    nan = np.full(np.shape(sensitivity), np.nan)
    ppv = np.divide(found, found + false_alarms, out=nan.copy(), where=found + false_alarms > 0)
    npv = np.divide(cleared, cleared + missed, out=nan.copy(), where=cleared + missed > 0)
    return ppv, npv


class _Choice(NamedTuple):
    """One criterion's place in the curve; `resampled` [r, 2] holds sensitivity and specificity in every resample."""

    criterion: Criterion
    curve: Rates
    place: int | None
    resampled: NDArray[np.float64]


def _report(images: OneFinding, choice: _Choice, prevalence: float) -> OperatingPointReport | Undefined:
    place, resampled = choice.place, choice.resampled
    if place is None:
        why = "even of the most probable images too many are without the finding"
        return Undefined(finding=images.finding, criterion=choice.criterion, why=why)
    sensitivity, specificity = choice.curve.sensitivity[place], choice.curve.specificity[place]
    ppv, npv = predictive_values(sensitivity, specificity, prevalence)
    ppvs, npvs = predictive_values(resampled[:, 0], resampled[:, 1], prevalence)
    return OperatingPointReport(
        finding=images.finding,
        criterion=choice.criterion,
        threshold=float(choice.curve.thresholds[place]),
        num_images=len(images.rows),
        num_positives=images.num_present,
        sensitivity=estimate(float(sensitivity), resampled[:, 0]),
        specificity=estimate(float(specificity), resampled[:, 1]),
        prevalence=prevalence,
        ppv=None if np.isnan(ppv) else estimate(float(ppv), ppvs),
        npv=None if np.isnan(npv) else estimate(float(npv), npvs),
    )


def _achieved(
    called: NDArray[np.bool_], is_present: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[r, threshold, 2]: sensitivity and specificity under each weighting; NaN where no such image was drawn."""
    right = (called[is_present].astype(np.float64), (~called[~is_present]).astype(np.float64))
    result = np.full((len(weights), called.shape[1], 2), np.nan)
    for kind, (of_kind, rows) in enumerate(zip(right, (is_present, ~is_present), strict=True)):
        weighted = weights[:, rows]
        totals = weighted.sum(axis=1, keepdims=True)
        np.divide(weighted @ of_kind, totals, out=result[:, :, kind], where=totals > 0)
    return result


def _at_least(values: NDArray[np.float64], least: float) -> NDArray[np.bool_]:
    """Whether values reach `least`, but for rounding: 1 - 1 / 10 is meant to reach 0.9."""
    return values >= least - 1e-12
