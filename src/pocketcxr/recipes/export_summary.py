"""What an export made, for programs: the bundle, its builds, its calibration."""

from pathlib import Path

from pydantic import BaseModel

from pocketcxr.evaluate.wording import RESEARCH_ONLY
from pocketcxr.recipes.card_calibration import calibration_page
from pocketcxr.recipes.export_page import builds_page
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.card import Card
from pocketcxr.runtime.card_calibration import CalibrationFigures
from pocketcxr.runtime.card_gate import ExportGate, Precision
from pocketcxr.runtime.input_gate import GATE


class CalibratedFinding(BaseModel, frozen=True, extra="forbid"):
    """One finding's calibration on the validation images; before it, probabilities are plain sigmoids."""

    finding: str
    num_images: int
    num_positives: int
    before: CalibrationFigures | None
    after: CalibrationFigures | None


class CalibrationSummary(BaseModel, frozen=True, extra="forbid"):
    """Of the shipped build."""

    findings: tuple[CalibratedFinding, ...]
    not_calibrated: dict[str, str]
    """Finding -> why."""
    operating_points: tuple[str, ...]
    """Criteria that at least one finding has a threshold for."""
    page: str


class ExportSummary(BaseModel, frozen=True, extra="forbid"):
    """What `pocketcxr export --json` prints."""

    version: int = 1
    notice: str = RESEARCH_ONLY
    out: str
    sha256: str
    """The bundle's digest, which identifies it."""
    is_simulated: bool
    findings: tuple[str, ...]
    unlearnt: tuple[str, ...]
    has_input_gate: bool
    shipped: Precision
    builds: dict[Precision, str]
    """Those in the bundle, and their files."""
    gate: ExportGate | None
    """Every build that was tried and what it costs and keeps; None where nothing was compared."""
    builds_page: str | None
    calibration: CalibrationSummary | None
    """None where there were no validation images."""


def summarise(out: Path) -> ExportSummary:
    """What `export` wrote to `out`."""
    bundle = open_bundle(out)
    card = bundle.card
    return ExportSummary(
        out=str(out),
        sha256=bundle.digest,
        is_simulated=card.is_simulated,
        findings=card.findings,
        unlearnt=card.unlearnt,
        has_input_gate=GATE in bundle.files,
        shipped=card.builds.shipped,
        builds={precision: build.file for precision, build in card.builds.all.items()},
        gate=card.gate,
        builds_page=None if card.gate is None else str(builds_page(out)),
        calibration=_calibration(card, calibration_page(out)),
    )


def _calibration(card: Card, page: Path) -> CalibrationSummary | None:
    if card.calibration is None:
        return None
    lines = card.calibration.findings
    return CalibrationSummary(
        findings=tuple(
            CalibratedFinding(
                finding=line.finding,
                num_images=line.num_images,
                num_positives=line.num_positives,
                before=line.before,
                after=line.after,
            )
            for line in lines
        ),
        not_calibrated=card.calibration.not_calibrated,
        operating_points=tuple(card.criteria),
        page=str(page),
    )
