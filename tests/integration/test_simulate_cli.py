"""`pocketcxr simulate` as a person runs it."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pocketcxr.apps.cli.simulate import simulate
from pocketcxr.domain.errors import PocketCxrError, UsageError

app = typer.Typer()
app.command()(simulate)

OPTIONS = ("--images", "6", "--size", "32", "--seed", "3", "--workers", "1", "--label-noise", "0.5")


def run(*arguments: str) -> str:
    """What the command says; raises what it raises."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    return result.stderr


def test_it_writes_the_official_layout_and_names_the_next_step(tmp_path: Path) -> None:
    out = tmp_path / "phantoms"
    said = run(str(out), *OPTIONS, "--prevalence-scale", "2", "--test-fraction", "0.5", "--layout", "chestxray14")
    assert len(list((out / "images").glob("*.png"))) == 6
    assert {path.name for path in out.iterdir()} == {
        "images",
        "Data_Entry_2017_v2020.csv",
        "Data_Entry_2017_v2020_clean.csv",
        "BBox_List_2017.csv",
        "severities.csv",
        "devices.csv",
        "train_val_list.txt",
        "test_list.txt",
        "SIMULATED.txt",
    }
    assert "6 simulated radiographs" in said
    assert f"pocketcxr prepare chestxray14 {out}" in said
    assert "Traceback" not in said


def test_the_same_command_again_is_done_at_once_and_another_is_refused(tmp_path: Path) -> None:
    run(str(tmp_path / "out"), *OPTIONS)
    run(str(tmp_path / "out"), *OPTIONS)
    with pytest.raises(UsageError, match="seed 3 there, 4 asked for"):
        run(str(tmp_path / "out"), *OPTIONS, "--seed", "4")


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--images", "0", "--images 0: Input should be greater than or equal to 1"),
        ("--size", "8", "--size 8: Input should be greater than or equal to 28"),
        ("--label-noise", "1.5", "--label-noise 1.5: Input should be less than or equal to 1"),
        ("--workers", "0", "workers is 0"),
        ("--layout", "chestxray15", "did you mean 'chestxray14'"),
    ],
)
def test_a_wrong_value_is_named_with_its_option(tmp_path: Path, option: str, value: str, says: str) -> None:
    with pytest.raises(PocketCxrError, match=says) as refused:
        run(str(tmp_path / "out"), *OPTIONS, option, value)
    assert refused.value.exit_code == 2
    assert not (tmp_path / "out").exists()
