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
from pocketcxr.domain.errors import EmptyCohortError, ManifestError, UnknownNameError, UsageError
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.study import Split
from pocketcxr.imaging.load import load
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.manifest.schema import Manifest, ManifestHeader, write_manifest
from pocketcxr.models.config import NetConfig
from pocketcxr.recipes.config import config_data
from pocketcxr.recipes.explain import ExplainOptions, explain
from pocketcxr.recipes.explain_files import ExplainedFile, FilesOptions, explain_files
from pocketcxr.recipes.explain_pictures import PANEL_PX
from pocketcxr.recipes.explain_report import ExplanationReport
from pocketcxr.recipes.explaining import explain_batch, maps_wanted, open_explainer
from pocketcxr.recipes.export import export
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
    with pytest.raises(EmptyCohortError, match="has a region of a finding the model learnt"):
        explain(run, ExplainOptions(other))


def test_the_command_prints_figures_and_ends_with_3_where_a_file_was_refused(run: Path, manifest: Path) -> None:
    arguments = ["explain", str(run), "--manifest", str(manifest), "--resamples", "50", "--overlays", "1"]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 3
    assert json.loads(done.stdout)["unlearnt"] == ["Hernia"]
    table = CliRunner().invoke(app, arguments)
    assert table.exit_code == 3
    assert "which never look" in " ".join(table.stdout.split())
    assert "left out" in table.stderr


def test_two_methods_stand_side_by_side_in_figures_and_page(run: Path, manifest: Path) -> None:
    options = ExplainOptions(
        manifest,
        num_resamples=50,
        methods=("one-pass", "grad-cam"),
        num_gallery=2,
        num_faithfulness=1,
        is_randomised=True,
        against=run,
    )
    full = explain(run, options).full_report
    assert [one.method for one in full.methods] == ["one-pass", "grad-cam"]
    for one in full.methods:
        assert one.cost.all_findings > 0
        assert one.faithfulness is not None
        assert one.randomisation is not None
        assert one.localisation.mean.num_images == 3
    assert full.agreement is not None
    assert full.agreement.report.mean.figures.cosine is not None
    assert full.agreement.report.mean.figures.cosine.value == pytest.approx(1)
    page = (run / "explanation" / "explanation.html").read_text()
    for words in ("Confident errors", "What a heatmap does not prove", "grad-cam", "Agreement with run", "passed"):
        assert words in page
    assert "<script" not in page
    assert "http" not in page


def test_fewer_images_are_drawn_by_the_seed(run: Path, manifest: Path) -> None:
    options = ExplainOptions(manifest, num_resamples=50, num_images=2, num_overlays=0)
    first, again = (explain(run, options).full_report for _ in range(2))
    assert (first.num_marked, first.num_images) == (3, 2)
    assert first.methods[0].localisation == again.methods[0].localisation


def test_images_the_model_was_trained_on_are_refused(run: Path, manifest: Path) -> None:
    table, regions = pd.read_parquet(manifest), pd.read_parquet(manifest.with_name("manifest.regions.parquet"))
    header = ManifestHeader(source="test", root=str(manifest.parent), findings=(*LEARNT, "Hernia"))
    write_manifest(Manifest(table.assign(split="train"), regions, header), manifest)
    with pytest.raises(ManifestError, match="patients that the model was trained on"):
        explain(run, ExplainOptions(manifest, Split.TRAIN))


def test_a_run_whose_manifest_is_gone_says_that_it_cannot_be_known(run: Path, manifest: Path) -> None:
    other = manifest.with_name("moved.parquet")
    header = ManifestHeader(source="test", root=str(manifest.parent), findings=(*LEARNT, "Hernia"))
    regions = pd.read_parquet(manifest.with_name("manifest.regions.parquet"))
    write_manifest(Manifest(pd.read_parquet(manifest), regions, header), other)
    manifest.unlink()
    full = explain(run, ExplainOptions(other, num_resamples=50, num_overlays=0)).full_report
    assert "cannot be told" in full.unseen


def test_files_are_explained_and_unreadable_ones_refused(run: Path, manifest: Path, tmp_path: Path) -> None:
    files = [manifest.parent / "00.png", manifest.parent / "07.png"]
    options = FilesOptions(("one-pass", "grad-cam"), top=1)
    first, second = explain_files(run, files, options, tmp_path / "out").answers
    assert isinstance(first, ExplainedFile)
    (one,) = first.findings
    assert one.finding in {"Mass", "Effusion"}
    with Image.open(one.picture) as picture:
        assert picture.width > 3 * PANEL_PX
    assert isinstance(second, Refusal)
    assert "07.png" in second.message


def test_findings_are_told_apart_unknown_misspelt_and_never_learnt(run: Path, manifest: Path, tmp_path: Path) -> None:
    files = [manifest.parent / "00.png"]
    (answer,) = explain_files(run, files, FilesOptions(findings=("effusion",)), tmp_path / "out").answers
    assert isinstance(answer, ExplainedFile)
    assert [one.finding for one in answer.findings] == ["Effusion"]
    with pytest.raises(UnknownNameError, match="did you mean 'Mass'"):
        explain_files(run, files, FilesOptions(findings=("Mas",)), tmp_path / "out")
    with pytest.raises(UsageError, match="training said nothing of it"):
        explain_files(run, files, FilesOptions(findings=("Edema",)), tmp_path / "out")


def test_predict_gives_probabilities_and_nothing_of_what_was_never_learnt(run: Path, manifest: Path) -> None:
    explainer = open_explainer(run, "grad-cam")
    images = explainer.prepare([load(manifest.parent / "00.png")])
    probabilities = explainer.predict(images)
    assert images.shape == (1, 1, explainer.size, explainer.size)
    assert np.isnan(probabilities[0]).tolist() == [False, False, True]
    assert ((probabilities[0, :2] > 0) & (probabilities[0, :2] < 1)).all()


def test_only_wanted_pairs_are_explained_and_as_alone(run: Path, manifest: Path) -> None:
    explainer = open_explainer(run, "grad-cam")
    images = explainer.prepare([load(manifest.parent / name) for name in ("00.png", "01.png")])
    maps = maps_wanted(explainer, images, [["Mass"], ["Effusion", "Mass"]])
    assert [sorted(one) for one in maps] == [["Mass"], ["Effusion", "Mass"]]
    np.testing.assert_allclose(maps[1]["Mass"], explainer.maps(images[1:], [0])[0, 0], atol=1e-6)


@pytest.mark.slow
def test_a_bundle_is_explained_by_what_needs_no_net(run: Path, manifest: Path, tmp_path: Path) -> None:
    bundle = export(run, tmp_path / "student.zip")
    for method in ("one-pass", "occlusion"):
        of_run, of_bundle = (open_explainer(source, method) for source in (run, bundle))
        images = of_run.prepare([load(manifest.parent / "00.png")])
        np.testing.assert_allclose(of_bundle.maps(images, [0]), of_run.maps(images, [0]), atol=1e-3)
    with pytest.raises(UsageError, match="one of one-pass, occlusion, rise"):
        open_explainer(bundle, "grad-cam")
    with pytest.raises(UsageError, match="--sanity"):
        explain(bundle, ExplainOptions(manifest, is_randomised=True))
