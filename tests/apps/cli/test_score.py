"""The commands score and bench as a person runs them: exit codes, what is data and what is talk."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from pocketcxr.apps.cli.bench import _threads
from pocketcxr.apps.cli.score import score
from pocketcxr.domain.errors import UsageError
from pocketcxr.imaging.preprocess import PreprocessSpec

from ...tiny_bundles import packed, tiny_net  # noqa: TID252 - tests are no package of the path

app = typer.Typer()
app.command()(score)


@pytest.fixture(scope="module")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net with random weights as a bundle."""
    source = tiny_net(("Effusion", "Mass"), PreprocessSpec(size=32))
    return packed(source, tmp_path_factory.mktemp("bundle") / "tiny.zip")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two X-rays and a letter."""
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 256, (40, 30), dtype=np.uint8)
        (tmp_path / "x").mkdir(exist_ok=True)
        Image.fromarray(noise).save(tmp_path / "x" / f"{number}.png")
    (tmp_path / "x" / "letter.txt").write_text("Dear colleague")
    return tmp_path / "x"


def test_some_refused_is_exit_code_3_and_json_counts_them(folder: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.csv"
    done = CliRunner().invoke(app, [str(tiny_bundle), str(folder), "--out", str(out), "--json"])
    assert done.exit_code == 3
    document = json.loads(done.stdout)
    assert (document["files"], document["scored"], document["refused"]) == (3, 2, {"not-an-image": 1})
    assert "1 of 3 files refused: 1 not-an-image" in done.stderr


def test_what_the_run_writes_is_not_scored_when_it_runs_again(folder: Path, tiny_bundle: Path) -> None:
    (folder / "letter.txt").unlink()
    command = [str(tiny_bundle), str(folder), "--out", str(folder / "s.csv"), "--heatmaps", str(folder / "pictures")]
    first, again = (CliRunner().invoke(app, [*command, "--json"]) for _ in range(2))
    assert first.exit_code == again.exit_code == 0
    assert json.loads(first.stdout)["files"] == json.loads(again.stdout)["kept"] == 2


def test_parquet_holds_what_the_csv_holds(folder: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    CliRunner().invoke(app, [str(tiny_bundle), str(folder), "--out", str(tmp_path / "s.parquet")])
    parquet, rows = pd.read_parquet(tmp_path / "s.parquet"), pd.read_csv(tmp_path / "s.csv")
    assert list(parquet.columns) == list(rows.columns)
    np.testing.assert_allclose(parquet["Mass"], rows["Mass"])
    assert parquet["status"].tolist() == ["scored", "scored", "refused"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--out", "s.txt"], "ends in"),
        (["--out", "no/s.csv"], "no folder"),
        (["--out", "s.csv", "--top", "x"], "--top"),
    ],
)
def test_wrong_usage_is_told_before_any_work(options: list[str], reason: str, folder: Path, tiny_bundle: Path) -> None:
    done = CliRunner().invoke(app, [str(tiny_bundle), str(folder), *options])
    assert isinstance(done.exception, UsageError)
    assert reason in str(done.exception)


def test_threads_are_numbers_with_commas() -> None:
    assert _threads("2, 1,2") == [1, 2]
    for wrong in ("", "0", "a", "1;2"):
        with pytest.raises(UsageError, match="--threads"):
            _threads(wrong)
