"""Concept checks of a run: what is drawn, what is written, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from pocketcxr.apps.cli.main import app
from pocketcxr.domain.errors import ConfigError, UnknownNameError, UsageError
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.config import NetConfig
from pocketcxr.recipes.concepts import ConceptCheck, ConceptOptions, concepts
from pocketcxr.recipes.config import config_data
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.runs import build_net
from pocketcxr.train.run_dir import open_run
from pocketcxr.train.weights import ModelHeader, TrainingSummary, write_weights

LEARNT = ("Mass", "Effusion", "Edema")
OPTIONS = ConceptOptions(num_pairs=3, devices=("pacemaker",), num_resamples=50)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a net with first weights, that says it never learnt Edema."""
    folder = tmp_path_factory.mktemp("concepts")
    spec, net = PreprocessSpec(size=32), NetConfig(name="eeea-net-c2-lite-map", output_stride=16)
    config = RunConfig(manifest=folder / "none.parquet", findings=LEARNT, net=net, preprocess=spec)
    counts = {"num_images": 1, "num_labelled": 1, "num_patients": 1, "seed": 0, "steps": 1, "batch_size": 1}
    training = TrainingSummary.model_validate(
        {"source": "test", "is_simulated": False, "objective": ("bce",), "teacher": None, **counts}
    )
    header = ModelHeader(net=net, findings=LEARNT, unlearnt=("Edema",), preprocess=spec, training=training)
    directory = open_run(folder / "run", config_data(config))
    write_weights(directory.best, build_net(header).state_dict(), header)
    return directory.root


def test_learnt_findings_and_devices_have_figures_a_file_and_a_picture_each(run: Path) -> None:
    result = concepts(run, OPTIONS)
    check = result.check
    assert result.out == run / "concepts"
    assert (check.size, check.method, check.is_simulated) == (32, "one-pass", False)
    assert "Simulated" in check.pictures_are_simulated
    assert [one.finding for one in check.concepts.findings] == ["Mass", "Effusion"]
    assert [one.device for one in check.concepts.devices] == ["pacemaker"]
    assert [one.finding for one in check.concepts.devices[0].findings] == ["Mass", "Effusion"]
    assert check.concepts.num_patients == 3
    assert ConceptCheck.model_validate_json((result.out / "concepts.json").read_bytes()) == check
    assert [file.name for file in result.pictures] == ["Mass.png", "Effusion.png", "pacemaker.png"]
    for file in result.pictures:
        with Image.open(file) as picture:
            assert picture.width > picture.height


def test_the_same_call_gives_the_same_figures_and_other_patients_give_others(run: Path, tmp_path: Path) -> None:
    once, again = (concepts(run, OPTIONS, tmp_path / name).check.concepts for name in ("once", "again"))
    assert once == again
    other = concepts(run, replace(OPTIONS, seed=1, findings=("mass",)), tmp_path / "other").check.concepts
    assert [one.finding for one in other.findings] == ["Mass"]
    assert other.findings[0].figures != once.findings[0].figures


def test_other_sizes_and_methods_are_told(run: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, num_pairs=2, size=48, method="grad-cam", findings=("Mass",), devices=())
    concepts(run, options, tmp_path)
    written = json.loads((tmp_path / "concepts.json").read_text())
    assert (written["size"], written["method"]) == (48, "grad-cam")
    assert written["concepts"]["devices"] == []
    assert written["concepts"]["mean_shortcut"] is None


def test_wrong_wishes_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a run"):
        concepts(tmp_path, OPTIONS)
    with pytest.raises(UsageError, match="training said nothing"):
        concepts(run, replace(OPTIONS, findings=("Edema",)))
    with pytest.raises(UnknownNameError, match="pacemaker"):
        concepts(run, replace(OPTIONS, devices=("pacemakr",)))
    with pytest.raises(ConfigError, match="images is 0"):
        concepts(run, replace(OPTIONS, num_pairs=0))


def test_the_command_prints_tables_or_the_file_it_wrote(run: Path, tmp_path: Path) -> None:
    arguments = ["concepts", str(run), "--pairs", "2", "--finding", "Mass", "--out", str(tmp_path)]
    printed = CliRunner().invoke(app, arguments)
    assert printed.exit_code == 0
    assert "Mass" in printed.stdout
    assert "chest-tube" in printed.stdout
    as_json = CliRunner().invoke(app, [*arguments, "--json"])
    assert json.loads(as_json.stdout) == json.loads((tmp_path / "concepts.json").read_text(encoding="utf-8"))
