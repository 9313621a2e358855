"""YAML and --set become one frozen config; a typo fails with its path and the nearest right key."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from pocketcxr.distill.config import MldTerm, ObjectiveConfig
from pocketcxr.domain.errors import ConfigError
from pocketcxr.recipes.config import config_data, load_config
from pocketcxr.recipes.run_config import RunConfig

NEEDED = ("manifest=m.parquet", "net.name=eeea-net-c2-map")


class Inner(BaseModel, frozen=True, extra="forbid"):
    size: int = 3
    rates: dict[str, float] = {}


class Outer(BaseModel, frozen=True, extra="forbid"):
    inner: Inner = Inner()
    maybe: Inner | None = None
    numbers: tuple[int, ...] = (1, 2, 3)
    objective: ObjectiveConfig = ObjectiveConfig()
    name: str = "x"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "e.yaml"
    path.write_text(text)
    return path


def test_no_file_and_an_empty_file_are_the_defaults(tmp_path: Path) -> None:
    assert load_config(Outer, None) == load_config(Outer, write(tmp_path, "")) == Outer()


def test_overrides_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, "inner: {size: 5}\nname: file\n")
    config = load_config(Outer, path, ["name=set", "maybe.size=7", "inner.rates.a=0.5"])
    assert (config.inner.size, config.name, config.maybe, config.inner.rates) == (5, "set", Inner(size=7), {"a": 0.5})


def test_values_are_read_as_yaml(tmp_path: Path) -> None:
    config = load_config(Outer, None, ["numbers=[4, 5]", "maybe=null", "name=a=b", "inner.rates={a: 1e-3}"])
    assert (config.numbers, config.maybe, config.name, config.inner.rates) == ((4, 5), None, "a=b", {"a": 1e-3})


def test_list_items_are_set_by_position_even_when_only_the_defaults_hold_the_list(tmp_path: Path) -> None:
    path = write(tmp_path, "objective: {terms: [{kind: bce}, {kind: mld}]}")
    config = load_config(Outer, path, ["objective.terms.1.weight=2", "numbers.0=9", "objective.terms.0.weight=3"])
    assert config.objective.terms[1] == MldTerm(weight=2)
    assert config.numbers == (9, 2, 3)
    assert load_config(Outer, None, ["objective.terms.0.weight=2"]).objective.terms[0].weight == 2


def test_what_a_run_keeps_is_read_back_the_same(tmp_path: Path) -> None:
    config = load_config(RunConfig, None, [*NEEDED, "augment.num_views=4", "cohort.view_positions=[PA]"])
    path = write(tmp_path, yaml.safe_dump(config_data(config)))
    assert load_config(RunConfig, path) == config


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["optim.learning_rat=1"], ["optim.learning_rat is not a setting", "'learning_rate'"]),
        (["optm.steps=1"], ["optm is not a setting", "'optim'"]),
        (["optim.steps=none"], ["optim.steps", "integer", "'none'"]),
        (["objective.terms=[{kind: mdl}]"], ["objective.terms.0.kind: 'mdl' is unknown", "did you mean 'mld'", "xkd"]),
        (["objective.terms=[{weight: 1}]"], ["objective.terms.0.kind is missing"]),
        (["objective.terms=[{kind: bce, weigth: 1}]"], ["objective.terms.0.weigth", "'weight'", "imbalance"]),
        (
            ["objective.terms=[{kind: bce}, {kind: xkd, temprature: 1}]"],
            ["objective.terms.1.temprature", "'temperature'"],
        ),
        (["cohort.view_positions=[XX]"], ["cohort.view_positions.0", "'PA', 'AP'"]),
        (["teacher.kind=run", "teacher.rum=a"], ["teacher.rum is not a setting", "'run'"]),
        (["teacher.cache=true"], ["teacher.kind is missing"]),
        (["teacher.kind=bundel"], ["teacher.kind: 'bundel' is unknown", "did you mean 'bundle'", "ensemble"]),
        (["teacher.kind=run"], ["teacher.run is missing"]),
        (["teacher={kind: ensemble, members: [{kind: run, run: a}]}"], ["teacher.members", "at least 2"]),
        (
            ["teacher={kind: ensemble, members: [{kind: run, run: a}, {kind: bundle, bundel: b}]}"],
            ["teacher.members.1.bundel is not a setting", "'bundle'"],
        ),
        (
            ["teacher={kind: ensemble, members: [{kind: run, run: a}, {kind: run, run: b, cache: false}]}"],
            ["the ensemble's cache speaks for all members"],
        ),
        (["teacher={kind: net, net: {name: resnet50}, findings: [Mass]}"], ["random weights can teach nothing"]),
        (
            ["teacher={kind: net, net: {name: resnet50, weights: imagenet}, findings: [Mass]}"],
            ["know no finding yet", "pocketcxr train"],
        ),
        (["teacher={kind: net, net: {name: 'xrv:densenet121-res224-all'}}"], ["teacher.findings is missing"]),
        (
            ["teacher={kind: net, net: {name: 'xrv:densenet121-res224-all'}, findings: [Mass]}"],
            ["takes pixels in -1..1", "mean 0.5 and std 0.5 (got 0.5 and 0.25)"],
        ),
        (["objective.terms=[{kind: mld}]"], ["learns from a teacher"]),
        (["teacher.kind=run", "teacher.run=runs/teacher"], ["no term of the objective learns from it"]),
        (
            ["teacher.kind=run", "teacher.run=runs/teacher", "objective.terms=[{kind: mld}]"],
            ["augment.num_views", "teacher.cache: false"],
        ),
        (["findings=[Mass, Mass]"], ["twice"]),
        (["optim.steps=10"], ["warmup_steps"]),
        (["seed=-1", "device=gpu"], ["seed", "device", "'cuda'"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_path(overrides: list[str], parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(RunConfig, None, [*NEEDED, *overrides])
    for part in parts:
        assert part in str(caught.value)


def test_what_has_no_default_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="manifest is missing and has no default"):
        load_config(RunConfig, None, ["net.name=densenet121"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "not of the form"),
        ("=1", "not of the form"),
        ("a..b=1", "not of the form"),
        ("inner.size.x=1", "holds no keys"),
        ("numbers.7=1", "items 0 to 2"),
        ("numbers.first=1", "items 0 to 2"),
        ("name=[", "not valid YAML"),
    ],
)
def test_an_override_that_cannot_be_applied_is_named(tmp_path: Path, override: str, message: str) -> None:
    path = write(tmp_path, "inner: {size: 1}\nnumbers: [1, 2, 3]\n")
    with pytest.raises(ConfigError, match=message):
        load_config(Outer, path, [override])


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml cannot be read"):
        load_config(Outer, tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(Outer, write(tmp_path, "a: ["))
    with pytest.raises(ConfigError, match="holds a list"):
        load_config(Outer, write(tmp_path, "- a"))
    with pytest.raises(ConfigError, match=r"e\.yaml: nmae is not a setting"):
        load_config(Outer, write(tmp_path, "nmae: y"))
