"""A run and its bundle, evaluated: what is written, what is left out, and that both say the same."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from pocketcxr.apps.cli.evaluate import evaluate as command
from pocketcxr.domain.errors import EmptyCohortError, UsageError
from pocketcxr.domain.study import Split
from pocketcxr.evaluate.scores import read_scores
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.manifest.schema import Manifest, ManifestHeader, write_manifest
from pocketcxr.models.config import NetConfig
from pocketcxr.recipes.config import config_data
from pocketcxr.recipes.evaluate import EvaluateOptions, EvaluationReport, evaluate, model_row
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.runs import build_net
from pocketcxr.train.run_dir import open_run
from pocketcxr.train.weights import ModelHeader, TrainingSummary, write_weights

LEARNT = ("Mass", "Effusion", "Edema")
IN_MANIFEST = ("Effusion", "Mass", "Hernia")
NUM_IMAGES, SIZE = 14, 32


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Fourteen pictures of seven patients; the last one cannot be read."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(NUM_IMAGES):
        name = f"{number:02d}.png"
        Image.fromarray(rng.integers(0, 255, (40, 36), dtype=np.uint8)).save(tmp_path / name)
        rows.append(
            {
                "image_id": name,
                "path": name,
                "source": "test",
                "patient_id": f"p{number // 2}",
                "study_id": f"s{number}",
                "view_position": "PA",
                "sex": "F",
                "age_years": 50.0,
                "height": 40,
                "width": 36,
                "split": "test",
                **{
                    f"label.{finding}": "present" if number % (2 + column) == 0 else "absent"
                    for column, finding in enumerate(IN_MANIFEST)
                },
            }
        )
    (tmp_path / f"{NUM_IMAGES - 1:02d}.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    regions = pd.DataFrame(
        {"image_id": ["00.png"], "finding": ["Mass"], "x": [1.0], "y": [1.0], "w": [9.0], "h": [9.0]}
    )
    header = ManifestHeader(source="test", root=str(tmp_path), findings=IN_MANIFEST)
    path = tmp_path / "manifest.parquet"
    write_manifest(Manifest(pd.DataFrame(rows), regions, header), path)
    return path


@pytest.fixture
def run(tmp_path: Path, manifest: Path) -> Path:
    """A run of a net with first weights, that says it never learnt Edema."""
    spec, net = PreprocessSpec(size=SIZE), NetConfig(name="eeea-net-c2-lite-map")
    config = RunConfig(manifest=manifest, findings=LEARNT, net=net, preprocess=spec)
    training = TrainingSummary(
        source="test",
        is_simulated=True,
        num_images=1,
        num_labelled=1,
        num_patients=1,
        objective=("bce",),
        teacher=None,
        seed=0,
        steps=1,
        batch_size=1,
    )
    header = ModelHeader(net=net, findings=LEARNT, unlearnt=("Edema",), preprocess=spec, training=training)
    directory = open_run(tmp_path / "run", config_data(config))
    write_weights(directory.best, build_net(header).state_dict(), header)
    return directory.root


def options(manifest: Path) -> EvaluateOptions:
    return EvaluateOptions(manifest, Split.TEST, batch_size=5, num_resamples=60)


def test_a_run_is_scored_into_its_own_folder_and_unknown_stays_unknown(run: Path, manifest: Path) -> None:
    result = evaluate(run, options(manifest))
    assert result.out == run
    scores = read_scores(run / "scores.parquet")
    assert scores.findings == (*LEARNT, "Hernia")
    assert scores.image_ids == tuple(f"{number:02d}.png" for number in range(NUM_IMAGES - 1))
    np.testing.assert_array_equal(scores.probabilities, result.scores.probabilities)
    assert np.isnan(scores.probabilities[:, 2:]).all()
    assert np.isnan(scores.labels[:, 2]).all()
    reasons = {row.finding: row.why_undefined for row in result.ranking.findings}
    assert reasons == {
        "Mass": None,
        "Effusion": None,
        "Edema": "no image has a known label",
        "Hernia": "the model never learnt the finding",
    }


def test_the_report_names_the_file_that_could_not_be_read(run: Path, manifest: Path) -> None:
    result = evaluate(run, options(manifest))
    assert EvaluationReport.model_validate_json((run / "report.json").read_bytes()) == result.report
    assert [Path(one.path).name for one in result.report.refused] == ["13.png"]
    assert result.report.cohort == "manifest.parquet, split test: 13 images of 7 patients"
    assert result.report.is_simulated
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "could not be read: 1 file;" in page
    assert model_row(result, "Teacher", "teacher").parameters == result.report.parameters > 1_000_000


def test_scores_do_not_depend_on_the_batch_size(run: Path, manifest: Path, tmp_path: Path) -> None:
    once = evaluate(run, EvaluateOptions(manifest, batch_size=64, num_resamples=50), tmp_path / "a")
    again = evaluate(run, EvaluateOptions(manifest, batch_size=1, num_resamples=50), tmp_path / "b")
    np.testing.assert_allclose(once.scores.probabilities, again.scores.probabilities, atol=1e-6)


def test_what_is_neither_run_nor_bundle_and_an_empty_split_are_refused(run: Path, manifest: Path) -> None:
    with pytest.raises(UsageError, match="neither a run"):
        evaluate(manifest.parent, options(manifest))
    with pytest.raises(EmptyCohortError, match="'train'"):
        evaluate(run, EvaluateOptions(manifest, Split.TRAIN))


def test_the_command_prints_the_report_and_ends_with_3_where_a_file_was_refused(run: Path, manifest: Path) -> None:
    import typer

    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, [str(run), "--manifest", str(manifest), "--resamples", "50", "--json"])
    assert done.exit_code == 3
    assert json.loads(done.stdout)["ranking"]["num_images"] == NUM_IMAGES - 1
    assert "left out" in done.stderr
    assert "no figures for Hernia" in done.stderr


@pytest.mark.slow
def test_the_bundle_of_a_run_ranks_as_the_run_does(run: Path, manifest: Path, tmp_path: Path) -> None:
    from pocketcxr.recipes.export import export

    bundle = export(run, tmp_path / "student.zip")
    of_run, of_bundle = evaluate(run, options(manifest)), evaluate(bundle, options(manifest))
    assert of_bundle.out == tmp_path / "student.evaluation"
    assert of_bundle.scores.image_ids == of_run.scores.image_ids
    assert of_bundle.report.parameters == of_run.report.parameters
    assert of_bundle.report.macs == of_run.report.macs
    # Pillow and the graph may differ by 1/255 in a few pixels.
    np.testing.assert_allclose(of_bundle.scores.probabilities[:, :2], of_run.scores.probabilities[:, :2], atol=2e-3)
