"""What train and distill say and print: talk on stderr, JSON on stdout, typos before any work."""

import json
from pathlib import Path

import pytest

from pocketcxr.apps.cli.training import run_training
from pocketcxr.domain.errors import ConfigError
from pocketcxr.domain.progress import Progress
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.train.run_dir import open_run, write_environment

SETTINGS = ["manifest=m.parquet", "net.name=densenet121"]
RESULT = {"steps": 20, "best_step": 10, "best_auroc": 0.7512, "seconds": 30.0, "images_per_second": 99.5}


class Recipe:
    """Stands in for training: leaves a run that says how it ended."""

    def __init__(self, best_auroc: float | None = 0.7512) -> None:
        self.result = {**RESULT, "best_auroc": best_auroc}
        self.configs: list[RunConfig] = []

    def __call__(self, config: RunConfig, out: Path, progress: Progress) -> Path:
        self.configs.append(config)
        progress("training", 20, 20, {"loss": 0.5})
        write_environment(open_run(out, {}), {"result": self.result})
        return out


def test_the_end_is_told_on_stderr_and_stdout_stays_empty(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = Recipe()
    run_training(recipe, None, SETTINGS, tmp_path / "run", is_json=False)
    told = capfd.readouterr()
    assert told.out == ""
    assert "mean validation AUROC 0.751 at step 10; 20 steps in 30 s, 100 images/s" in told.err
    assert "pocketcxr evaluate" in told.err
    assert recipe.configs[0].net.name == "densenet121"


def test_json_is_one_object_on_stdout(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_training(Recipe(), None, SETTINGS, tmp_path / "run", is_json=True)
    printed = json.loads(capfd.readouterr().out)
    assert printed == {"run": str(tmp_path / "run"), "result": RESULT}


def test_an_unknown_auroc_is_said_to_be_unknown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_training(Recipe(best_auroc=None), None, SETTINGS, tmp_path / "run", is_json=False)
    assert "AUROC unknown (no finding had both classes)" in capfd.readouterr().err


def test_a_typo_is_found_before_any_work(tmp_path: Path) -> None:
    recipe = Recipe()
    with pytest.raises(ConfigError, match=r"optim\.step is not a setting"):
        run_training(recipe, None, [*SETTINGS, "optim.step=3"], tmp_path / "run", is_json=False)
    assert not recipe.configs
    assert not (tmp_path / "run").exists()
