"""SIMULATED.txt: a folder with anything but the same simulation is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketcxr._version import __version__
from pocketcxr.domain.errors import UsageError
from pocketcxr.phantom.config import LAYOUTS, LabelNoise, PhantomConfig
from pocketcxr.phantom.write import simulate

Tree = Callable[[Path], dict[str, str]]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"size": 64}, "size 32 there, 64 asked for"),
        ({"layout": "chexpert"}, "layout chestxray14 there, chexpert asked for"),
        ({"images": 71}, "images 70 there, 71 asked for"),
        ({"label_noise": LabelNoise(strength=1, confusion=0.3)}, "label_noise.confusion 0.2 there, 0.3 asked for"),
        ({"label_noise": LabelNoise(strength=0.5)}, "label_noise.strength 1.0 there, 0.5 asked for"),
    ],
)
def test_another_configuration_in_the_same_folder_is_refused(
    simulated: Path, config: PhantomConfig, tree: Tree, change: dict[str, object], named: str
) -> None:
    before = tree(simulated)
    with pytest.raises(UsageError, match=named) as refused:
        simulate(simulated, config.model_copy(update=change))
    assert "name another folder" in str(refused.value)
    assert tree(simulated) == before


def test_a_simulation_of_another_version_is_refused(config: PhantomConfig, tmp_path: Path) -> None:
    config = config.model_copy(update={"images": 2})
    notice = simulate(tmp_path / "old", config) / "SIMULATED.txt"
    notice.write_text(notice.read_text().replace(f"version: {__version__}", "version: 0.0.1"))
    with pytest.raises(UsageError, match=r"pocketcxr 0\.0\.1"):
        simulate(tmp_path / "old", config)


def test_a_folder_with_other_files_is_never_written_into(config: PhantomConfig, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="new or an empty folder"):
        simulate(tmp_path, config)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(UsageError, match="is a file"):
        simulate(tmp_path / "thesis.txt", config)


def test_a_notice_that_is_not_ours_is_refused(config: PhantomConfig, tmp_path: Path) -> None:
    (tmp_path / "SIMULATED.txt").write_text("by somebody else")
    with pytest.raises(UsageError, match="no state, version or config"):
        simulate(tmp_path, config)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_notice_tells_of_everything_that_lies_there(layout: str, tmp_path: Path) -> None:
    config = PhantomConfig(layout=layout, images=12, size=64)
    out = simulate(tmp_path / layout, config)
    text = (out / "SIMULATED.txt").read_text()
    assert "Nothing in this folder comes from a patient" in text
    assert config.told() in text
    told = text.replace("SIZE", "64")
    for path in out.iterdir():
        spelled = {"valid_clean.csv": "train_clean.csv and so on", "test_clean.csv": "train_clean.csv and so on"}
        assert path.name == "SIMULATED.txt" or spelled.get(path.name, path.name) in told
    assert max(len(line) for line in text.split("\nstate:")[0].splitlines()) <= 120


def test_settings_that_a_layout_does_not_use_are_not_told() -> None:
    states = {"unmentioned", "uncertain"}
    for layout in LAYOUTS:
        config = PhantomConfig(layout=layout, images=1)
        told = set(json.loads(config.told())["label_noise"])
        assert told & states == (states if layout == "chexpert" else set())
        assert told | states == set(config.label_noise.model_dump())
