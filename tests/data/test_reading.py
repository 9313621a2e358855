"""A file that cannot be read is named with its reason, left out, and taken as soon as it can be read."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketcxr.data import reading
from pocketcxr.data.cache import cache_images
from pocketcxr.imaging.load import load
from pocketcxr.imaging.preprocess import PreprocessSpec, square
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.manifest.schema import Manifest

MakeManifest = Callable[[Sequence[str]], Manifest]
SPEC = PreprocessSpec(size=32)


def spoil(file: Path, how: str) -> None:
    """Damage a good PNG."""
    match how:
        case "corrupt":
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        case "empty-file":
            file.write_bytes(b"")
        case "unsupported-format":  # a TIFF that is called .png
            Image.open(file).save(file, format="TIFF")
        case "not-found":
            file.unlink()
        case "is-a-directory":
            file.unlink()
            file.mkdir()
        case "constant":
            Image.new("L", (40, 40), 7).save(file)


def mend(file: Path) -> None:
    """Put a good PNG there, whatever is there now."""
    if file.is_dir():
        file.rmdir()
    pixels = np.arange(48 * 48, dtype=np.uint16).reshape(48, 48).astype(np.uint8)
    Image.fromarray(pixels).save(file, format="PNG")


@pytest.mark.parametrize(
    "how", ["corrupt", "empty-file", "unsupported-format", "not-found", "is-a-directory", "constant"]
)
def test_a_spoilt_file_is_refused_with_its_code_and_taken_once_mended(
    make_manifest: MakeManifest, tmp_path: Path, decoded: list[str], how: str
) -> None:
    manifest = make_manifest(["a.png", "b.png", "c.png"])
    cache_images(manifest, SPEC, tmp_path / "cache")
    file = manifest.file_of("b.png")
    spoil(file, how)
    for _ in range(2):
        spoilt = cache_images(manifest, SPEC, tmp_path / "cache")
        assert spoilt.rows.tolist() == [0, 2]
        assert [(refusal.code.value, refusal.path) for refusal in spoilt.refused] == [(how, str(file))]
        assert str(file) in spoilt.refused[0].message
    mend(file)
    decoded.clear()
    mended = cache_images(manifest, SPEC, tmp_path / "cache")
    assert (decoded, mended.refused) == (["b.png"], ())
    np.testing.assert_array_equal(mended.images.at([1])[0], square(load(file).image, SPEC))
    assert next((tmp_path / "cache").glob("*/refused.json")).read_text() == "[]\n"


def test_a_jpeg_that_is_called_png_is_taken_for_what_it_is(make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest = make_manifest(["a.png"])
    file = manifest.file_of("a.png")
    Image.open(file).save(file, format="JPEG")
    cached = cache_images(manifest, SPEC, tmp_path / "cache")
    np.testing.assert_array_equal(cached.images.at([0])[0], square(load(file).image, SPEC))


def test_each_name_of_a_damaged_content_gets_its_own_line(make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest = make_manifest(["a.png", "b.png", "good.png"])
    spoil(manifest.file_of("a.png"), "corrupt")
    shutil.copy(manifest.file_of("a.png"), manifest.file_of("b.png"))
    refused = cache_images(manifest, SPEC, tmp_path / "cache").refused
    assert [Path(refusal.path).name for refusal in refused] == ["a.png", "b.png"]
    assert all(refusal.path in refusal.message for refusal in refused)


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    make_manifest: MakeManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = make_manifest(["a.png", "b.png"])

    def overwritten(path: Path) -> Radiograph:
        if path.name == "b.png":
            mend(path)
            os.utime(path, ns=(5, 5))
        return load(path)

    with monkeypatch.context() as patch:
        patch.setattr(reading, "load", overwritten)
        cached = cache_images(manifest, SPEC, tmp_path / "cache")
    assert cached.rows.tolist() == [0]
    assert "changed while it was read" in cached.refused[0].message
    again = cache_images(manifest, SPEC, tmp_path / "cache")
    np.testing.assert_array_equal(again.images.at([1])[0], square(load(manifest.file_of("b.png")).image, SPEC))
