"""The prepare stage on simulated radiographs, and its command."""

import json
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pocketcxr.apps.cli.prepare import prepare as command
from pocketcxr.domain.errors import ManifestError, UnknownNameError, UsageError
from pocketcxr.domain.study import Split
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.schema import read_manifest
from pocketcxr.manifest.sources.chestxray14 import Chestxray14Config
from pocketcxr.manifest.splits import SplitConfig
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.write import simulate
from pocketcxr.recipes.prepare import SOURCES, PrepareOptions, prepare, source_config


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty phantoms of 32 pixels."""
    config = PhantomConfig(images=40, size=32, seed=3, prevalence_scale=3.0, test_fraction=0.3)
    return simulate(tmp_path_factory.mktemp("prepare") / "phantoms", config)


def test_phantoms_are_read_as_the_official_data_set_is(simulated: Path, tmp_path: Path) -> None:
    summary = prepare(Chestxray14Config(split=SplitConfig(validation_fraction=0.3)), simulated, tmp_path / "m.parquet")
    manifest = read_manifest(tmp_path / "m.parquet")
    assert summary.is_simulated
    assert manifest.header.is_simulated
    assert summary.num_images == manifest.num_images == 40
    assert set(manifest.table["split"]) == {split.value for split in Split}
    assert (manifest.table[["height", "width"]] == 32).all(axis=None)
    assert len(manifest.regions) > 5
    assert (manifest.regions["x"] + manifest.regions["w"] <= 33).all()
    assert 3 < manifest.regions["w"].max() <= 32


def test_boxes_lie_on_images_labelled_with_the_finding(simulated: Path, tmp_path: Path) -> None:
    prepare(Chestxray14Config(), simulated, tmp_path / "m.parquet")
    manifest = read_manifest(tmp_path / "m.parquet")
    states = manifest.table.set_index("image_id")
    for row in manifest.regions.itertuples():
        assert states.loc[row.image_id, f"label.{row.finding}"] == "present"


def test_an_unknown_source_names_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match="chestxray14"):
        source_config("chestxray15", None, ())


def test_the_command_talks_on_stderr_and_prints_json_on_stdout(simulated: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    out = tmp_path / "m.parquet"
    done = CliRunner().invoke(app, ["chestxray14", str(simulated), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    counts = json.loads(done.stdout)
    assert counts["num_images"] == 40
    assert "Cardiomegaly" in done.stderr
    assert "SIMULATED" in done.stderr
    assert out.is_file()
    quiet = CliRunner().invoke(app, ["chestxray14", str(simulated), "--out", str(out), "--labels-only"])
    assert quiet.stdout == ""


def test_a_card_is_written_and_looking_for_leaks_needs_images(simulated: Path, tmp_path: Path) -> None:
    options = PrepareOptions(check_images=True, card=tmp_path / "card")
    prepare(Chestxray14Config(), simulated, tmp_path / "m.parquet", options)
    assert (tmp_path / "card" / "card.html").is_file()
    assert json.loads((tmp_path / "card" / "card.json").read_text())["num_images"] == 40
    labels_only = Chestxray14Config(images=ImagesConfig(labels_only=True))
    with pytest.raises(UsageError, match="--labels-only"):
        prepare(labels_only, simulated, tmp_path / "other.parquet", options)


def test_one_exposure_in_two_splits_stops_it_and_no_manifest_is_written(simulated: Path, tmp_path: Path) -> None:
    root = tmp_path / "leaking"
    shutil.copytree(simulated, root)
    train = (root / "train_val_list.txt").read_text().split()[0]
    test = (root / "test_list.txt").read_text().split()[0]
    shutil.copy(root / "images" / train, root / "images" / test)
    with pytest.raises(ManifestError, match=test):
        prepare(Chestxray14Config(), root, tmp_path / "m.parquet", PrepareOptions(check_images=True))
    assert not (tmp_path / "m.parquet").exists()
    prepare(Chestxray14Config(), root, tmp_path / "m.parquet")


@pytest.mark.parametrize("source", [name for name, source in SOURCES.items() if source.mappings])
def test_what_becomes_what_is_shown_for_every_source(source: str) -> None:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, [source, "--list-findings", "--json"])
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert [one["label"] for one in shown] == [mapping.label for mapping in SOURCES[source].mappings]


def test_without_a_folder_the_command_says_what_is_missing() -> None:
    app = typer.Typer()
    app.command()(command)
    assert isinstance(CliRunner().invoke(app, ["chestxray14"]).exception, UsageError)


def test_a_wrong_name_for_the_manifest_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"ends in \.parquet"):
        prepare(Chestxray14Config(), tmp_path / "nowhere", tmp_path / "m.csv")
