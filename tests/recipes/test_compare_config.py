"""A grid as it is written: every mistake has its place and is found at once; every cell is a whole training."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pocketcxr.domain.errors import ConfigError, UnknownNameError
from pocketcxr.recipes.compare_config import GridConfig
from pocketcxr.recipes.compare_plan import Plan, make_plan
from pocketcxr.recipes.config import load_config
from pocketcxr.recipes.teacher_config import EnsembleTeacher, RunTeacher

OUT = Path("out")
MakePlan = Callable[..., Plan]


@pytest.fixture
def plan(tmp_path: Path) -> MakePlan:
    """(settings) -> the plan of two teachers, two students and three objectives on two seeds."""
    grid = {
        "manifest": "m.parquet",
        "base": {"preprocess": {"size": 64}, "optim": {"steps": 40, "warmup_steps": 4}, "augment": {"num_views": 2}},
        "teachers": {
            "big": {"net": {"name": "densenet121"}, "optim": {"steps": 80}},
            "both": {"kind": "ensemble", "members": ["big", {"kind": "bundle", "bundle": "b.zip"}]},
        },
        "students": {"map": {"net": {"name": "eeea-net-c2-map"}}, "lite": {"net": {"name": "eeea-net-c2-lite-map"}}},
        "objectives": {
            "soft": "soft-bce",
            "mine": {"terms": [{"kind": "bce"}, {"kind": "mld", "weight": 2}]},
            "views": {"objective": "mld", "augment": {"num_views": 1}, "teacher": {"cache": False}},
        },
        "seeds": [3, 4],
    }
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump(grid, sort_keys=False))

    def make(*settings: str) -> Plan:
        return make_plan(load_config(GridConfig, path, settings), OUT, "grid.yaml")

    return make


def test_every_combination_is_a_cell_with_its_own_folder(plan: MakePlan) -> None:
    whole = plan()
    assert [cell.name for cell in whole.teachers] == ["teacher big"]
    assert [teacher.name for teacher in whole.known] == ["teacher both"]
    assert len(whole.students) == 2 * 2 * (1 + 2 * 3)
    assert len({cell.folder for cell in whole.cells}) == len(whole.cells)
    names = {cell.name: cell for cell in whole.cells}
    assert names["map alone s3"].folder == OUT / "runs" / "map" / "alone" / "s3"
    assert names["lite big soft s4"].folder == OUT / "runs" / "lite" / "big" / "soft" / "s4"
    assert names["teacher big"].folder == OUT / "teachers" / "big-shared"


def test_later_layers_win_and_lists_are_replaced(plan: MakePlan) -> None:
    names = {cell.name: cell.config for cell in plan().cells}
    assert (names["teacher big"].optim.steps, names["teacher big"].optim.warmup_steps) == (80, 4)
    assert names["map big views s3"].augment.num_views == 1
    assert names["map big mine s3"].augment.num_views == 2
    assert [term.kind for term in names["map big mine s3"].objective.terms] == ["bce", "mld"]
    assert (names["map alone s4"].seed, names["teacher big"].seed) == (4, 0)
    assert names["map alone s4"].teacher is None
    assert names["map alone s4"].cohort.cache_folder == OUT / "cache"


def test_students_are_taught_by_the_teachers_of_the_grid(plan: MakePlan) -> None:
    names = {cell.name: cell for cell in plan().cells}
    big = RunTeacher(run=OUT / "teachers" / "big-shared")
    assert names["map big soft s3"].config.teacher == big
    assert names["map big views s3"].config.teacher == big.model_copy(update={"cache": False})
    both = names["map both soft s3"].config.teacher
    assert isinstance(both, EnsembleTeacher)
    assert both.members[0] == big
    assert names["map both soft s3"].needs == names["map big soft s3"].needs == (OUT / "teachers" / "big-shared",)
    assert names["map alone s3"].needs == ()


def test_a_teacher_for_each_seed_teaches_that_seed(plan: MakePlan) -> None:
    whole = plan("teacher_seed=each")
    assert [cell.name for cell in whole.teachers] == ["teacher big s3", "teacher big s4"]
    assert [teacher.name for teacher in whole.known] == ["teacher both s3", "teacher both s4"]
    names = {cell.name: cell for cell in whole.cells}
    assert names["map big soft s4"].needs == (OUT / "teachers" / "big-s4",)


def test_what_is_left_out_is_not_trained(plan: MakePlan) -> None:
    whole = plan("leave_out=[{teacher: both, objective: soft}, {student: lite, objective: mine}]")
    names = {cell.name for cell in whole.cells}
    assert len(names) == len(plan().cells) - 2 * 2 - 2 * 2
    assert "map both soft s3" not in names
    assert "lite big mine s3" not in names


def test_students_alone_need_neither_teacher_nor_objective(plan: MakePlan) -> None:
    whole = plan("teachers={}", "objectives={}")
    assert {cell.role for cell in whole.cells} == {"alone"}
    assert not any(cell.role == "alone" for cell in plan("alone=false").cells)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("base.optim.stesp=3", r"grid\.yaml: base\.optim\.stesp is not a setting; did you mean 'steps'"),
        ("students.map.net.nmae=x", r"students\.map\.net\.nmae is not a setting; did you mean 'name'"),
        ("teachers.big.optim.steps=0", r"teachers\.big\.optim\.steps: Input should be greater"),
        ("teachers.both.wieghting=mean", r"teachers\.both\.wieghting is not a setting; did you mean 'weighting'"),
        ("teachers.both.members=[bgi, big]", r"teachers\.both\.members: 'bgi' is no teacher .* available: big"),
        ("objectives.mine.terms.1.wieght=3", r"objectives\.mine\.terms\.1\.wieght .* did you mean 'weight'"),
        ("objectives.mine.terms.1.kind=mdl", r"objectives\.mine\.terms\.1\.kind: 'mdl' is unknown; did you mean 'mld'"),
        ("objectives.views.augment.num_veiws=3", r"objectives\.views\.augment\.num_veiws .* did you mean 'num_views'"),
        ("students.map.net=null", r"students\.map\.net: Input should be a valid dictionary"),
        ("students.map={}", r"student map alone: net is missing"),
        ("base.augment={}", r"student map from big by soft: .*teacher cache needs a number of views"),
        ("objectives.soft=soft-bce+hint", r"student map from both by soft: .*hint needs features; an ensemble"),
        ("students.map.labels.uncertain=positive", r"would be tested on different labels"),
        ("students.map.seed=3", r"students\.map\.seed is not yours to set"),
        ("base.manifest=x", r"base\.manifest is not yours to set"),
        ("sedes=[1]", r"sedes is not a setting; did you mean 'seeds'"),
        ("seeds=[1, 1]", "names one twice"),
        ("teachers.alone={net: {name: densenet121}}", "cannot be called 'alone'"),
        ("students.a/b={}", "String should match pattern"),
        ("objectives={}", "belong together"),
        ("leave_out=[{teacher: bgi}]", r"there is no teacher 'bgi'; available: big, both"),
        ("report_split=validation", "flattered by the same patients"),
        ("choose_split=train", "trained on neither chooses nor reports"),
    ],
)
def test_a_mistake_is_found_with_its_place(plan: MakePlan, setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(setting)


@pytest.mark.parametrize("place", ["objectives.soft", "objectives.views.objective"])
def test_an_unknown_objective_lists_those_there_are(plan: MakePlan, place: str) -> None:
    with pytest.raises(
        UnknownNameError, match=rf"{place}: objective 'mdl' .* did you mean 'mld'.* available: alone, .*xkd|soft"
    ):
        plan(f"{place}=mdl")


def test_every_mistake_is_told_at_once_and_only_once(plan: MakePlan) -> None:
    with pytest.raises(ConfigError) as caught:
        plan("base.optim.stesp=3", "students.map.net.nmae=x", "objectives.mine.terms.1.wieght=3")
    lines = str(caught.value).splitlines()
    assert len(lines) == len(set(lines)) == 3


def test_soft_values_may_differ_since_they_test_on_the_same_labels(plan: MakePlan) -> None:
    assert plan("students.map.labels.uncertain=0.7").cells
