"""bundle + a site's labels -> a bundle with probabilities and thresholds for that site; its graphs stay as they are."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr._version import __version__
from pocketcxr.domain.errors import EmptyCohortError, UsageError
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES
from pocketcxr.evaluate.calibration import MIN_FOR_PLATT, Method
from pocketcxr.evaluate.calibration_page import CalibrationContent, write_calibration
from pocketcxr.evaluate.calibration_report import CalibrationOptions, CalibrationReport
from pocketcxr.evaluate.labelled_logits import LabelledLogits
from pocketcxr.export.pack import pack
from pocketcxr.recipes.card_calibration import CardFit, calibration_page, fit_card_facts
from pocketcxr.recipes.local_scores import LocalScores, read_local_scores
from pocketcxr.runtime.bundle import Bundle, open_bundle
from pocketcxr.runtime.card import CARD, SEAL, Card, CardFacts
from pocketcxr.runtime.card_calibration import Calibration, FormerCalibration
from pocketcxr.runtime.predict import probabilities_of


@dataclass(frozen=True)
class CalibrateOptions:
    """How a site re-fits a bundle."""

    method: Method = "platt"
    prevalence: float | None = None
    """For PPV and NPV; None: each finding's own in the site's images, which may have been picked."""
    num_resamples: int = NUM_RESAMPLES
    seed: int = 0


class Recalibration(BaseModel, frozen=True, extra="forbid"):
    """What a re-calibration did."""

    made_by: str = f"pocketcxr {__version__}"
    bundle: str
    """The one that was re-fitted."""
    bundle_sha256: str
    out: str
    page: str
    """The report with pictures."""
    report: CalibrationReport
    """Before: what the bundle told until now."""
    refitted: tuple[str, ...]
    kept: dict[str, str]
    """Finding -> why it keeps its calibration and thresholds."""
    num_left_out: int
    """Rows of the site's table without scores."""
    has_patients: bool


def calibrate(bundle: Path, scores: Path, out: Path | None, options: CalibrateOptions) -> Recalibration:
    """A new bundle at `out` (None: NAME.calibrated beside the old one), re-fitted on the labels in `scores`.

    A finding is re-fitted from MIN_FOR_PLATT images with and without it; the others keep what they have. The new card's
    history holds what was replaced. Raises UsageError where `out` is the bundle itself, EmptyCohortError where no
    finding can be re-fitted, and what reading bundle and scores raises.
    """
    new = _beside(bundle) if out is None else out
    if new.resolve() == bundle.resolve():
        raise UsageError(f"--out {new} is the bundle itself, which is kept; choose another --out")
    opened = open_bundle(bundle)
    local = read_local_scores(scores, opened.card.findings)
    now = datetime.now(UTC).replace(microsecond=0)
    fit = _fit(opened.card, local, scores.name, now, options)
    if not fit.report.calibrated:
        reasons = "; ".join(f"{finding}: {why}" for finding, why in fit.calibration.not_calibrated.items())
        raise EmptyCohortError(
            f"{scores}: no finding can be re-fitted ({reasons}); label at least {MIN_FOR_PLATT} images with and"
            f" {MIN_FOR_PLATT} without a finding"
        )
    facts = _recalibrated(opened.card, fit, now)
    pack(facts, {name: data for name, data in opened.files.items() if name not in (CARD, SEAL)}, new)
    page = calibration_page(new)
    write_calibration(_content(opened, fit), page)
    return Recalibration(
        bundle=str(bundle),
        bundle_sha256=opened.digest,
        out=str(new),
        page=str(page),
        report=fit.report,
        refitted=tuple(row.finding for row in fit.report.calibrated),
        kept=_kept(opened.card, fit),
        num_left_out=local.num_left_out,
        has_patients=local.has_patients,
    )


def _beside(bundle: Path) -> Path:
    ending = ".zip" if bundle.suffix == ".zip" else ""
    return bundle.with_name(f"{bundle.name.removesuffix(ending)}.calibrated{ending}")


def _fit(card: Card, local: LocalScores, name: str, now: datetime, options: CalibrateOptions) -> CardFit:
    data = local.data
    patients = f" of {len(set(data.patient_ids)):,} patients" if local.has_patients else ""
    cohort = f"{name}: {len(data.patient_ids):,} images{patients}"
    fit_options = CalibrationOptions(
        method=options.method,
        least=MIN_FOR_PLATT,
        prevalence=options.prevalence,
        num_resamples=options.num_resamples,
        seed=options.seed,
    )
    return fit_card_facts(data, cohort, now, fit_options, _told(card, data))


def _told(card: Card, data: LabelledLogits) -> NDArray[np.float64]:
    """The bundle's present probabilities of the logits [n, finding]."""
    every = np.full((len(data.patient_ids), len(card.findings)), np.nan)
    places = [card.findings.index(finding) for finding in data.findings]
    every[:, places] = data.logits
    return probabilities_of(card, every)[:, places]


def _recalibrated(card: Card, fit: CardFit, now: datetime) -> CardFacts:
    """The card with the re-fitted findings' lines and thresholds replaced, and what they were in its history."""
    refitted = {line.finding: line for line in fit.calibration.findings}
    lines = {**card.calibrated, **refitted}
    reasons = {
        **({} if card.calibration is None else card.calibration.not_calibrated),
        **fit.calibration.not_calibrated,
        **dict.fromkeys(card.unlearnt, "the model never learnt the finding"),
    }
    calibration = Calibration(
        findings=tuple(lines[finding] for finding in card.findings if finding in lines),
        not_calibrated={
            finding: reasons.get(finding, "no labels") for finding in card.findings if finding not in lines
        },
    )
    kept = [point for point in card.operating_points if point.finding not in refitted]
    new = [point for point in fit.operating_points if point.finding in refitted]
    points = tuple(point for finding in card.findings for point in (*kept, *new) if point.finding == finding)
    former = FormerCalibration(replaced=now, calibration=card.calibration, operating_points=card.operating_points)
    changes = {"calibration": calibration, "operating_points": points, "history": (*card.history, former)}
    return CardFacts.model_validate({**card.model_dump(exclude={"sha256"}), **changes})


def _kept(card: Card, fit: CardFit) -> dict[str, str]:
    refitted = {line.finding for line in fit.calibration.findings}
    return {
        finding: fit.calibration.not_calibrated.get(finding, "no label column")
        for finding in card.findings
        if finding not in refitted
    }


def _content(bundle: Bundle, fit: CardFit) -> CalibrationContent:
    return CalibrationContent(
        title=f"Re-calibration of {bundle.card.name}",
        created=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        version=__version__,
        is_simulated=bundle.card.is_simulated,
        report=fit.report,
        before="what the bundle told until now",
        kept=_kept(bundle.card, fit),
    )
