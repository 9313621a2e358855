"""Every YAML in configs/ loads, says only what differs from the defaults, and names nets and features there are.

tests/integration/test_paper_tables.py trains with those of the four data sets.
"""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pocketcxr.distill.config import OBJECTIVES
from pocketcxr.distill.objectives import feature_stride
from pocketcxr.distill.self_teacher import SelfTeacher
from pocketcxr.distill.taps import Tapped, num_channels
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.teachers import CURATED, OWN
from pocketcxr.recipes.compare_config import GridConfig
from pocketcxr.recipes.compare_layers import merge
from pocketcxr.recipes.compare_plan import Plan, make_plan
from pocketcxr.recipes.config import config_data, load_config
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.teacher_config import BundleTeacher, EnsembleTeacher, NetTeacher, RunTeacher

FOLDER = Path(__file__).resolve().parents[2] / "configs"
GRIDS = sorted(path for path in FOLDER.rglob("*.yaml") if "students" in yaml.safe_load(path.read_text()))
FILES = sorted(set(FOLDER.rglob("*.yaml")) - set(GRIDS))


def names(path: Path) -> str:
    return str(path.relative_to(FOLDER))


@cache
def plan_of(path: Path) -> Plan:
    """The grid's cells: making them validates every one."""
    return make_plan(load_config(GridConfig, path), Path("out"), str(path))


def test_there_are_configs() -> None:
    assert FILES
    assert GRIDS


@pytest.mark.parametrize("path", FILES, ids=names)
def test_it_loads(path: Path) -> None:
    assert load_config(RunConfig, path)


@pytest.mark.parametrize("path", [*FILES, *GRIDS], ids=names)
def test_it_begins_with_its_reason(path: Path) -> None:
    assert path.read_text().startswith("# ")


DEFAULTS = config_data(load_config(RunConfig, None, ["manifest=m", "net.name=n"]))


@pytest.mark.parametrize("path", FILES, ids=names)
def test_it_holds_only_differences_from_the_defaults(path: Path) -> None:
    assert_differences(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("path", GRIDS, ids=names)
def test_a_grid_holds_only_differences_from_the_defaults_and_from_its_base(path: Path) -> None:
    data = yaml.safe_load(path.read_text())
    base = data.get("base", {})
    assert_differences(base)
    without = merge(DEFAULTS, base)
    for entry in (*data.get("teachers", {}).values(), *data["students"].values()):
        for key, value in entry.items() if "kind" not in entry else ():
            # A section may repeat a value that belongs to one that differs: a mean to its deviation.
            assert merge(without, {key: value}) != without, key


def assert_differences(settings: dict[str, Any]) -> None:
    for key, value in settings.items():
        assert value != DEFAULTS[key], key
        if isinstance(value, dict) and isinstance(DEFAULTS[key], dict):
            same = [inner for inner, given in value.items() if given == DEFAULTS[key][inner] and key != "objective"]
            assert not same, f"{key}.{same}"


def nets() -> list[NetConfig]:
    """Every net of every file and grid, once, its weights left out."""
    configs = [load_config(RunConfig, path) for path in FILES]
    configs += [cell.config for path in GRIDS for cell in plan_of(path).cells]
    return sorted({config.net.model_copy(update={"weights": "none"}) for config in configs}, key=str)


@pytest.mark.parametrize("net", nets(), ids=lambda net: f"{net.name}-{net.output_stride}")
def test_its_net_exists(net: NetConfig) -> None:
    assert build_weightless(net)


@pytest.mark.parametrize("path", GRIDS, ids=names)
def test_every_teacher_and_student_of_a_grid_has_the_features_its_objectives_compare(path: Path) -> None:
    plan = plan_of(path)
    strides = {feature_stride(cell.config.objective) for cell in plan.students} - {None}
    for net in {cell.config.net.model_copy(update={"weights": "none"}) for cell in plan.cells}:
        for stride in strides:
            assert num_channels(Tapped(build_weightless(net), stride), 224) > 0


PAPER_TABLES = sorted(path for path in GRIDS if path.name == "paper-table.yaml")


def test_each_of_the_four_data_sets_has_its_table() -> None:
    assert {path.parent.name for path in PAPER_TABLES} == {"chestxray14", "chexpert", "padchest", "chestmnist"}


@pytest.mark.parametrize("path", PAPER_TABLES, ids=names)
def test_a_paper_table_has_the_papers_five_teachers_and_its_student_at_its_size(path: Path) -> None:
    plan, grid = plan_of(path), load_config(GridConfig, path)
    taught_by = {cell.config.net.name for cell in plan.teachers}
    autoformer = "swin_s3_tiny_224"  # AutoFormerV2-T, as timm calls it
    assert taught_by == {"densenet161", "ofa-595", "eeea-net-c2", "visformer_small", autoformer}
    assert taught_by <= {*CURATED, *OWN}
    assert {cell.config.net.name for cell in plan.students} == {"eeea-net-c2"}
    assert {cell.config.preprocess.size for cell in plan.cells} == {224}
    assert len(grid.seeds) >= 3
    assert grid.alone
    assert grid.objectives["paper"] == "paper"
    assert {len(cell.config.findings) for cell in plan.cells} == {19 if path.parent.name == "padchest" else 14}


def build_weightless(config: NetConfig) -> torch.nn.Module:
    """The net without weights, which takes no time however large it is."""
    with torch.device("meta"):
        return build(config, num_findings=14)


def test_the_reference_names_every_setting_and_its_kinds() -> None:
    text = (FOLDER.parent / "docs" / "reference" / "config.md").read_text()
    settings = config_data(load_config(RunConfig, None, ["manifest=m", "net.name=n"]))
    nested = {key: value for key, value in settings.items() if isinstance(value, dict) and key != "objective"}
    wanted = [f"{key}.{inner}" for key, value in nested.items() for inner in value]
    wanted += [key for key in settings if key not in nested and key not in {"objective", "teacher"}]
    for teacher in (RunTeacher, NetTeacher, BundleTeacher, EnsembleTeacher, SelfTeacher):
        wanted += [f"teacher.{name}" for name in teacher.model_fields]
    missing = [name for name in wanted if f"`{name}`" not in text]
    assert not missing
    kinds = {term.kind for objective in OBJECTIVES.values() for term in objective.terms}
    assert all(f"`{kind}`" in text for kind in kinds)
