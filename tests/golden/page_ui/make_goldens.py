"""What the page's user interface must say as Python does: python tests/golden/page_ui/make_goldens.py.

The CSV of predictions, the colours of a heatmap over gray, and heatmaps placed on images; all of made numbers.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pocketcxr.apps.cli.prediction_output import Answer, csv_header, csv_row
from pocketcxr.domain.errors import RefusalCode
from pocketcxr.domain.prediction import Decision, FindingScore, Prediction, Refusal
from pocketcxr.imaging.geometry import place_heatmap
from pocketcxr.imaging.overlay import overlay
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.runtime.card import Build, Builds, Card, NetFacts
from pocketcxr.runtime.card_calibration import OperatingPoint

OUT = Path(__file__).parent / "goldens.json"
FINDINGS = ("Effusion", "Mass", "Hernia")
CRITERIA = ("sensitivity-90", "youden")
# Ties at the ninth digit, tiny and huge numbers, round ones: where formats differ.
LOGITS = (1.001953125, -0.1, 2.5, 1e-7, -12345678.5, 1e9, 3.0, 0.00012345678912, 123456.7890625, -0.0)
SIDE = 512
"""The overlay enlarges what is smaller."""


def make_goldens() -> dict[str, Any]:
    """The goldens as JSON says them."""
    return {"csv": _csv(), "colours": _colours(), "heatmaps": _heatmaps()}


def _card() -> Card:
    points = tuple(
        OperatingPoint(finding=finding, criterion=criterion, threshold=0.3, chosen_on="made numbers")
        for criterion in CRITERIA
        for finding in FINDINGS[:2]
    )
    return Card(
        name="made",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        made_by="make_goldens.py",
        is_simulated=True,
        findings=FINDINGS,
        unlearnt=("Hernia",),
        preprocess=PreprocessSpec(size=64),
        net=NetFacts(name="made", head="class-map", num_parameters=1, num_macs=None, heatmap_height=1, heatmap_width=1),
        builds=Builds(fp32=Build(file="model.onnx", tolerance=1e-4)),
        operating_points=points,
        training={},
        sha256=dict.fromkeys(("preprocess.onnx", "model.onnx"), "0" * 64),
    )


def _scores(logit: float) -> tuple[FindingScore, ...]:
    probability = float(1 / (1 + np.exp(-np.clip(logit, -700, 700))))
    decided = tuple(Decision(criterion, 0.3, probability >= 0.3) for criterion in CRITERIA)
    return (
        FindingScore("Effusion", logit, probability, True, decided),
        FindingScore("Mass", -logit, 1 - probability, False, decided[:1]),
        FindingScore("Hernia", None, None),
    )


def _csv() -> dict[str, Any]:
    scored = [(f"scan {place}.png", _scores(logit)) for place, logit in enumerate(LOGITS)]
    scored.append(('comma, "quote"\nline.dcm', _scores(0.5)))
    refused = ("b.png", RefusalCode.ROTATED, 'b.png: looks turned, "so"')
    card = _card()
    answers: list[Prediction | Refusal] = [Prediction(path, scores) for path, scores in scored]
    answers.append(Refusal(*refused))
    return {
        "card": {
            "findings": FINDINGS,
            "operating_points": [
                {"finding": point.finding, "criterion": point.criterion, "threshold": point.threshold}
                for point in card.operating_points
            ],
        },
        "scored": [{"path": path, "scores": [_score(score) for score in scores]} for path, scores in scored],
        "refused": dict(zip(("path", "status", "message"), refused, strict=True)),
        "text": csv_header(card) + "".join(csv_row(card, Answer(answer, {})) for answer in answers),
    }


def _score(score: FindingScore) -> dict[str, Any]:
    return {
        "finding": score.finding,
        "logit": score.logit,
        "probability": score.probability,
        "isCalibrated": score.is_calibrated,
        "decisions": [
            {"criterion": one.operating_point, "threshold": one.threshold, "isPositive": one.is_positive}
            for one in score.decisions
        ],
    }


def _colours() -> list[dict[str, Any]]:
    strengths = np.linspace(-1.25, 1.25, SIDE, dtype=np.float32)
    drawn = []
    for gray in (0, 90, 255):
        image = np.full((64, SIDE), gray, dtype=np.uint8)
        picture = np.asarray(overlay(image, np.broadcast_to(strengths, image.shape).copy(), scale=1.0))
        row = picture[picture.shape[0] // 2, :SIDE]
        drawn.append({"gray": gray, "strengths": strengths[::8].tolist(), "rgb": row[::8].tolist()})
    return drawn


def _heatmaps() -> list[dict[str, Any]]:
    rng = np.random.default_rng(7)
    cases = (
        ((7, 7), (12, 9)),
        ((7, 7), (9, 12)),
        ((4, 4), (64, 64)),
        ((1, 1), (5, 3)),
        ((2, 3), (11, 17)),
        ((14, 14), (7, 5)),
    )
    made = []
    for grid, image in cases:
        class_map = rng.normal(0, 3, grid).astype(np.float32)
        placed = place_heatmap(class_map, *image)
        made.append(
            {
                "grid": {"height": grid[0], "width": grid[1]},
                "image": {"height": image[0], "width": image[1]},
                "classMap": class_map.ravel().tolist(),
                "placed": np.round(placed, 6).ravel().tolist(),
            }
        )
    return made


if __name__ == "__main__":
    OUT.write_text(json.dumps(make_goldens()) + "\n", encoding="utf-8")
