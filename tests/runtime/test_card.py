"""The card: what it may say of calibration and builds, its schema, and cards of the version before."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pocketcxr.domain.errors import BundleError
from pocketcxr.export.pack import pack
from pocketcxr.export.writing import zip_bytes
from pocketcxr.runtime.bundle import Bundle, open_bundle, seal_bytes, sha256
from pocketcxr.runtime.card import (
    SCHEMA_VERSION,
    Build,
    Builds,
    CardFacts,
    Group,
    Metric,
    card_bytes,
    card_schema,
    read_card,
)
from pocketcxr.runtime.card_calibration import Calibration, FindingCalibration, OperatingPoint
from pocketcxr.runtime.golden import verify_golden
from pocketcxr.runtime.session import open_engine

GOLDEN = Path(__file__).parent / "golden" / "card-v1.json"
"""As version 0.1.0 wrote it for a phantom's student."""
SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "card.schema.json"
V2_KEYS = {"history", "groups", "gate"}


def line(finding: str, slope: float = 0.5, offset: float = -1.0) -> FindingCalibration:
    return FindingCalibration(
        finding=finding,
        method="platt",
        slope=slope,
        offset=offset,
        fitted_on="a test",
        fitted=datetime(2026, 1, 2, tzinfo=UTC),
        num_images=100,
        num_positives=40,
    )


def point(finding: str, criterion: str = "youden", threshold: float = 0.3) -> OperatingPoint:
    return OperatingPoint(finding=finding, threshold=threshold, criterion=criterion, chosen_on="a test")


def calibrated(facts: CardFacts, **changes: Any) -> CardFacts:
    return CardFacts.model_validate({**facts.model_dump(), **changes})


def as_version_1(bundle: Bundle) -> dict[str, bytes]:
    """The bundle's files with the card that version 0.1.0 would have written."""
    card = json.loads(bundle.files["card.json"])
    card = {key: value for key, value in card.items() if key not in V2_KEYS}
    card |= {"schema_version": 1, "builds": {"fp32": card["builds"]["fp32"], "int8": None}}
    text = (json.dumps(card, indent=2) + "\n").encode()
    return {**bundle.files, "card.json": text, "card.sha256": seal_bytes(sha256(text))}


def test_a_golden_card_of_version_1_is_read_as_one_without_calibration() -> None:
    text = GOLDEN.read_bytes()
    before = json.loads(text)
    card = read_card(text, "a bundle")
    assert before["schema_version"] == 1
    assert card.schema_version == SCHEMA_VERSION
    assert card.calibration is None
    assert card.operating_points == ()
    assert card.history == ()
    assert card.builds.shipped == "fp32"
    assert card.builds.to_run == Build(**before["builds"]["fp32"])
    assert card.groups == ()
    after = json.loads(card_bytes(card))
    for metric in after["metrics"]:
        assert metric.pop("group") is None
    kept = set(before) - {"schema_version", "builds"}
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}


def test_a_bundle_of_version_1_opens_runs_and_is_written_again_as_version_2(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "old.zip"
    path.write_bytes(zip_bytes(as_version_1(bundle)))
    opened = open_bundle(path)
    assert json.loads(opened.files["card.json"])["schema_version"] == 1
    assert opened.card == bundle.card
    assert verify_golden(open_engine(opened, 1)) <= 1e-4
    files = {name: data for name, data in opened.files.items() if not name.startswith("card.")}
    facts = CardFacts.model_validate(opened.card.model_dump(exclude={"sha256"}))
    again = open_bundle(pack(facts, files, tmp_path / "new.zip"))
    assert json.loads(again.files["card.json"])["schema_version"] == SCHEMA_VERSION
    assert again.card == opened.card


@pytest.mark.parametrize("version", [0, -1])
def test_a_version_that_never_was_is_refused(version: int) -> None:
    text = json.dumps({**json.loads(GOLDEN.read_bytes()), "schema_version": version}).encode()
    with pytest.raises(BundleError, match="schema_version"):
        read_card(text, "a bundle")


def test_a_newer_version_is_refused_by_name() -> None:
    text = json.dumps({**json.loads(GOLDEN.read_bytes()), "schema_version": SCHEMA_VERSION + 1}).encode()
    with pytest.raises(BundleError, match=f"schema version {SCHEMA_VERSION + 1}"):
        read_card(text, "a bundle")


def test_the_published_schema_is_the_codes() -> None:
    current = json.dumps(card_schema(), indent=2) + "\n"
    assert SCHEMA.read_text() == current, f"write json.dumps(card_schema(), indent=2) and a newline to {SCHEMA}"


def test_the_schema_names_every_key_of_a_written_card(bundle: Bundle) -> None:
    schema = card_schema()
    card = json.loads(bundle.files["card.json"])
    assert set(schema["properties"]) == set(card)
    assert set(schema["required"]) <= set(card)
    assert not schema["additionalProperties"]


def test_a_written_card_keeps_to_its_schema(bundle: Bundle) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    card = json.loads(bundle.files["card.json"])
    assert not list(validator.iter_errors(card))
    assert list(validator.iter_errors({**card, "metrics": [{"name": "auroc"}]}))


def test_a_metric_is_of_a_group_that_is_listed(bundle: Bundle) -> None:
    metric = Metric(name="auroc", finding=None, group="sex: female", cohort="a test", value=0.5, low=None, high=None)
    with pytest.raises(ValidationError, match="group that is not listed"):
        calibrated(bundle_facts(bundle), metrics=(metric,))
    group = Group(name="sex: female", attribute="sex", num_images=2, num_patients=1, num_scored=0)
    assert calibrated(bundle_facts(bundle), metrics=(metric,), groups=(group,)).groups == (group,)


@pytest.mark.parametrize(
    "changes",
    [
        {"calibration": Calibration(findings=(line("Nodule"),), not_calibrated={})},
        {"calibration": Calibration(findings=(line("Cat"),), not_calibrated={})},
        {"operating_points": (point("Nodule"),)},
        {"operating_points": (point("Mass"), point("Mass", threshold=0.4))},
    ],
    ids=["unlearnt", "unknown", "point of an unlearnt", "twice"],
)
def test_what_makes_no_sense_is_refused(changes: Mapping[str, Any], bundle: Bundle) -> None:
    with pytest.raises(ValidationError):
        calibrated(bundle_facts(bundle), **changes)


def bundle_facts(bundle: Bundle) -> CardFacts:
    return CardFacts.model_validate(bundle.card.model_dump(exclude={"sha256"}))


@pytest.mark.parametrize(("slope", "offset"), [(0.0, 0.0), (-1.0, 0.0), (float("inf"), 0.0), (1.0, float("nan"))])
def test_a_line_that_does_not_rise_is_refused(slope: float, offset: float) -> None:
    with pytest.raises(ValidationError):
        line("Mass", slope, offset)


def test_a_finding_is_calibrated_or_says_why_not_never_both() -> None:
    with pytest.raises(ValidationError, match="twice"):
        Calibration(findings=(line("Mass"),), not_calibrated={"Mass": "too few"})


def test_the_build_to_run_is_among_the_builds() -> None:
    small = Build(file="model.int8.onnx", tolerance=0.5)
    builds = Builds(fp32=Build(file="model.onnx", tolerance=1e-4), int8=small, shipped="int8")
    assert builds.to_run == small
    assert set(builds.all) == {"fp32", "int8"}
    with pytest.raises(ValidationError, match="fp16"):
        Builds(fp32=small, shipped="fp16")


def test_the_shipped_build_is_the_one_that_runs(bundle: Bundle, tmp_path: Path) -> None:
    files = {name: data for name, data in bundle.files.items() if not name.startswith("card.")}
    files["model.int8.onnx"] = files["model.onnx"]
    builds = Builds(
        fp32=Build(file="model.onnx", tolerance=1e-4),
        int8=Build(file="model.int8.onnx", tolerance=1e-3),
        shipped="int8",
    )
    facts = calibrated(bundle_facts(bundle), builds=builds)
    opened = open_bundle(pack(facts, files, tmp_path / "b.zip"))
    spoilt = replace(opened, files={**opened.files, "model.onnx": b"must not be loaded"})
    assert verify_golden(open_engine(spoilt, 1)) <= 1e-3
    del files["model.int8.onnx"]
    with pytest.raises(ValidationError, match="no SHA-256"):
        pack(facts, files, tmp_path / "c.zip")
