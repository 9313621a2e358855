"""A bundle whose net is untrained but lively: its heatmaps differ, and its scores lie on both sides of thresholds."""

from datetime import UTC, datetime
from pathlib import Path

import torch

from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.export.build import NetToExport, build_files
from pocketcxr.export.pack import pack
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.timm_net import TimmNet
from pocketcxr.runtime.card import CardFacts
from pocketcxr.runtime.card_calibration import Calibration, FindingCalibration, OperatingPoint
from pocketcxr.runtime.input_gate import GATE, packaged_gate

FINDINGS = CHESTXRAY14[:5]
UNLEARNT = FINDINGS[3]
CALIBRATED = (FINDINGS[0], FINDINGS[2])
THRESHOLDS = {"youden": 0.5, "sensitivity-90": 0.3}
SIZE_PX = 64
_MADE = datetime(2026, 1, 2, tzinfo=UTC)


def make_bundle(folder: Path) -> Path:
    """The bundle, in `folder`, with the input gate that comes with the program."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = build(NetConfig(name="test_efficientnet"), num_findings=len(FINDINGS))
    assert isinstance(net, TimmNet)
    with torch.no_grad():
        net.head.maps.weight.mul_(4000)  # untrained, all images are nearly the same to it
    spec = PreprocessSpec(size=SIZE_PX)
    built = build_files(NetToExport("test_efficientnet", net, spec, FINDINGS))
    facts = CardFacts(
        name="tiny",
        created=_MADE,
        made_by="a test",
        is_simulated=True,
        findings=FINDINGS,
        unlearnt=(UNLEARNT,),
        preprocess=spec,
        net=built.net,
        builds=built.builds,
        calibration=_calibration(),
        operating_points=_operating_points(),
        training={"source": "phantom"},
    )
    return pack(facts, {**built.files, GATE: packaged_gate()}, folder)


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
