"""PNG and JPEG: every mode becomes gray, what is damaged is refused."""

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from zlib import compress, crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngImageFile

from pocketcxr.domain.errors import ImageRefusedError, RefusalCode
from pocketcxr.domain.study import ViewPosition
from pocketcxr.imaging.load import load, measure

GRAY = np.add.outer(np.arange(40) * 3, np.arange(30) * 4).astype(np.uint8)
Refused = Callable[[Path], RefusalCode]


def _rgb(gray: np.ndarray) -> np.ndarray:
    return np.repeat(gray[..., None], 3, axis=2)


def _with_alpha(pixels: np.ndarray, alpha: int) -> np.ndarray:
    return np.dstack((pixels, np.full(pixels.shape[:2], alpha, dtype=np.uint8)))


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(GRAY),
        Image.fromarray(_rgb(GRAY)),
        Image.fromarray(_with_alpha(_rgb(GRAY), 255)),
        Image.fromarray(_with_alpha(GRAY, 255)),
        Image.fromarray(GRAY).convert("P"),
    ],
    ids=lambda picture: picture.mode,
)
def test_every_8_bit_png_of_a_gray_image_is_that_image(picture: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    picture.save(path)
    radiograph = load(path)
    assert np.array_equal(radiograph.image, GRAY)
    assert (radiograph.source_format, radiograph.bits_stored) == ("png", 8)
    assert radiograph.pixel_spacing_mm is None
    assert radiograph.view_position is ViewPosition.UNKNOWN
    assert measure(path) == (radiograph.height, radiograph.width) == GRAY.shape


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    is_white = GRAY > 100
    Image.fromarray(is_white).save(tmp_path / "x.png")
    radiograph = load(tmp_path / "x.png")
    assert np.array_equal(radiograph.image, np.where(is_white, 255, 0))
    assert radiograph.bits_stored == 1


def test_transparency_is_black(tmp_path: Path) -> None:
    Image.fromarray(_with_alpha(GRAY, 128)).save(tmp_path / "half.png")
    assert np.abs(load(tmp_path / "half.png").image.astype(int) - GRAY / 255 * 128).max() <= 1
    alpha = np.where(np.arange(40)[:, None] < 20, 0, 255) * np.ones((1, 30), dtype=int)
    Image.fromarray(np.dstack((GRAY, alpha.astype(np.uint8)))).save(tmp_path / "cut.png")
    assert (load(tmp_path / "cut.png").image[:20] == 0).all()
    palette = Image.fromarray(GRAY).convert("P")
    palette.save(tmp_path / "p.png", transparency=int(np.asarray(palette)[39, 29]))
    assert load(tmp_path / "p.png").image[39, 29] == 0


@pytest.mark.parametrize("factor", [1, 16, 257])
def test_16_bits_are_scaled_from_the_least_to_the_greatest_pixel(factor: int, tmp_path: Path) -> None:
    deep = GRAY.astype(np.uint16) * factor + 7
    Image.fromarray(deep).save(tmp_path / "x.png")
    radiograph = load(tmp_path / "x.png")
    low, high = int(deep.min()), int(deep.max())
    assert np.array_equal(radiograph.image, np.floor((deep - low) * 255.0 / (high - low) + 0.5))
    assert radiograph.bits_stored == 16


def test_16_bit_colour_is_read_by_its_upper_byte(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(_png(_rgb(GRAY), depth=16))
    radiograph = load(tmp_path / "x.png")
    assert np.array_equal(radiograph.image, GRAY)
    assert radiograph.bits_stored == 16


@pytest.mark.parametrize("pixels", [GRAY, _rgb(GRAY)], ids=["gray", "rgb"])
def test_jpeg_is_the_image_within_its_loss(pixels: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(pixels).save(tmp_path / "x.jpg", quality=95)
    radiograph = load(tmp_path / "x.jpg")
    assert radiograph.source_format == "jpeg"
    assert np.abs(radiograph.image.astype(int) - GRAY).max() <= 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(orientation: int, tmp_path: Path) -> None:
    turned = {
        1: GRAY,
        2: GRAY[:, ::-1],
        3: GRAY[::-1, ::-1],
        4: GRAY[::-1],
        5: GRAY.T,
        6: np.rot90(GRAY),
        7: GRAY[::-1, ::-1].T,
        8: np.rot90(GRAY, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("x.jpg", "x.png"):
        Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / name, exif=exif, quality=98)
        radiograph = load(tmp_path / name)
        assert radiograph.image.shape == GRAY.shape == measure(tmp_path / name)
        assert np.abs(radiograph.image.astype(int) - GRAY).max() <= 6


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
@pytest.mark.parametrize("share", [0.03, 0.3, 0.6, 0.95])
def test_a_file_cut_short_is_corrupt(name: str, share: float, tmp_path: Path, refusal_of: Refused) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * share)])
    assert refusal_of(tmp_path / name) is RefusalCode.CORRUPT


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path, refusal_of: Refused) -> None:
    for number, (height, width) in enumerate([(60_000, 60_000), (9_000, 9_999), (16, 40_000), (7_500, 7_500)]):
        path = tmp_path / f"{number}.png"
        path.write_bytes(_png_of_claimed_size(height, width))
        assert refusal_of(path) is RefusalCode.TOO_LARGE


def test_a_tiny_or_constant_image_is_refused(tmp_path: Path, refusal_of: Refused) -> None:
    Image.fromarray(GRAY[:15]).save(tmp_path / "tiny.png")
    assert refusal_of(tmp_path / "tiny.png") is RefusalCode.TOO_SMALL
    Image.fromarray(np.full((40, 40), 7, dtype=np.uint8)).save(tmp_path / "flat.png")
    assert refusal_of(tmp_path / "flat.png") is RefusalCode.CONSTANT
    Image.fromarray(np.full((40, 40), 700, dtype=np.uint16)).save(tmp_path / "deep.png")
    assert refusal_of(tmp_path / "deep.png") is RefusalCode.CONSTANT


def _encoded(kind: str) -> bytes:
    buffer = BytesIO()
    Image.fromarray(GRAY).save(buffer, kind)
    return buffer.getvalue()


@given(st.sampled_from(["PNG", "JPEG"]), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6))
@settings(deadline=None, max_examples=300)
def test_whatever_the_bytes_a_file_is_loaded_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(_encoded(kind))
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    path = tmp_path_factory.getbasetemp() / "mutated"
    path.write_bytes(data)
    try:
        image = load(path).image
    except ImageRefusedError:
        return
    assert image.dtype == np.uint8


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + crc32(kind + data).to_bytes(4, "big")


def _png(rgb: np.ndarray, depth: int) -> bytes:
    """An RGB PNG of 16 bits, which Pillow does not write."""
    height, width, _ = rgb.shape
    rows = (rgb.astype(">u2") * 256 + 129).reshape(height, -1)
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows)
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", compress(raw)) + _chunk(b"IEND", b"")


def _png_of_claimed_size(height: int, width: int) -> bytes:
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", b"") + _chunk(b"IEND", b"")


def test_a_png_is_measured_without_decoding_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png")

    def decode(*_arguments: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(PngImageFile, "load", decode)
    assert measure(tmp_path / "a.png") == GRAY.shape


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_png_cut_short_is_not_measured(share: float, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 255, (90, 80), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ImageRefusedError) as caught:
        measure(path)
    assert caught.value.code is RefusalCode.CORRUPT


def test_an_orientation_behind_the_pixels_counts_as_one_before_them(tmp_path: Path) -> None:
    turned, plain = tmp_path / "turned.png", tmp_path / "plain.png"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(GRAY).save(turned, exif=exif)
    Image.fromarray(GRAY).save(plain)
    assert measure(turned) == load(turned).image.shape == GRAY.shape[::-1]
    data = exif.tobytes()[6:]  # without the "Exif" mark of a JPEG
    chunk = struct.pack(">I", len(data)) + b"eXIf" + data + struct.pack(">I", crc32(b"eXIf" + data))
    whole = plain.read_bytes()
    plain.write_bytes(whole[:-12] + chunk + whole[-12:])
    assert measure(plain) == load(plain).image.shape == GRAY.shape[::-1]
