"""Every finding of a cohort calibrated, with what it was worth before and after, and its operating points."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.special import expit

from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES
from pocketcxr.evaluate.calibration import MIN_FOR_TEMPERATURE, FittedLine, Method, NotFitted, cross_fitted, fit
from pocketcxr.evaluate.labelled_logits import LabelledLogits, OneFinding
from pocketcxr.evaluate.operating_points import OperatingPointReport, Undefined, operating_points
from pocketcxr.evaluate.reliability import Reliability, reliability

Figure = Literal["ece_equal_mass", "ece_equal_width", "brier"]

WIDE = 0.2
"""An interval of sensitivity or specificity wider than this hardly says where the threshold stands."""


@dataclass(frozen=True)
class CalibrationOptions:
    """How findings are calibrated."""

    method: Method = "platt"
    least: int = MIN_FOR_TEMPERATURE
    """Images with and images without a finding that a fit needs."""
    prevalence: float | None = None
    """For PPV and NPV, the same for all findings; None: each finding's own in these images."""
    num_resamples: int = NUM_RESAMPLES
    seed: int = 0
    """Of the bootstrap and of the folds."""


class FindingCalibrationReport(BaseModel, frozen=True, extra="forbid"):
    """One finding. Reliability is None where the finding has labels of one kind only, or was never learnt."""

    finding: str
    num_images: int
    """With a known label."""
    num_positives: int
    line: FittedLine | None
    why_not: str | None
    """Why there is no line."""
    before: Reliability | None
    """Of what was told before this fit."""
    after: Reliability | None
    """Each image told by a fit that did not see its patient; None where there is no line."""
    operating_points: tuple[OperatingPointReport, ...]
    undefined: tuple[Undefined, ...]

    @property
    def wide(self) -> tuple[OperatingPointReport, ...]:
        """The operating points whose sensitivity or specificity these images leave open."""
        return tuple(point for point in self.operating_points if _is_wide(point))


class CalibrationReport(BaseModel, frozen=True, extra="forbid"):
    """One cohort."""

    cohort: str
    """The images, in words."""
    num_images: int
    num_patients: int
    num_resamples: int
    seed: int
    findings: tuple[FindingCalibrationReport, ...]

    @property
    def calibrated(self) -> tuple[FindingCalibrationReport, ...]:
        """The findings with a line."""
        return tuple(row for row in self.findings if row.line is not None)

    def mean_before_and_after(self, figure: Figure) -> tuple[float, float] | None:
        """The figure's mean over the calibrated findings, before and after; None where none is calibrated."""
        pairs = [
            (_value(row.before, figure), _value(row.after, figure)) for row in self.findings if row.before and row.after
        ]
        if not pairs:
            return None
        before, after = np.mean(pairs, axis=0)
        return float(before), float(after)


def calibrate_findings(
    data: LabelledLogits,
    cohort: str,
    told: NDArray[np.float64] | None = None,
    options: CalibrationOptions = CalibrationOptions(),  # noqa: B008 - frozen
) -> CalibrationReport:
    """Every finding's calibration and operating points on `data`.

    `told` [n, finding] are the probabilities to improve on; None: the plain sigmoid. Thresholds are on the
    probabilities after, or on the plain ones where there is no line.
    """
    before = expit(data.logits) if told is None else told
    columns = [data.column(finding) for finding in data.findings]
    rows = [_finding(images, before[images.rows, place], options) for place, images in enumerate(columns)]
    return CalibrationReport(
        cohort=cohort,
        num_images=len(data.patient_ids),
        num_patients=len(set(data.patient_ids)),
        num_resamples=options.num_resamples,
        seed=options.seed,
        findings=tuple(rows),
    )


def _finding(images: OneFinding, told: NDArray[np.float64], options: CalibrationOptions) -> FindingCalibrationReport:
    line = fit(images, options.method, options.least)
    is_fitted = isinstance(line, FittedLine)
    probabilities = line.probabilities(images.logits) if isinstance(line, FittedLine) else expit(images.logits)
    points = operating_points(images, probabilities, _rng(options), options.prevalence, options.num_resamples)
    after = cross_fitted(images, options.method, seed=options.seed) if is_fitted else None
    return FindingCalibrationReport(
        finding=images.finding,
        num_images=len(images.rows),
        num_positives=images.num_present,
        line=line if isinstance(line, FittedLine) else None,
        why_not=line.why if isinstance(line, NotFitted) else None,
        before=None if images.why_too_few(1) else _reliability(images, told, options),
        after=None if after is None else _reliability(images, after, options),
        operating_points=tuple(point for point in points if isinstance(point, OperatingPointReport)),
        undefined=tuple(point for point in points if isinstance(point, Undefined)),
    )


def _reliability(images: OneFinding, probabilities: NDArray[np.float64], options: CalibrationOptions) -> Reliability:
    return reliability(images, probabilities, _rng(options), options.num_resamples)


def _rng(options: CalibrationOptions) -> np.random.Generator:
    """The same resamples before and after: what differs is the calibration."""
    return np.random.default_rng(options.seed)


def _is_wide(point: OperatingPointReport) -> bool:
    return any(
        one.low is None or one.high is None or one.high - one.low > WIDE
        for one in (point.sensitivity, point.specificity)
    )


def _value(one: Reliability, figure: Figure) -> float:
    match figure:
        case "ece_equal_mass":
            return one.ece_equal_mass.value
        case "ece_equal_width":
            return one.ece_equal_width.value
        case "brier":
            return one.brier.value
