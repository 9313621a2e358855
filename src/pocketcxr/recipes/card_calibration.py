"""Labelled logits -> what a card says of calibration and operating points."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.calibration_report import (
    CalibrationOptions,
    CalibrationReport,
    FindingCalibrationReport,
    calibrate_findings,
)
from pocketcxr.evaluate.labelled_logits import LabelledLogits
from pocketcxr.evaluate.operating_points import OperatingPointReport
from pocketcxr.evaluate.reliability import Reliability
from pocketcxr.runtime.card_calibration import (
    Calibration,
    CalibrationFigures,
    FindingCalibration,
    Interval,
    OperatingPoint,
)


@dataclass(frozen=True)
class CardFit:
    """Calibration and operating points of a card, with the report they come from."""

    report: CalibrationReport
    calibration: Calibration
    operating_points: tuple[OperatingPoint, ...]


def fit_card_facts(
    data: LabelledLogits,
    cohort: str,
    fitted: datetime,
    options: CalibrationOptions = CalibrationOptions(),  # noqa: B008 - frozen
    told: NDArray[np.float64] | None = None,
) -> CardFit:
    """Every finding of `data` calibrated, with its operating points; what cannot be fitted says why.

    `told` [n, finding] are the probabilities told so far; None: plain sigmoids. `cohort` names the images in words.
    """
    report = calibrate_findings(data, cohort, told, options)
    calibration = Calibration(
        findings=tuple(_line(row, cohort, fitted) for row in report.findings if row.line is not None),
        not_calibrated={row.finding: row.why_not for row in report.findings if row.why_not is not None},
    )
    points = tuple(_point(point, cohort) for row in report.findings for point in row.operating_points)
    return CardFit(report, calibration, points)


def calibration_page(bundle: Path) -> Path:
    """Where the page of a bundle's calibration lies: beside it, because a bundle holds nothing that is not needed."""
    return bundle.with_name(f"{bundle.name.removesuffix('.zip')}.calibration.html")


def _line(row: FindingCalibrationReport, cohort: str, fitted: datetime) -> FindingCalibration:
    assert row.line is not None
    return FindingCalibration(
        finding=row.finding,
        method=row.line.method,
        slope=row.line.slope,
        offset=row.line.offset,
        fitted_on=cohort,
        fitted=fitted,
        num_images=row.line.num_images,
        num_positives=row.line.num_positives,
        before=_figures(row.before),
        after=_figures(row.after),
    )


def _figures(one: Reliability | None) -> CalibrationFigures | None:
    return None if one is None else CalibrationFigures(ece=_interval(one.ece_equal_mass), brier=_interval(one.brier))


def _point(point: OperatingPointReport, cohort: str) -> OperatingPoint:
    return OperatingPoint(
        finding=point.finding,
        threshold=point.threshold,
        criterion=point.criterion,
        chosen_on=cohort,
        sensitivity=_interval(point.sensitivity),
        specificity=_interval(point.specificity),
        prevalence=point.prevalence,
        ppv=None if point.ppv is None else _interval(point.ppv),
        npv=None if point.npv is None else _interval(point.npv),
    )


def _interval(estimate: Estimate) -> Interval:
    return Interval(value=estimate.value, low=estimate.low, high=estimate.high)
