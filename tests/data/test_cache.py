"""The image cache decodes once, resumes, notices changed files and never invents an image."""

import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketcxr.data import cache
from pocketcxr.data.cache import cache_images
from pocketcxr.domain.errors import EmptyCohortError, PocketCxrError
from pocketcxr.imaging.load import load
from pocketcxr.imaging.preprocess import PreprocessSpec, square
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.manifest.schema import Manifest

MakeManifest = Callable[[Sequence[str]], Manifest]
SPEC = PreprocessSpec(size=32)
NAMES = [f"{letter}.png" for letter in "abcdefghij"]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files decoded so far; chunks are of three files."""
    names: list[str] = []

    def counted(path: Path) -> Radiograph:
        names.append(path.name)
        return load(path)

    monkeypatch.setattr(cache, "load", counted)
    monkeypatch.setattr(cache, "_CHUNK", 3)
    return names


def _stop_at(wanted: int) -> Callable[..., None]:
    """A progress listener that interrupts, as Ctrl-C does, once `wanted` files are done."""

    def listen(stage: str, done: int, total: int, figures: Mapping[str, float] | None = None) -> None:
        if done >= wanted:
            raise KeyboardInterrupt

    return listen


def test_images_are_squared_once_and_then_only_opened(
    make_manifest: MakeManifest, tmp_path: Path, decoded: list[str]
) -> None:
    manifest = make_manifest(NAMES)
    first = cache_images(manifest, SPEC, tmp_path / "cache")
    again = cache_images(manifest, SPEC, tmp_path / "cache")
    assert sorted(decoded) == NAMES
    for row, name in enumerate(NAMES):
        np.testing.assert_array_equal(first.images[row], square(load(manifest.file_of(name)).image, SPEC))
    np.testing.assert_array_equal(first.images, again.images)
    assert not again.images.flags.writeable


@pytest.mark.parametrize("names", [NAMES, ["a.png", "broken1.png", "b.png", "c.png", "missing.png", "d.png", "e.png"]])
@pytest.mark.parametrize("stop", [3, 6])
def test_an_interrupted_cache_goes_on_and_equals_a_fresh_one(
    make_manifest: MakeManifest, tmp_path: Path, decoded: list[str], names: list[str], stop: int
) -> None:
    manifest = make_manifest(names)
    with pytest.raises(KeyboardInterrupt):
        cache_images(manifest, SPEC, tmp_path / "cache", _stop_at(stop))
    before = len(decoded)
    resumed = cache_images(manifest, SPEC, tmp_path / "cache")
    readable_before = [name for name in names[:stop] if not name.startswith(("broken", "missing"))]
    assert not set(decoded[before:]) & set(readable_before)
    fresh = cache_images(manifest, SPEC, tmp_path / "fresh")
    np.testing.assert_array_equal(resumed.images, fresh.images)
    np.testing.assert_array_equal(resumed.rows, fresh.rows)
    assert resumed.refused == fresh.refused


def test_refused_files_are_listed_with_their_reasons_and_left_out(
    make_manifest: MakeManifest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = make_manifest(["broken.png", "a.png", "missing.png", "b.png"])
    with caplog.at_level(logging.WARNING):
        cached = cache_images(manifest, SPEC, tmp_path / "cache")
    assert cached.rows.tolist() == [1, 3]
    assert [refusal.code.value for refusal in cached.refused] == ["not-an-image", "not-found"]
    assert "2 of 4 files refused" in caplog.text
    assert "not-found" in caplog.text
    listing = json.loads(next((tmp_path / "cache").glob("*/refused.json")).read_text())
    assert [entry["code"] for entry in listing] == ["not-an-image", "not-found"]


def test_a_changed_file_is_decoded_again(make_manifest: MakeManifest, tmp_path: Path, decoded: list[str]) -> None:
    manifest = make_manifest(NAMES)
    cache_images(manifest, SPEC, tmp_path / "cache")
    decoded.clear()
    changed = np.arange(48 * 40, dtype=np.uint16).reshape(48, 40).astype(np.uint8)
    Image.fromarray(changed).save(manifest.file_of("h.png"))
    renewed = cache_images(manifest, SPEC, tmp_path / "cache")
    np.testing.assert_array_equal(renewed.images[7], square(changed, SPEC))
    assert sorted(decoded) == ["h.png", "i.png", "j.png"]


def test_a_file_that_was_repaired_takes_its_place(make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest = make_manifest(["a.png", "missing.png", "b.png"])
    assert cache_images(manifest, SPEC, tmp_path / "cache").rows.tolist() == [0, 2]
    pixels = np.arange(48 * 48, dtype=np.uint16).reshape(48, 48).astype(np.uint8)
    Image.fromarray(pixels).save(manifest.file_of("missing.png"))
    repaired = cache_images(manifest, SPEC, tmp_path / "cache")
    fresh = cache_images(manifest, SPEC, tmp_path / "fresh")
    assert repaired.rows.tolist() == [0, 1, 2]
    assert not repaired.refused
    np.testing.assert_array_equal(repaired.images, fresh.images)


def test_a_file_that_vanished_is_refused_and_not_answered_from_memory(
    make_manifest: MakeManifest, tmp_path: Path
) -> None:
    manifest = make_manifest(["a.png", "b.png", "c.png"])
    cache_images(manifest, SPEC, tmp_path / "cache")
    manifest.file_of("b.png").unlink()
    cached = cache_images(manifest, SPEC, tmp_path / "cache")
    assert cached.rows.tolist() == [0, 2]
    np.testing.assert_array_equal(cached.images[1], square(load(manifest.file_of("c.png")).image, SPEC))


def test_another_spec_has_a_cache_of_its_own(make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest = make_manifest(NAMES[:2])
    small = cache_images(manifest, SPEC, tmp_path / "cache")
    large = cache_images(manifest, PreprocessSpec(size=40), tmp_path / "cache")
    assert (small.images.shape, large.images.shape) == ((2, 32, 32), (2, 40, 40))


@pytest.mark.parametrize("names", [["broken1.png", "missing.png"], []])
def test_a_cohort_without_a_single_readable_image_is_an_error(
    make_manifest: MakeManifest, tmp_path: Path, names: list[str]
) -> None:
    with pytest.raises(EmptyCohortError):
        cache_images(make_manifest(names), SPEC, tmp_path / "cache")


def test_a_full_disk_is_told_before_any_work(
    make_manifest: MakeManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(PocketCxrError, match="make room"):
        cache_images(make_manifest(NAMES), SPEC, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
