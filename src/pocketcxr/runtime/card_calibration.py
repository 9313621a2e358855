"""The part of a card that turns logits into probabilities and decisions, with what it was chosen on."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, Field, model_validator


class Interval(BaseModel, frozen=True, extra="forbid"):
    """A figure with its 95 % patient-bootstrap interval; None where too few patients define it."""

    value: float
    low: float | None = None
    high: float | None = None


class CalibrationFigures(BaseModel, frozen=True, extra="forbid"):
    """How far probabilities are from being taken at their word."""

    ece: Interval
    """Expected calibration error over bins of equal numbers of images."""
    brier: Interval
    """Mean squared difference of probability and label."""


class FindingCalibration(BaseModel, frozen=True, extra="forbid"):
    """probability = sigmoid(slope * logit + offset). The slope is positive, so the order of images is the logits'."""

    finding: str
    method: Literal["platt", "temperature"]
    slope: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    offset: Annotated[float, Field(allow_inf_nan=False)]
    fitted_on: str
    """The images, in words."""
    fitted: AwareDatetime
    num_images: int
    """With a known label."""
    num_positives: int
    before: CalibrationFigures | None = None
    """On those images: of what was told before this fit."""
    after: CalibrationFigures | None = None
    """On those images, each told by a fit that did not see its patient."""


class Calibration(BaseModel, frozen=True, extra="forbid"):
    """Every finding is either calibrated or says why it is not; then its probability is the logit's plain sigmoid."""

    findings: tuple[FindingCalibration, ...]
    not_calibrated: dict[str, str]
    """Finding -> why."""

    @model_validator(mode="after")
    def _names_each_finding_once(self) -> Self:
        named = [*(line.finding for line in self.findings), *self.not_calibrated]
        if len(set(named)) != len(named):
            raise ValueError("calibration names a finding twice")
        return self


class OperatingPoint(BaseModel, frozen=True, extra="forbid"):
    """A threshold on one finding's probability, positive from there on, with what it was chosen for and on.

    The figures are those of the images it was chosen on.
    """

    finding: str
    threshold: Annotated[float, Field(ge=0, le=1)]
    criterion: str
    """Its name: sensitivity-90, sensitivity-95, specificity-90, youden."""
    chosen_on: str
    sensitivity: Interval | None = None
    specificity: Interval | None = None
    prevalence: Annotated[float, Field(ge=0, le=1)] | None = None
    """For which PPV and NPV hold."""
    ppv: Interval | None = None
    npv: Interval | None = None


class FormerCalibration(BaseModel, frozen=True, extra="forbid"):
    """What a re-calibration replaced, whole."""

    replaced: AwareDatetime
    calibration: Calibration | None
    operating_points: tuple[OperatingPoint, ...]
