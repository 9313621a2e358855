"""The paper's table on each data set: its grid and its files train on simulated radiographs in that layout.

Two steps of four small images each, without ImageNet weights. Every net of the grids is trained on one of the data
sets; the other files with timm's nets train a small one in their place. tests/contracts/test_configs.py builds all.
"""

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from pocketcxr.distill.objectives import needs_teacher
from pocketcxr.manifest.schema import read_manifest
from pocketcxr.models.teachers import OWN
from pocketcxr.models.timm_facts import timm_facts
from pocketcxr.phantom.config import LabelNoise, PhantomConfig
from pocketcxr.recipes.compare import dry_run
from pocketcxr.recipes.compare_config import GridConfig
from pocketcxr.recipes.compare_plan import Cell, make_plan
from pocketcxr.recipes.config import load_config
from pocketcxr.recipes.distill import distill
from pocketcxr.recipes.prepare import prepare, source_config
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.simulate import simulate
from pocketcxr.recipes.teacher_config import RunTeacher
from pocketcxr.recipes.train import train
from pocketcxr.train.run_dir import RunDir

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGS = REPOSITORY / "configs"
SIZE = 64
TEACHERS = {
    "chestxray14": ("densenet161",),
    "chexpert": ("autoformerv2-tiny",),
    "padchest": ("visformer-small",),
    "chestmnist": ("ofa-595", "eeea-net-c2"),
}
"""Those that are trained on each data set."""


@dataclass(frozen=True)
class Prepared:
    """A simulated data set, its manifest made as docs/reproduce.md says."""

    name: str
    manifest: Path
    out: Path


def prepare_settings(source: str) -> list[str]:
    """The --set values of the page's command for the source."""
    page = (REPOSITORY / "docs" / "reproduce.md").read_text()
    [command] = re.findall(rf"^    pocketcxr prepare {source} .*$", page, flags=re.MULTILINE)
    words = shlex.split(command)
    return [value for flag, value in pairwise(words) if flag == "--set"]


@pytest.fixture(scope="module", params=sorted(TEACHERS))
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    name = str(request.param)
    folder = tmp_path_factory.mktemp(name)
    phantom = PhantomConfig(
        layout=name,
        images=48,
        size=SIZE,
        seed=2,
        prevalence_scale=6.0,
        test_fraction=0.3,
        label_noise=LabelNoise(strength=0.5),
    )
    root = simulate(phantom, folder / "phantoms")
    # The simulated ChestMNIST is as small as the other layouts, the real one has 224 pixels.
    settings = [setting.replace("size=224", f"size={SIZE}") for setting in prepare_settings(name)]
    prepare(source_config(name, None, settings), root, folder / "m.parquet")
    yield Prepared(name, folder / "m.parquet", folder / "out")
    shutil.rmtree(folder)  # checkpoints of large nets


def small(config: RunConfig, manifest: Path) -> RunConfig:
    """The same training on few small images and without ImageNet weights, as every machine can run it."""
    net = config.net.model_copy(update={"weights": "none"})
    only_size = None if net.name in OWN else timm_facts(net.name, net.output_stride).fixed_size
    few = {"steps": 2, "batch_size": 4, "warmup_steps": 1, "evaluate_every": 2, "checkpoint_every": 2}
    return config.model_copy(
        update={
            "manifest": manifest,
            "net": net,
            "preprocess": config.preprocess.model_copy(update={"size": only_size or SIZE}),
            "optim": config.optim.model_copy(update=few),
            "device": "cpu",
        }
    )


def first_cells(cells: tuple[Cell, ...], name: str) -> list[Cell]:
    """Of the data set's teachers the training, and of their student that of the first seed by each objective."""
    first = min(cell.seed for cell in cells if cell.seed is not None)
    wanted = {*TEACHERS[name], None}
    return [cell for cell in cells if cell.teacher in wanted and cell.seed in {None, first}]


def test_the_grid_fits_the_data_and_all_its_trainings_are_valid(prepared: Prepared) -> None:
    path = CONFIGS / prepared.name / "paper-table.yaml"
    cells = dry_run(load_config(GridConfig, path, [f"manifest={prepared.manifest}"]), prepared.out, str(path))
    assert len(cells) == 5 + 3 + 3 * 5 * 2
    manifest = read_manifest(prepared.manifest)
    assert {cell.config.findings for cell, _ in cells} == {tuple(manifest.findings)}


def test_the_grids_trainings_run(prepared: Prepared) -> None:
    path = CONFIGS / prepared.name / "paper-table.yaml"
    plan = make_plan(load_config(GridConfig, path, [f"manifest={prepared.manifest}"]), prepared.out, str(path))
    cells = first_cells(plan.cells, prepared.name)
    assert {cell.role for cell in cells} == {"teacher", "alone", "distilled"}
    for cell in cells:
        recipe = distill if needs_teacher(cell.config.objective) else train
        assert RunDir(recipe(small(cell.config, prepared.manifest), cell.folder)).is_finished(), cell.name


def test_the_other_files_train_too(prepared: Prepared, tmp_path: Path) -> None:
    files = sorted((CONFIGS / prepared.name).glob("*.yaml"))
    configs = {path: load_config(RunConfig, path) for path in files if path.name != "paper-table.yaml"}
    taught = {path: config for path, config in configs.items() if config.teacher is not None}
    assert taught
    runs = {path: tmp_path / path.stem for path in files}
    teacher = None
    for path in sorted(configs, key=lambda path: path in taught):
        config = small(configs[path], prepared.manifest)
        if config.net.name not in OWN:
            config = config.model_copy(update={"net": config.net.model_copy(update={"name": "test_efficientnet"})})
            teacher = RunTeacher(run=runs[path], cache=False)
        if path in taught:
            config = config.model_copy(update={"teacher": teacher})
        assert RunDir(train(config, runs[path])).is_finished(), path.name
