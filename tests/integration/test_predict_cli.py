"""From a run to answers at the command line: `pocketcxr export`, then `pocketcxr predict` on good and bad files."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from pocketcxr.evaluate.ranking import rank
from pocketcxr.evaluate.scores import ScoreTable
from pocketcxr.export.signing import new_key
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.drawing import request_of
from pocketcxr.phantom.handling import screen_photograph
from pocketcxr.phantom.plan import plan
from pocketcxr.phantom.render import render
from pocketcxr.phantom.strokes import Pixels
from pocketcxr.recipes.config import config_data
from pocketcxr.recipes.export import ExportOptions, export
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.input_gate import GATE
from pocketcxr.train.weights import ModelHeader, TrainingSummary, write_weights

FINDINGS = ("Effusion", "Nodule", "Mass")
NET = NetConfig(name="test_efficientnet")
SPEC = PreprocessSpec(size=64)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as training leaves it, with random weights; it never learnt Nodule."""
    root = tmp_path_factory.mktemp("runs") / "student"
    root.mkdir()
    config = RunConfig(manifest=Path("none.parquet"), findings=FINDINGS, net=NET, preprocess=SPEC)
    (root / "config.yaml").write_text(yaml.safe_dump(config_data(config)))
    training = TrainingSummary(
        source="phantom",
        is_simulated=True,
        num_images=8,
        num_labelled=8,
        num_patients=4,
        objective=("bce",),
        teacher=None,
        seed=0,
        steps=1,
        batch_size=8,
    )
    header = ModelHeader(net=NET, findings=FINDINGS, preprocess=SPEC, training=training, unlearnt=("Nodule",))
    write_weights(root / "best.safetensors", build(NET, len(FINDINGS)).state_dict(), header)
    return root


@pytest.fixture(scope="module")
def bundle(run: Path) -> Path:
    """The run's bundle, one zip, without an input gate: what is scored here is noise."""
    return export(run, run.parent / "bundle.zip", options=ExportOptions(has_input_gate=False))


@pytest.fixture(scope="module")
def gated(run: Path) -> Path:
    """The run's bundle as it is exported if nothing else is said."""
    return export(run, run.parent / "gated.zip")


@pytest.fixture(scope="module")
def chest() -> Pixels:
    """A phantom, 384 px."""
    config = PhantomConfig(images=1, size=384, seed=77)
    (image,) = plan(config)
    return render(request_of(config, image)).pixels


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """An X-ray, a corrupt file, a photo that is no image, a folder, another X-ray of the same name."""
    rng = np.random.default_rng(0)
    (tmp_path / "other").mkdir()
    good = [tmp_path / "chest.png", tmp_path / "other" / "chest.png"]
    for path in good:
        Image.fromarray(rng.integers(0, 256, (90, 70), dtype=np.uint8)).save(path)
    corrupt, photo = tmp_path / "corrupt.png", tmp_path / "photo.jpg"
    corrupt.write_bytes(good[0].read_bytes()[:300])
    photo.write_text("no image")
    return [good[0], corrupt, photo, tmp_path, good[1]]


def test_export_writes_a_bundle_with_the_runs_facts(pocketcxr: Callable[..., Any], run: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    ran = pocketcxr("export", run, "--out", out)
    assert ran.code == 0
    assert ran.out == ""
    assert f"pocketcxr predict {out}" in ran.err
    card = open_bundle(out).card
    assert card.findings == FINDINGS
    assert card.unlearnt == ("Nodule",)
    assert card.preprocess == SPEC
    assert card.is_simulated
    assert card.training["source"] == "phantom"
    assert card.net.num_macs is not None
    assert card.metrics == ()
    assert GATE in open_bundle(out).files
    assert "input gate" not in ran.err


def test_export_speaks_json_and_can_leave_the_input_gate_out(
    pocketcxr: Callable[..., Any], run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "b.zip"
    ran = pocketcxr("export", run, "--out", out, "--no-input-gate", "--json")
    document = json.loads(ran.out)
    assert ran.code == 0
    assert (document["out"], document["sha256"]) == (str(out), open_bundle(out).digest)
    assert (document["shipped"], document["builds"]) == ("fp32", {"fp32": "model.onnx"})
    assert (document["gate"], document["calibration"], document["has_input_gate"]) == (None, None, False)
    assert GATE not in open_bundle(out).files
    assert "input gate: none" in pocketcxr("export", run, "--out", tmp_path / "c.zip", "--no-input-gate").err


def test_export_takes_the_last_evaluations_figures_and_refuses_damaged_ones(
    pocketcxr: Callable[..., Any], run: Path, tmp_path: Path
) -> None:
    evaluated = tmp_path / "run"
    shutil.copytree(run, evaluated)
    table = ScoreTable(
        findings=("Effusion", "Mass"),
        image_ids=("a", "b", "c", "d"),
        patient_ids=("1", "2", "3", "4"),
        labels=np.array([[1, 1], [0, 1], [1, 1], [0, 1]], np.float32),
        probabilities=np.array([[0.9, 0.5], [0.2, 0.5], [0.7, 0.5], [0.8, 0.5]], np.float32),
    )
    ranking = rank(table, np.random.default_rng(0), 100)
    report = {"cohort": "4 test images", "ranking": ranking.model_dump(mode="json"), "more": "is left out"}
    (evaluated / "report.json").write_text(json.dumps(report))
    metrics = {(m.name, m.finding): m for m in open_bundle(export(evaluated, tmp_path / "b.zip")).card.metrics}
    auroc = metrics["auroc", "Effusion"]
    assert auroc.value == 0.75
    assert auroc.cohort == "4 test images"
    assert auroc.low is not None
    assert auroc.high is not None
    assert auroc.low <= 0.75 <= auroc.high
    assert metrics["auroc", "Mass"].value is None
    assert metrics["auroc", None].value == 0.75
    (evaluated / "report.json").write_text("{")
    ran = pocketcxr("export", evaluated, "--out", tmp_path / "c.zip")
    assert ran.code == 1
    assert "report.json cannot be read" in ran.err


def test_export_of_what_is_no_run_is_wrong_usage(pocketcxr: Callable[..., Any], tmp_path: Path) -> None:
    ran = pocketcxr("export", tmp_path, "--out", tmp_path / "b")
    assert ran.code == 2
    assert "is no run" in ran.err


def test_good_files_are_scored_and_bad_ones_refused_with_a_code(
    pocketcxr: Callable[..., Any], bundle: Path, files: list[Path]
) -> None:
    ran = pocketcxr("predict", bundle, *files, "--json")
    document = json.loads(ran.out)
    results = document["results"]
    assert ran.code == 3
    assert [r["path"] for r in results] == [str(f) for f in files]
    assert [r["status"] for r in results] == ["scored", "refused", "refused", "refused", "scored"]
    assert [r["code"] for r in results[1:4]] == ["corrupt", "not-an-image", "is-a-directory"]
    assert document["bundle"]["sha256"] == open_bundle(bundle).digest
    assert document["notice"] == "Research use only. Not a medical device."
    findings = results[0]["findings"]
    assert [f["finding"] for f in findings] == list(FINDINGS)
    assert findings[1]["probability"] is None
    assert findings[1]["logit"] is None
    assert 0 < findings[0]["probability"] < 1
    assert not any(f["is_calibrated"] for f in findings)
    assert (results[0]["input_checked"], results[0]["warnings"]) == (False, [])
    assert "3 of 5 files refused" in ran.err
    assert "Research use only. Not a medical device." in ran.err


def test_csv_has_a_line_a_file_and_leaves_the_unknown_empty(
    pocketcxr: Callable[..., Any], bundle: Path, files: list[Path]
) -> None:
    ran = pocketcxr("predict", bundle, *files, "--csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert ran.code == 3
    assert [row["status"] for row in rows] == ["scored", "corrupt", "not-an-image", "is-a-directory", "scored"]
    assert rows[0]["Nodule"] == ""
    assert rows[1]["Effusion"] == ""
    assert 0 < float(rows[0]["Effusion"]) < 1


def test_what_is_no_chest_is_refused_with_a_code_and_what_is_odd_is_warned_of(
    pocketcxr: Callable[..., Any], gated: Path, files: list[Path], chest: Pixels, tmp_path: Path
) -> None:
    good, screen = tmp_path / "phantom.png", tmp_path / "screen.png"
    Image.fromarray(chest).save(good)
    Image.fromarray(screen_photograph(chest, np.random.default_rng(1))).save(screen)
    ran = pocketcxr("predict", gated, good, screen, files[0], "--json")
    first, second, third = json.loads(ran.out)["results"]
    assert ran.code == 3
    assert (first["status"], first["input_checked"], first["warnings"]) == ("scored", True, [])
    (warning,) = second["warnings"]
    assert (second["status"], warning["code"]) == ("scored", "photograph-of-a-screen")
    assert (third["status"], third["code"]) == ("refused", "not-a-chest-radiograph")
    assert "warning:" in ran.err
    rows = list(csv.DictReader(io.StringIO(pocketcxr("predict", gated, good, screen, "--csv").out)))
    assert [row["message"] for row in rows] == ["", warning["message"]]
    unasked = pocketcxr("predict", gated, good, screen, files[0], "--no-input-gate", "--json")
    assert unasked.code == 0
    assert {one["input_checked"] for one in json.loads(unasked.out)["results"]} == {False}


@pytest.mark.parametrize("form", ["--csv", None])
def test_what_was_scored_before_a_failure_is_printed(
    form: str | None, pocketcxr: Callable[..., Any], bundle: Path, files: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "heat"
    told = pocketcxr("predict", bundle, files[4], "--json", "--heatmaps", folder)
    picture = Path(json.loads(told.out)["results"][0]["findings"][0]["heatmap"])
    picture.unlink()
    picture.mkdir()
    ran = pocketcxr("predict", bundle, files[0], files[4], "--heatmaps", folder, *([form] if form else []))
    assert ran.code == 1
    assert "cannot be written" in ran.err
    assert str(files[0]) in ran.out
    assert str(files[4]) not in ran.out


def test_the_table_names_every_finding_and_never_calls_a_probability_calibrated(
    pocketcxr: Callable[..., Any], bundle: Path, files: list[Path]
) -> None:
    ran = pocketcxr("predict", bundle, files[0], files[2])
    assert ran.code == 3
    for word in (*FINDINGS, "never learnt", "refused (not-an-image)", str(files[0])):
        assert word in ran.out
    assert "calibrated" not in ran.out
    assert "not calibrated" in ran.err
    assert "simulated" in ran.err


def test_all_files_good_is_success(pocketcxr: Callable[..., Any], bundle: Path, files: list[Path]) -> None:
    ran = pocketcxr("predict", bundle, files[0], "--verify", "--threads", "1")
    assert ran.code == 0
    assert "golden vectors" in ran.err


@pytest.mark.parametrize(("top", "expected"), [("1", 1), ("all", 2)])
def test_heatmap_pictures_get_stable_names_of_their_own(
    top: str, expected: int, pocketcxr: Callable[..., Any], bundle: Path, files: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "heat" / "maps"
    words = ("predict", bundle, files[0], files[4], "--json", "--heatmaps", folder, "--top", top)
    first, again = pocketcxr(*words), pocketcxr(*words)
    assert first.code == again.code == 0
    assert first.out == again.out
    named = [f["heatmap"] for r in json.loads(first.out)["results"] for f in r["findings"] if f["heatmap"]]
    assert len(set(named)) == 2 * expected
    assert sorted(named) == sorted(str(path) for path in folder.iterdir())
    for path in named:
        with Image.open(path) as picture:
            assert picture.mode == "RGB"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("x.png", "--json", "--csv"), "exclude each other"),
        (("x.png", "--top", "0"), "--top 0"),
        (("x.png", "--top", "many"), "--top many"),
        ((), "no file to score"),
        (("x.png", "--threads", "0"), "threads"),
    ],
)
def test_wrong_usage_ends_with_2(
    words: tuple[str, ...], message: str, pocketcxr: Callable[..., Any], bundle: Path
) -> None:
    ran = pocketcxr("predict", bundle, *words)
    assert ran.code == 2
    assert message in ran.err
    assert ran.out == ""


@pytest.mark.parametrize(
    "words",
    [("evaluate", "--manifest", "none.parquet"), ("explain", "chest.png"), ("explain", "--manifest", "m"), ("bench",)],
)
def test_where_a_key_is_trusted_nothing_looks_into_an_unsigned_bundle(
    words: tuple[str, ...],
    pocketcxr: Callable[..., Any],
    bundle: Path,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command, *rest = words
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POCKETCXR_TRUSTED_KEY", str(new_key(tmp_path / "maker.pem")))
    ran = pocketcxr(command, bundle, *rest)
    assert ran.code == 1
    assert "is not signed" in ran.err
    if command != "bench":
        assert "is not signed" not in pocketcxr(command, run, *rest).err


def test_heatmaps_into_a_file_is_wrong_usage(pocketcxr: Callable[..., Any], bundle: Path, files: list[Path]) -> None:
    ran = pocketcxr("predict", bundle, files[0], "--heatmaps", files[0])
    assert ran.code == 2
    assert "cannot be made" in ran.err


def test_a_changed_byte_in_the_bundle_ends_with_1(
    pocketcxr: Callable[..., Any], bundle: Path, files: list[Path], tmp_path: Path
) -> None:
    changed = bytearray(bundle.read_bytes())
    changed[changed.index(b"test_efficientnet")] ^= 1
    (tmp_path / "changed.zip").write_bytes(changed)
    ran = pocketcxr("predict", tmp_path / "changed.zip", files[0])
    assert ran.code == 1
    assert ran.out == ""
    assert "error:" in ran.err
    assert pocketcxr("predict", tmp_path / "absent.zip", files[0]).code == 1


def test_real_x_rays_are_scored(pocketcxr: Callable[..., Any], bundle: Path, shared_data: Path) -> None:
    dicoms = sorted(path for path in (shared_data / "dicom").rglob("*") if path.is_file())
    pictures = sorted(path for path in shared_data.rglob("*") if path.suffix in {".png", ".jpg"})
    ran = pocketcxr("predict", bundle, *dicoms, *pictures[:: max(len(pictures) // 10, 1)], "--json")
    results = json.loads(ran.out)["results"]
    assert ran.code == 0
    assert {r["status"] for r in results} == {"scored"}
    assert len({r["findings"][0]["logit"] for r in results}) > len(results) / 2
