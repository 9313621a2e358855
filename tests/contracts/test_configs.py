"""Every YAML in configs/ loads, says only what differs from the defaults, and names a net there is."""

from pathlib import Path

import pytest
import yaml

from pocketcxr.distill.config import OBJECTIVES
from pocketcxr.models.build import build
from pocketcxr.recipes.config import config_data, load_config
from pocketcxr.recipes.run_config import RunConfig, TeacherConfig

FOLDER = Path(__file__).resolve().parents[2] / "configs"
FILES = sorted(FOLDER.rglob("*.yaml"))


def names(path: Path) -> str:
    return str(path.relative_to(FOLDER))


def test_there_are_configs() -> None:
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=names)
def test_it_loads_and_begins_with_its_reason(path: Path) -> None:
    assert load_config(RunConfig, path)
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("path", FILES, ids=names)
def test_it_holds_only_differences_from_the_defaults(path: Path) -> None:
    defaults = config_data(load_config(RunConfig, None, ["manifest=m", "net.name=n"]))
    for key, value in yaml.safe_load(path.read_text()).items():
        assert value != defaults[key], key
        if isinstance(value, dict) and isinstance(defaults[key], dict):
            same = [inner for inner, given in value.items() if given == defaults[key][inner] and key != "objective"]
            assert not same, f"{key}.{same}"


@pytest.mark.parametrize("name", sorted({load_config(RunConfig, path).net.name for path in FILES}))
def test_its_net_exists(name: str) -> None:
    config = load_config(RunConfig, None, ["manifest=m", f"net.name={name}"])
    assert build(config.net, num_findings=len(config.findings))


def test_the_reference_names_every_setting_and_its_kinds() -> None:
    text = (FOLDER.parent / "docs" / "reference" / "config.md").read_text()
    settings = config_data(load_config(RunConfig, None, ["manifest=m", "net.name=n"]))
    nested = {key: value for key, value in settings.items() if isinstance(value, dict) and key != "objective"}
    wanted = [f"{key}.{inner}" for key, value in nested.items() for inner in value]
    wanted += [key for key in settings if key not in nested and key not in {"objective", "teacher"}]
    wanted += [f"teacher.{name}" for name in TeacherConfig.model_fields]
    missing = [name for name in wanted if f"`{name}`" not in text]
    assert not missing
    kinds = {term.kind for objective in OBJECTIVES.values() for term in objective.terms}
    assert all(f"`{kind}`" in text for kind in kinds)
