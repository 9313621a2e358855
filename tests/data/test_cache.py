"""The image cache decodes each content once, for whoever names it, and never invents an image."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketcxr.data import fingerprint, reading
from pocketcxr.data.cache import ImageCache, cache_images
from pocketcxr.domain.errors import EmptyCohortError
from pocketcxr.imaging.load import load
from pocketcxr.imaging.preprocess import PreprocessSpec, square
from pocketcxr.manifest.schema import Manifest

MakeManifest = Callable[[Sequence[str]], Manifest]
SPEC = PreprocessSpec(size=32)
NAMES = [f"{letter}.png" for letter in "abcdefghij"]


def assert_shows(cached: ImageCache, manifest: Manifest, spec: PreprocessSpec = SPEC) -> None:
    """The cache holds what decoding each readable file gives."""
    for place, row in enumerate(cached.rows):
        file = manifest.file_of(manifest.table["path"].iloc[row])
        np.testing.assert_array_equal(cached.images.at([place])[0], square(load(file).image, spec))


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
    assert_shows(first, manifest)
    assert_shows(again, manifest)
    assert not again.images.pixels.flags.writeable


@pytest.mark.parametrize("is_settled", [True, False])
def test_an_unchanged_file_is_read_again_only_while_its_times_may_hide_a_change(
    make_manifest: MakeManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_settled: bool
) -> None:
    monkeypatch.setattr(fingerprint, "_RACY_NS", -1 if is_settled else 3_600_000_000_000)
    manifest = make_manifest(NAMES[:3])
    cache_images(manifest, SPEC, tmp_path / "cache")
    read: list[Path] = []
    monkeypatch.setattr(reading, "content_digest", lambda file: read.append(file) or fingerprint.content_digest(file))
    assert_shows(cache_images(manifest, SPEC, tmp_path / "cache"), manifest)
    assert len(read) == (0 if is_settled else 3)


@pytest.mark.parametrize("racy_ns", [-1, 3_600_000_000_000], ids=["settled", "racy"])
def test_a_file_that_is_touched_moved_or_copied_is_not_decoded_again(
    make_manifest: MakeManifest, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch, racy_ns: int
) -> None:
    monkeypatch.setattr(fingerprint, "_RACY_NS", racy_ns)
    manifest = make_manifest(NAMES)
    cache_images(manifest, SPEC, tmp_path / "cache")
    decoded.clear()
    os.utime(manifest.file_of("a.png"), ns=(1, 1))
    shutil.copy(manifest.file_of("b.png"), manifest.file_of("copy of b.png"))
    manifest.file_of("c.png").rename(manifest.file_of("moved é.png"))
    moved = make_manifest(["a.png", "copy of b.png", "moved é.png", "b.png"])
    cached = cache_images(moved, SPEC, tmp_path / "cache")
    assert decoded == []
    assert_shows(cached, moved)
    root = tmp_path / "elsewhere"
    shutil.copytree(moved.header.root, root)
    elsewhere = replace(moved, header=moved.header.model_copy(update={"root": str(root)}))
    assert_shows(cache_images(elsewhere, SPEC, tmp_path / "cache"), elsewhere)
    assert decoded == []


@pytest.mark.parametrize("racy_ns", [-1, 3_600_000_000_000], ids=["settled", "racy"])
def test_a_changed_file_is_decoded_again_and_no_other(
    make_manifest: MakeManifest, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch, racy_ns: int
) -> None:
    monkeypatch.setattr(fingerprint, "_RACY_NS", racy_ns)
    manifest = make_manifest(NAMES)
    before = cache_images(manifest, SPEC, tmp_path / "cache")
    decoded.clear()
    changed = np.arange(48 * 40, dtype=np.uint16).reshape(48, 40).astype(np.uint8)
    Image.fromarray(changed).save(manifest.file_of("d.png"))
    renewed = cache_images(manifest, SPEC, tmp_path / "cache")
    assert decoded == ["d.png"]
    assert_shows(renewed, manifest)
    np.testing.assert_array_equal(renewed.images.at([3])[0], square(changed, SPEC))
    different = [a != b for a, b in zip(before.images.digests, renewed.images.digests, strict=True)]
    assert np.flatnonzero(different).tolist() == [3]


def test_a_change_that_keeps_size_and_modification_time_is_seen(make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest = make_manifest(["a.png"])
    file = manifest.file_of("a.png")
    rng = np.random.default_rng(0)
    for _ in range(2):  # uncompressed noise of one size: the same number of bytes
        Image.fromarray(rng.integers(0, 256, (40, 40), dtype=np.uint8)).save(file, compress_level=0)
        os.utime(file, ns=(10**18, 10**18))
        assert_shows(cache_images(manifest, SPEC, tmp_path / "cache"), manifest)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=12))
def test_any_manifest_of_known_files_in_any_order_decodes_nothing(
    make_manifest: MakeManifest, tmp_path: Path, decoded: list[str], names: list[str]
) -> None:
    cache_images(make_manifest(NAMES), SPEC, tmp_path / "cache")
    decoded.clear()
    manifest = make_manifest(names)
    assert_shows(cache_images(manifest, SPEC, tmp_path / "cache"), manifest)
    assert decoded == []


def test_two_files_of_one_content_are_decoded_once(
    make_manifest: MakeManifest, tmp_path: Path, decoded: list[str]
) -> None:
    make_manifest(["a.png"])
    shutil.copy(make_manifest(["a.png"]).file_of("a.png"), make_manifest(["a.png"]).file_of("b.png"))
    manifest = make_manifest(["a.png", "b.png"])
    cached = cache_images(manifest, SPEC, tmp_path / "cache")
    assert len(decoded) == 1
    assert cached.images.slots.tolist() == [0, 0]
    assert_shows(cached, manifest)


def test_another_way_of_squaring_has_its_own_images_and_leaves_the_first_ones(
    make_manifest: MakeManifest, tmp_path: Path, decoded: list[str]
) -> None:
    manifest, large = make_manifest(NAMES[:3]), PreprocessSpec(size=40)
    cache_images(manifest, SPEC, tmp_path / "cache")
    assert_shows(cache_images(manifest, large, tmp_path / "cache"), manifest, large)
    assert len(decoded) == 6
    assert_shows(cache_images(manifest, SPEC, tmp_path / "cache"), manifest)
    other_normalisation = SPEC.model_copy(update={"mean": 0.1, "std": 0.9})
    assert_shows(cache_images(manifest, other_normalisation, tmp_path / "cache"), manifest)
    assert len(decoded) == 6


@pytest.mark.parametrize("names", [NAMES, ["a.png", "broken1.png", "b.png", "c.png", "missing.png", "d.png", "e.png"]])
@pytest.mark.parametrize("stop", [1, 3, 5])
def test_an_interrupted_cache_goes_on_and_equals_a_fresh_one(
    make_manifest: MakeManifest, tmp_path: Path, decoded: list[str], names: list[str], stop: int
) -> None:
    manifest = make_manifest(names)
    with pytest.raises(KeyboardInterrupt):
        cache_images(manifest, SPEC, tmp_path / "cache", _stop_at(stop))
    resumed = cache_images(manifest, SPEC, tmp_path / "cache")
    # What the pool had begun when the interrupt came, less than a chunk, may be decoded twice.
    assert len(decoded) < 3 + sum(not name.startswith(("broken", "missing")) for name in names)
    fresh = cache_images(manifest, SPEC, tmp_path / "fresh")
    np.testing.assert_array_equal(resumed.images.at(slice(None)), fresh.images.at(slice(None)))
    np.testing.assert_array_equal(resumed.rows, fresh.rows)
    assert resumed.refused == fresh.refused


def test_refused_files_are_listed_with_their_reasons_and_left_out(
    make_manifest: MakeManifest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = make_manifest(["broken.png", "a.png", "missing.png", "b.png"])
    with caplog.at_level(logging.WARNING):
        cached = cache_images(manifest, SPEC, tmp_path / "cache")
    assert cached.rows.tolist() == [1, 3]
    assert_shows(cached, manifest)
    assert [refusal.code.value for refusal in cached.refused] == ["not-an-image", "not-found"]
    assert "2 of 4 files refused" in caplog.text
    cache_images(make_manifest(["c.png"]), SPEC, tmp_path / "cache")
    listing = json.loads(next((tmp_path / "cache").glob("*/refused.json")).read_text())
    assert {entry["code"] for entry in listing} == {"not-an-image", "not-found"}


@pytest.mark.parametrize("names", [["broken1.png", "missing.png"], []])
def test_a_cohort_without_a_single_readable_image_is_an_error(
    make_manifest: MakeManifest, tmp_path: Path, names: list[str]
) -> None:
    with pytest.raises(EmptyCohortError):
        cache_images(make_manifest(names), SPEC, tmp_path / "cache")
