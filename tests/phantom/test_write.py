"""The data set on disk, in every layout: the same bytes on any number of workers, resumable, used when finished."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketcxr.domain.errors import PocketCxrError, UsageError
from pocketcxr.domain.progress import NO_FIGURES, Progress
from pocketcxr.phantom import drawing
from pocketcxr.phantom.config import LAYOUTS, PhantomConfig
from pocketcxr.phantom.drawing import Job
from pocketcxr.phantom.layouts.choice import LAYOUTS as LAYOUTS_BY_NAME
from pocketcxr.phantom.picture import Drawn
from pocketcxr.phantom.plan import plan
from pocketcxr.phantom.workers import by_patient, images_a_chunk
from pocketcxr.phantom.write import simulate

Tree = Callable[[Path], dict[str, str]]


@pytest.fixture(scope="module", params=LAYOUTS)
def laid_out(request: pytest.FixtureRequest, config: PhantomConfig) -> PhantomConfig:
    """`config` in each layout."""
    return config.model_copy(update={"layout": request.param})


@pytest.fixture(scope="module")
def whole(laid_out: PhantomConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulation of `laid_out`, drawn by one worker without a stop."""
    return simulate(tmp_path_factory.mktemp(laid_out.layout) / "whole", laid_out)


def test_every_layout_that_is_offered_is_there() -> None:
    assert tuple(LAYOUTS_BY_NAME) == LAYOUTS


def test_the_same_bytes_come_from_one_worker_and_from_two(
    whole: Path, laid_out: PhantomConfig, tmp_path: Path, tree: Tree
) -> None:
    assert len(by_patient(plan(laid_out), images_a_chunk(laid_out.size))) >= 2
    assert tree(simulate(tmp_path / "two", laid_out, workers=2)) == tree(whole)


def test_another_seed_gives_other_images(simulated: Path, config: PhantomConfig, tmp_path: Path) -> None:
    other = simulate(tmp_path / "other", config.model_copy(update={"seed": 12, "images": 3}))
    name = "00000001_000.png"
    assert (other / "images" / name).read_bytes() != (simulated / "images" / name).read_bytes()


def test_a_finished_simulation_is_used_as_it_is(
    whole: Path, laid_out: PhantomConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "render", _never)
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    assert simulate(whole, laid_out) == whole
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def _never(request: object) -> None:
    raise AssertionError(f"{request} was drawn again")


class StopError(Exception):
    """Stands for whatever stops a run."""


def test_an_interrupted_simulation_goes_on_where_it_stopped(
    whole: Path, laid_out: PhantomConfig, tmp_path: Path, tree: Tree
) -> None:
    out = tmp_path / "resumed"
    with pytest.raises(StopError):
        simulate(out, laid_out, progress=_stop_after(30))
    assert "state: unfinished" in (out / "SIMULATED.txt").read_text()
    files = [Job(out, laid_out).path(image) for image in plan(laid_out)[:30]]
    done = {path: path.stat().st_mtime_ns for path in files}
    files[0].write_bytes(files[0].read_bytes()[:200])
    files[0].with_name("99.png.123.part").write_bytes(b"left by a writer that was killed")
    drawn = _watch_drawing(out, laid_out, done)
    assert drawn == 29
    assert tree(out) == tree(whole)


def _watch_drawing(out: Path, config: PhantomConfig, done: dict[Path, int]) -> int:
    """Finishes a simulation; how many of the files in `done` were still the same when the last image was drawn."""
    kept = []

    def listen(stage: str, count: int, total: int, figures: object = NO_FIGURES) -> None:
        if stage == "simulating" and count == total:
            kept.extend(path for path, when in done.items() if path.stat().st_mtime_ns == when)

    simulate(out, config, progress=listen)
    return len(kept)


def _stop_after(num_images: int) -> Progress:
    def listen(stage: str, done: int, total: int, figures: object = NO_FIGURES) -> None:
        if stage == "simulating" and done == num_images:
            raise StopError

    return listen


def test_progress_counts_every_image(config: PhantomConfig, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    def listen(stage: str, done: int, total: int, figures: object = NO_FIGURES) -> None:
        told.append((stage, done, total))

    simulate(tmp_path / "told", config.model_copy(update={"images": 5}), 1, listen)
    assert told == [("planning", 0, 5), ("planning", 5, 5)] + [("simulating", done, 5) for done in range(6)]


def test_a_full_disk_says_where_and_that_the_same_command_goes_on(
    config: PhantomConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, gray: NDArray[np.float32], kind: str, drawn: Drawn) -> None:
        raise OSError(28, "No space left on device", "images/00000001_000.png")

    monkeypatch.setattr(drawing, "write_picture", full)
    with pytest.raises(PocketCxrError, match=r"00000001_000\.png: cannot write \(No space left.*goes on"):
        simulate(tmp_path / "full", config)


def test_no_worker_is_a_usage_error(config: PhantomConfig, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="workers is 0"):
        simulate(tmp_path / "none", config, workers=0)
