"""The model card says what card.json says, in words a person reads, and never more."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from pocketcxr.evaluate.wording import number
from pocketcxr.export.build import BuiltFiles
from pocketcxr.export.model_card import HTML, MARKDOWN, model_card_files
from pocketcxr.export.model_card_content import OUT_OF_SCOPE, model_card
from pocketcxr.export.model_card_limits import limits
from pocketcxr.export.pack import pack
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.card import NOTICE, CardFacts, Group, Metric
from pocketcxr.runtime.card_calibration import (
    Calibration,
    CalibrationFigures,
    FindingCalibration,
    Interval,
    OperatingPoint,
)
from pocketcxr.runtime.card_gate import BuildLatency, BuildMeasurement, ExportGate, GateLimits

COHORT = "test.parquet, split test: 90 images of 60 patients"


@pytest.fixture(scope="module")
def bare(facts: CardFacts) -> CardFacts:
    """A card that knows nothing but the net."""
    return facts.model_copy(update={"is_simulated": False})


def metric(name: str, finding: str | None, value: float | None, group: str | None = None) -> Metric:
    if value is None:
        return Metric(name=name, finding=finding, group=group, cohort=COHORT, value=None, low=None, high=None)
    low, high = value - 0.0111, value + 0.0222
    return Metric(name=name, finding=finding, group=group, cohort=COHORT, value=value, low=low, high=high)


def interval(value: float) -> Interval:
    return Interval(value=value, low=value - 0.03, high=value + 0.02)


def measurement(precision: str, failures: tuple[str, ...]) -> BuildMeasurement:
    fields: dict[str, Any] = {
        "precision": precision,
        "num_float_layers": 2,
        "num_layers": 9,
        "failures": failures,
        "file_bytes": 1_230_000,
        "latencies": (BuildLatency(threads=1, p50_ms=6.3, p95_ms=9.9),),
        "compute_ms": 5.77,
        "memory_mb": None,
        "auroc_difference": None,
        "largest_probability_change": 0.0123,
        "flipped_decisions": None,
        "heatmap_agreement": interval(0.9712),
        "heatmap_iou": None,
        "ece": None,
        "opset": 20,
        "operators": {"Conv": 9},
    }
    return BuildMeasurement.model_validate(fields)


@pytest.fixture(scope="module")
def full(bare: CardFacts) -> CardFacts:
    """Everything a card can say: Effusion and Mass learnt, Nodule not."""
    line = FindingCalibration(
        finding="Effusion",
        method="platt",
        slope=0.7654,
        offset=-1.2345,
        fitted_on="validation | 40 images",
        fitted=datetime(2026, 1, 2, tzinfo=UTC),
        num_images=40,
        num_positives=21,
        before=CalibrationFigures(ece=interval(0.2111), brier=interval(0.2222)),
        after=CalibrationFigures(ece=interval(0.0913), brier=interval(0.1984)),
    )
    point = OperatingPoint(
        finding="Effusion",
        threshold=0.31415,
        criterion="youden",
        chosen_on="validation",
        sensitivity=interval(0.8123),
        specificity=interval(0.7338),
        prevalence=0.4321,
        ppv=interval(0.6789),
        npv=None,
    )
    changes = {
        "unlearnt": ("Nodule",),
        "training": {
            "source": "chestxray14",
            "is_simulated": False,
            "num_images": 12345,
            "num_patients": 678,
            "objective": ["soft-bce", "hint"],
            "teacher": "densenet121",
            "seed": 7,
            "labels": {"uncertain": "unknown", "unmentioned": "negative", "by_finding": {"Mass": {}}},
        },
        "calibration": Calibration(findings=(line,), not_calibrated={"Mass": "3 images with it"}),
        "operating_points": (point,),
        "metrics": (
            metric("auroc", None, 0.7771),
            metric("auprc", None, 0.4442),
            metric("auroc", "Effusion", 0.8883),
            metric("auroc", "Mass", 0.6664),
            metric("auroc", None, 0.7995, "sex: female"),
            metric("auroc-minus-rest", None, -0.0456, "sex: female"),
            metric("auroc", "Effusion", 0.9117, "sex: female"),
            metric("auroc-minus-rest", "Effusion", 0.0648, "sex: female"),
            metric("auroc-minus-rest", "Mass", -0.0049, "sex: female"),
            metric("auroc", None, None, "age: 80+"),
        ),
        "groups": (
            Group(name="sex: female", attribute="sex", num_images=70, num_patients=50, num_scored=2),
            Group(name="age: 80+", attribute="age", num_images=20, num_patients=10, num_scored=0),
        ),
        "gate": ExportGate(
            cohort="validation",
            num_images=40,
            num_patients=30,
            num_calibration_images=16,
            processor="a processor",
            num_processors=2,
            engine="an engine",
            limits=GateLimits(),
            builds=(measurement("fp32", ()), measurement("int8", ("heatmaps agree by 0.910",))),
            shipped=0,
        ),
    }
    return CardFacts.model_validate({**bare.model_dump(), **changes})


@pytest.fixture(scope="module")
def pages(full: CardFacts) -> dict[str, str]:
    return {name: data.decode() for name, data in model_card_files(full).items()}


def test_both_pages_say_every_figure_of_the_card(full: CardFacts, pages: dict[str, str]) -> None:
    gate = full.gate
    assert full.calibration is not None
    assert gate is not None
    (line,) = full.calibration.findings
    assert line.after is not None
    said = {
        *(number(one.value) for one in full.metrics if one.value is not None and one.name != "auroc-minus-rest"),
        *(number(bound) for bound in (0.8883 - 0.0111, 0.8883 + 0.0222)),
        *("\u22120.046", "+0.065", "0.765", "\u22121.234", "0.091", "0.198", "0.3141", "0.812", "0.734", "0.679"),
        *("0.432", "12,345", "678", "densenet121", "soft-bce, hint", "3 images with it", "0.971", "0.012", "1.23"),
        "5.8",
        *("heatmaps agree by 0.910", "passes and is shipped", "int8, 2 of 9 layers in float", "Conv (9)"),
        *("too few patients", "otherwise for Mass", NOTICE, COHORT, *OUT_OF_SCOPE, *limits(full)),
    }
    for name in (MARKDOWN, HTML):
        text = re.sub(r"\\(.)", r"\1", pages[name]).replace("&#39;", "'").replace("&#34;", '"')
        missing = {one for one in said - {number(0.9117)} if one not in text}
        assert not missing, name
    assert number(0.9117) in pages[HTML]


def test_only_differences_without_zero_stand_out(full: CardFacts) -> None:
    card = model_card(full)
    assert card.num_differences == 2
    assert [(one.group, one.finding) for one in card.standing_out] == [("sex: female", "Effusion")]


def test_a_card_that_knows_little_says_so(bare: CardFacts) -> None:
    card = model_card(bare)
    assert card.headline == "Nobody measured how well this model ranks images."
    assert any("not evaluated" in line for line in card.limits)
    for data in model_card_files(bare).values():
        text = data.decode()
        assert "None: the run was not evaluated before its export." in text
        assert "None: probabilities are plain sigmoids" in text
        assert "Not looked at apart." in text


def test_limits_follow_from_the_facts(bare: CardFacts, full: CardFacts) -> None:
    said = " ".join(limits(full))
    assert "never learnt Nodule" in said
    assert "probabilities of Mass are not calibrated" in said
    assert "groups age: 80+" in said
    assert "age: 0-17, view: lateral" in said
    assert "simulated" not in said
    simulated = bare.model_copy(update={"is_simulated": True})
    assert limits(simulated)[0].startswith("It was trained on simulated radiographs")


@pytest.mark.parametrize(
    ("training", "told"),
    [
        ({}, None),
        ({"num_reference_images": 0}, "none: heatmaps are the plain class maps"),
        ({"num_reference_images": 1223}, "what the net expects without the finding, over 1,223 images"),
    ],
)
def test_what_heatmaps_are_a_difference_from_is_told(
    bare: CardFacts, training: dict[str, JsonValue], told: str | None
) -> None:
    assert (
        dict(model_card(bare.model_copy(update={"training": training})).training).get("Reference of the heatmaps")
        == told
    )


def test_equal_facts_give_equal_bytes(full: CardFacts) -> None:
    assert model_card_files(full) == model_card_files(CardFacts.model_validate(full.model_dump()))


def test_the_page_holds_itself_and_runs_nothing(full: CardFacts) -> None:
    nasty = full.model_copy(update={"name": "<script>alert(1)</script>|x", "made_by": "<b>me</b>"})
    files = model_card_files(nasty)
    page = files[HTML].decode()
    assert "<script" not in page
    assert "<b>me" not in page
    assert not re.search(r"(src|href)=|https?:|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert "width=device-width" in page
    markdown = files[MARKDOWN].decode()
    assert "<script" not in markdown.replace("\\<", "")
    assert "\\|x" in markdown


def test_every_table_row_of_the_markdown_has_its_tables_columns(pages: dict[str, str]) -> None:
    rows = 0
    for table in re.findall(r"(?:^\|.*\n)+", pages[MARKDOWN], flags=re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, table
        rows += len(table.splitlines())
    assert rows > 20
    assert "\n\n\n\n" not in pages[MARKDOWN]


def test_a_bundle_packed_anew_has_a_card_of_what_it_is_now(
    full: CardFacts, bare: CardFacts, built: BuiltFiles, tmp_path: Path
) -> None:
    first = open_bundle(pack(full, built.files, tmp_path / "a.zip"))
    again = open_bundle(pack(bare, first.files, tmp_path / "b.zip"))
    assert first.files[MARKDOWN] == model_card_files(full)[MARKDOWN]
    assert {name: again.files[name] for name in (MARKDOWN, HTML)} == model_card_files(bare)
    fresh = open_bundle(pack(bare, built.files, tmp_path / "c.zip"))
    assert again.files == fresh.files
