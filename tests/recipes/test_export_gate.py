"""A run's bundle holds the build that the gate let through, and says of every other what it costs and keeps."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pocketcxr.recipes.export import ExportOptions, export
from pocketcxr.recipes.export_gate import GateOptions
from pocketcxr.recipes.export_page import headers, table
from pocketcxr.recipes.qat import QatOptions
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.train import train
from pocketcxr.runtime.bundle import open_bundle, sha256
from pocketcxr.runtime.card_gate import BuildMeasurement, ExportGate, GateLimits
from pocketcxr.runtime.golden import verify_golden
from pocketcxr.runtime.input_gate import GATE, packaged_gate
from pocketcxr.runtime.session import open_engine

ANYTHING = GateLimits(auroc_loss=1, heatmap_agreement=-1, probability_change=1)
NOTHING = GateLimits(auroc_loss=-1)


@pytest.fixture
def run(make_config: Callable[..., RunConfig], tmp_path: Path) -> Path:
    """A run of four steps with heatmaps of 2 x 2; it never learnt Hernia."""
    return train(make_config("preprocess.size=64"), tmp_path / "runs" / "student")


def exported(run: Path, out: Path, gate: GateOptions) -> ExportGate:
    found = open_bundle(export(run, out, options=ExportOptions(gate=gate))).card.gate
    assert found is not None
    return found


def without_times(build: BuildMeasurement) -> dict[str, object]:
    return build.model_dump(exclude={"latencies", "compute_ms", "memory_mb"})


@pytest.mark.slow
def test_the_shipped_build_is_in_the_bundle_and_answers_as_its_golden_vectors(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.zip"
    gate = exported(run, out, GateOptions(limits=ANYTHING, num_calibration_images=8))
    bundle = open_bundle(out)
    assert [one.precision for one in gate.builds] == ["fp32", "fp16", "int8"]
    assert all(one.passes for one in gate.builds)
    assert bundle.card.builds.shipped == gate.builds[gate.shipped].precision
    assert set(bundle.card.builds.all) == {"fp32", "fp16", bundle.card.builds.shipped}
    for precision in bundle.card.builds.all:
        run_as = bundle.card.builds.model_copy(update={"shipped": precision})
        verify_golden(open_engine(replace(bundle, card=bundle.card.model_copy(update={"builds": run_as}))))
    assert len(bundle.files[bundle.card.builds.to_run.file]) == gate.builds[gate.shipped].file_bytes
    assert gate.cohort == "m.parquet, split validation: 12 images (simulated)"
    assert (gate.num_patients, gate.num_calibration_images) == (6, 8)
    page = (tmp_path / "b.builds.html").read_text()
    assert all(cell in page for row in table(gate) for cell in row if "(" not in cell)
    assert len(headers(gate)) == len(table(gate)[0])
    again = exported(run, tmp_path / "again.zip", GateOptions(limits=ANYTHING, num_calibration_images=8))
    assert [without_times(one) for one in again.builds] == [without_times(one) for one in gate.builds]


@pytest.mark.slow
def test_int8_that_fails_is_tried_with_more_and_more_layers_in_float_and_float32_is_shipped(
    run: Path, tmp_path: Path
) -> None:
    options = GateOptions(builds=("int8",), limits=NOTHING, num_images=6, num_calibration_images=4, is_retrained=False)
    gate = exported(run, tmp_path / "b.zip", options)
    assert [one.precision for one in gate.builds] == ["fp32"] + 4 * ["int8"]
    floats = [one.num_float_layers for one in gate.builds[1:]]
    assert floats == sorted(set(floats))
    assert all(one.failures for one in gate.builds[1:])
    assert (gate.shipped, gate.num_images) == (0, 6)
    assert set(open_bundle(tmp_path / "b.zip").card.builds.all) == {"fp32"}


@pytest.mark.slow
@pytest.mark.parametrize(("is_retrained", "limits", "others"), [(None, NOTHING, 4), (True, ANYTHING, 1)])
def test_where_all_mixes_fail_or_it_is_wanted_int8_is_tried_with_weights_trained_for_it(
    run: Path, tmp_path: Path, is_retrained: bool | None, limits: GateLimits, others: int
) -> None:
    options = GateOptions(
        builds=("int8",), limits=limits, num_calibration_images=4, is_retrained=is_retrained, qat=QatOptions(steps=2)
    )
    gate = exported(run, tmp_path / "b.zip", options)
    assert [one.precision for one in gate.builds] == ["fp32"] + (others + 1) * ["int8"]
    assert [one.fine_tuning is None for one in gate.builds] == [True] * (others + 1) + [False]
    facts = gate.builds[-1].fine_tuning
    assert facts is not None
    assert (facts.method, facts.steps, facts.batch_size, facts.teacher) == ("qat", 2, 4, None)
    assert gate.builds[-1].num_float_layers == gate.builds[1].num_float_layers


def test_without_a_gate_or_without_images_float32_is_shipped_uncompared(
    run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = open_bundle(export(run, tmp_path / "b.zip", options=ExportOptions(gate=None))).card
    assert (card.gate, card.builds.shipped) == (None, "fp32")
    with caplog.at_level(logging.WARNING):
        options = ExportOptions(manifest=tmp_path / "none.parquet", gate=replace(GateOptions(), builds=("fp32",)))
        card = open_bundle(export(run, tmp_path / "c.zip", options=options)).card
    assert (card.gate, card.calibration) == (None, None)
    assert "only the float32 build" in caplog.text
    assert not (tmp_path / "c.builds.html").exists()


def test_the_input_gate_is_packed_unless_nobody_wants_it(run: Path, tmp_path: Path) -> None:
    with_it = open_bundle(export(run, tmp_path / "b.zip"))
    assert with_it.files[GATE] == packaged_gate()
    assert with_it.card.sha256[GATE] == sha256(packaged_gate())
    without = open_bundle(export(run, tmp_path / "c.zip", options=ExportOptions(has_input_gate=False)))
    assert set(with_it.files) - set(without.files) == {GATE}


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (("preprocess.size=32",), "32 pixels a side"),
        (("preprocess.size=64", "cohort.view_positions=[PA, AP, LATERAL]"), "lateral views"),
    ],
)
def test_a_gate_that_would_refuse_what_the_net_learnt_from_is_left_out_and_told(
    settings: tuple[str, ...],
    why: str,
    make_config: Callable[..., RunConfig],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = train(make_config(*settings), tmp_path / "runs" / "student")
    with caplog.at_level(logging.WARNING):
        bundle = open_bundle(export(run, tmp_path / "b.zip"))
    assert GATE not in bundle.files
    assert f"no input gate: the net {'sees' if 'pixels' in why else 'learnt from'}" in caplog.text
    assert why in caplog.text
