"""A run's heatmaps against true boxes: figures, pictures, what is left out, and how the command ends."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from pocketcxr.apps.cli.main import app
from pocketcxr.domain.errors import EmptyCohortError, UsageError
from pocketcxr.domain.study import Split
from pocketcxr.imaging.load import load
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.manifest.schema import Manifest, ManifestHeader, write_manifest
from pocketcxr.models.config import NetConfig
from pocketcxr.recipes.config import config_data
from pocketcxr.recipes.explain import ExplainOptions, ExplanationReport, explain
from pocketcxr.recipes.explaining import explain_batch, open_explainer
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.runs import build_net
from pocketcxr.train.run_dir import open_run
from pocketcxr.train.weights import ModelHeader, TrainingSummary, write_weights

LEARNT = ("Mass", "Effusion", "Edema")
NUM_IMAGES, HEIGHT, WIDTH, SIZE = 8, 60, 48, 64
BOXES = [("00.png", "Mass"), ("01.png", "Mass"), ("01.png", "Effusion"), ("02.png", "Hernia"), ("07.png", "Mass")]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Eight pictures of four patients, five boxes on them; the last picture cannot be read."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(NUM_IMAGES):
        name = f"{number:02d}.png"
        Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH), dtype=np.uint8)).save(tmp_path / name)
        states = {f"label.{finding}": "absent" for finding in (*LEARNT, "Hernia")}
        states |= {f"label.{finding}": "present" for image, finding in BOXES if image == name}
        who = {"patient_id": f"p{number // 2}", "study_id": f"s{number}", "view_position": "PA", "sex": "F"}
        what = {"age_years": 50.0, "height": HEIGHT, "width": WIDTH, "split": "test"}
        rows.append({"image_id": name, "path": name, "source": "test", **who, **what, **states})
    (tmp_path / "07.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    regions = pd.DataFrame(BOXES, columns=["image_id", "finding"]).assign(x=6.0, y=10.0, w=20.0, h=16.0)
    header = ManifestHeader(source="test", root=str(tmp_path), findings=(*LEARNT, "Hernia"))
    write_manifest(Manifest(pd.DataFrame(rows), regions, header), tmp_path / "manifest.parquet")
    return tmp_path / "manifest.parquet"


@pytest.fixture
def run(tmp_path: Path, manifest: Path) -> Path:
    """A run of a net with first weights, that says it never learnt Edema."""
    spec, net = PreprocessSpec(size=SIZE), NetConfig(name="eeea-net-c2-lite-map", output_stride=16)
    config = RunConfig(manifest=manifest, findings=LEARNT, net=net, preprocess=spec)
    counts = {"num_images": 1, "num_labelled": 1, "num_patients": 1, "seed": 0, "steps": 1, "batch_size": 1}
    training = TrainingSummary.model_validate(
        {"source": "test", "is_simulated": True, "objective": ("bce",), "teacher": None, **counts}
    )
    header = ModelHeader(net=net, findings=LEARNT, unlearnt=("Edema",), preprocess=spec, training=training)
    directory = open_run(tmp_path / "run", config_data(config))
    write_weights(directory.best, build_net(header).state_dict(), header)
    return directory.root


def test_every_marked_and_learnt_finding_has_figures_and_the_rest_is_named(run: Path, manifest: Path) -> None:
    result = explain(run, ExplainOptions(manifest, num_resamples=50))
    assert {row.finding: row.num_images for row in result.report.findings} == {"Mass": 2, "Effusion": 1}
    full = result.full_report
    assert full.unlearnt == ("Hernia",)
    assert len(full.refused) == 1
    assert "07.png" in full.refused[0]
    assert full.is_simulated
    written = (run / "explanation" / "localisation.json").read_bytes()
    assert ExplanationReport.model_validate_json(written) == full


def test_overlays_are_chosen_in_turn_and_drawn_with_a_caption(run: Path, manifest: Path, tmp_path: Path) -> None:
    result = explain(run, ExplainOptions(manifest, num_overlays=2, num_resamples=50), tmp_path / "out")
    assert [(one.image_id, one.finding) for one in result.overlays] == [("01.png", "Effusion"), ("00.png", "Mass")]
    for one in result.overlays:
        assert one.file.parent == tmp_path / "out" / "overlays"
        with Image.open(one.file) as picture:
            assert picture.mode == "RGB"
        assert one.finding in one.caption
        assert "the true box" in one.alt
    assert not list((tmp_path / "out" / "overlays").glob("*.tmp"))
    none = explain(run, ExplainOptions(manifest, num_overlays=0, num_resamples=50), tmp_path / "none")
    assert none.overlays == ()
    assert none.report == result.report


def test_the_same_call_gives_the_same_figures(run: Path, manifest: Path) -> None:
    options = ExplainOptions(manifest, num_resamples=50, seed=3)
    assert explain(run, options).report == explain(run, options).report


def test_the_explainer_says_nothing_of_what_it_never_learnt(run: Path, manifest: Path) -> None:
    (explained,) = explain_batch(open_explainer(run), [load(manifest.parent / "00.png")])
    assert list(explained.logits) == ["Mass", "Effusion"]
    for finding, class_map in explained.class_maps.items():
        assert class_map.shape == (SIZE // 16, SIZE // 16)
        assert float(class_map.mean()) == pytest.approx(explained.logits[finding], abs=1e-6)
    assert explained.scale == max(float(np.abs(one).max()) for one in explained.class_maps.values())
    assert torch.is_grad_enabled()


def test_nothing_to_explain_and_no_model_are_refused(run: Path, manifest: Path) -> None:
    with pytest.raises(UsageError, match="neither a run"):
        explain(manifest.parent, ExplainOptions(manifest))
    with pytest.raises(EmptyCohortError, match="'train'"):
        explain(run, ExplainOptions(manifest, Split.TRAIN))
    regions = pd.read_parquet(manifest.with_name("manifest.regions.parquet"))
    header = ManifestHeader(source="test", root=str(manifest.parent), findings=(*LEARNT, "Hernia"))
    only_hernia = regions[regions["finding"] == "Hernia"]
    other = manifest.with_name("hernia.parquet")
    write_manifest(Manifest(pd.read_parquet(manifest), only_hernia, header), other)
    with pytest.raises(EmptyCohortError, match="has a box of a finding the model learnt"):
        explain(run, ExplainOptions(other))


def test_the_command_prints_figures_and_ends_with_3_where_a_file_was_refused(run: Path, manifest: Path) -> None:
    arguments = ["explain", str(run), "--manifest", str(manifest), "--resamples", "50", "--overlays", "1"]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 3
    assert json.loads(done.stdout)["unlearnt"] == ["Hernia"]
    table = CliRunner().invoke(app, arguments)
    assert table.exit_code == 3
    assert "the best fixed point, which never look" in " ".join(table.stdout.split())
    assert "left out" in table.stderr
