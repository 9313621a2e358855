"""A bundle whose net is untrained but lively: its heatmaps differ, and its scores lie on both sides of thresholds."""

from datetime import UTC, datetime
from pathlib import Path

from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.runtime.card_calibration import Calibration, FindingCalibration, OperatingPoint

from ..tiny_bundles import packed, tiny_net  # noqa: TID252 - tests are no package of the path

FINDINGS = CHESTXRAY14[:5]
UNLEARNT = FINDINGS[3]
CALIBRATED = (FINDINGS[0], FINDINGS[2])
THRESHOLDS = {"youden": 0.5, "sensitivity-90": 0.3}
SIZE_PX = 64
_MADE = datetime(2026, 1, 2, tzinfo=UTC)


def make_bundle(folder: Path) -> Path:
    """The bundle, in `folder`, with the input gate that comes with the program."""
    # Untrained, all images are nearly the same to it.
    source = tiny_net(FINDINGS, PreprocessSpec(size=SIZE_PX), gain=4000)
    return packed(
        source,
        folder,
        has_gate=True,
        unlearnt=(UNLEARNT,),
        calibration=_calibration(),
        operating_points=_operating_points(),
        training={"source": "phantom"},
    )


def _calibration() -> Calibration:
    lines = tuple(
        FindingCalibration(
            finding=finding,
            method="platt",
            slope=0.5 + place / 3,
            offset=0.3 - place / 5,
            fitted_on="a test",
            fitted=_MADE,
            num_images=9,
            num_positives=3,
        )
        for place, finding in enumerate(CALIBRATED)
    )
    others = {finding: "a test" for finding in FINDINGS if finding not in {*CALIBRATED, UNLEARNT}}
    return Calibration(findings=lines, not_calibrated=others)


def _operating_points() -> tuple[OperatingPoint, ...]:
    return tuple(
        OperatingPoint(finding=finding, threshold=threshold, criterion=criterion, chosen_on="a test")
        for finding in FINDINGS
        if finding != UNLEARNT
        for criterion, threshold in THRESHOLDS.items()
    )
