"""The command: what a dry run lists, what is told where, with which exit code it ends."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from pocketcxr.apps.cli.compare import compare
from pocketcxr.domain.errors import ConfigError
from pocketcxr.domain.progress import Progress
from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.hierarchical import SeededFigure, SeededReport
from pocketcxr.recipes import compare as recipe
from pocketcxr.recipes.compare_config import GridConfig
from pocketcxr.recipes.compare_results import ArmResult, CompareReport, Cost, Failure

app = typer.Typer()
app.command()(compare)
GRID = {
    "manifest": "m.parquet",
    "base": {"augment": {"num_views": 1}},
    "teachers": {"big": {"net": {"name": "densenet121"}}},
    "students": {"c2": {"net": {"name": "eeea-net-c2"}}},
    "objectives": {"soft": "soft-bce"},
    "seeds": [0, 1],
}


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump(GRID))
    return path


def report(value: float) -> SeededReport:
    figure = SeededFigure(
        estimate=Estimate(value=value, low=value - 0.02, high=value + 0.02), by_seed=(value, value), spread=0.004
    )
    return SeededReport(seeds=(0, 1), findings={"Effusion": figure}, mean=figure, mean_over=("Effusion",))


def arm(is_chosen: bool) -> ArmResult:
    cost = Cost(
        model="eeea-net-c2",
        parameters=4_732_838,
        macs=289_941_952,
        milliseconds=7.0,
        engine="PyTorch",
        seconds=700.0,
        images_per_second=90.0,
        steps=600,
        images_seen=19_200,
        energy_proxy_macs=5.6e12,
    )
    return ArmResult(
        name="c2 big soft",
        role="distilled",
        student="c2",
        teacher="big",
        objective="soft",
        seeds=(0, 1),
        missing_seeds=(),
        choosing_auroc=0.74,
        choosing_by_seed=(0.73, 0.75),
        reported=report(0.75),
        minus_alone=report(0.04),
        minus_teacher=None,
        gap_closed=None,
        is_chosen=is_chosen,
        cost=cost,
    )


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """(failures) -> puts a comparison that is over in the place of the recipe."""

    def put(*failures: Failure) -> None:
        def done(config: GridConfig, out: Path, progress: Progress, where: str) -> recipe.CompareResult:
            progress("cells", 0, 1)
            progress("c2 big soft s0: training", 3, 3, {"loss": 0.5})
            made = CompareReport(
                created="2026",
                environment={},
                grid=config,
                is_simulated=True,
                num_images=1200,
                num_patients=400,
                arms=(arm(is_chosen=True),),
                failures=failures,
            )
            return recipe.CompareResult(made, out)

        monkeypatch.setattr(recipe, "compare", done)

    return put


def test_a_dry_run_lists_every_training_and_writes_nothing(grid: Path, tmp_path: Path) -> None:
    told = CliRunner().invoke(app, [str(grid), "--out", str(tmp_path / "out"), "--dry-run"])
    assert told.exit_code == 0
    assert "teacher big" in told.stdout
    assert "c2 big soft s1" in told.stdout
    assert "5 trainings: 5 new. Nothing was trained." in told.stderr
    assert not (tmp_path / "out").exists()


def test_a_dry_run_as_json(grid: Path, tmp_path: Path) -> None:
    told = CliRunner().invoke(
        app, [str(grid), "--out", str(tmp_path / "out"), "--dry-run", "--json", "--set", "seeds=[7]"]
    )
    listed = json.loads(told.stdout)
    assert [cell["cell"] for cell in listed] == ["teacher big", "c2 alone s7", "c2 big soft s7"]
    assert {cell["state"] for cell in listed} == {"new"}


def test_a_typo_is_a_wrong_config(grid: Path, tmp_path: Path) -> None:
    told = CliRunner().invoke(app, [str(grid), "--out", str(tmp_path / "out"), "--set", "students.c2.net.nmae=x"])
    assert isinstance(told.exception, ConfigError)
    assert "grid.yaml: students.c2.net.nmae is not a setting" in str(told.exception)


def test_the_table_fits_eighty_columns(
    grid: Path, tmp_path: Path, finished: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    finished()
    monkeypatch.setenv("COLUMNS", "80")
    told = CliRunner().invoke(app, [str(grid), "--out", str(tmp_path / "out")])
    assert told.exit_code == 0
    assert "SIMULATED" in told.stdout
    assert "c2 big soft *" in told.stdout
    assert "+0.040 (+0.020 to +0.060)" in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 80
    assert "[1/1] c2 big soft s0" in told.stderr
    assert "c2 from big by soft: +0.040 mean AUROC over alone" in told.stderr


def test_failures_are_told_and_end_with_one(grid: Path, tmp_path: Path, finished: Callable[..., None]) -> None:
    finished(Failure(cell="c2 big soft s1", kind="PocketCxrError", message="it diverged", traceback="..."))
    told = CliRunner().invoke(app, [str(grid), "--out", str(tmp_path / "out")])
    assert told.exit_code == 1
    assert "c2 big soft s1: it diverged" in told.stderr


def test_json_is_the_report(grid: Path, tmp_path: Path, finished: Callable[..., None]) -> None:
    finished()
    told = CliRunner().invoke(app, [str(grid), "--out", str(tmp_path / "out"), "--json"])
    assert json.loads(told.stdout)["arms"][0]["name"] == "c2 big soft"
