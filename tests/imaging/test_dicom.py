"""DICOM files: every transfer syntax, sense, depth and header; what is no radiograph is refused."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)

from pocketcxr.domain.errors import ImageRefusedError, RefusalCode
from pocketcxr.domain.study import ViewPosition
from pocketcxr.imaging.load import load, measure

GRAY = np.add.outer(np.arange(72) * 2, np.arange(66)).astype(np.uint8)
DEEP = (GRAY.astype(np.uint16) * 17)[:, :-2]
Write = Callable[..., Path]
Refused = Callable[[Path], RefusalCode]


def _set(**values: object) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return change


def _delete(*keywords: str) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        for keyword in keywords:
            delattr(dataset, keyword)

    return change


def _stretched(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return np.floor((values - low) * (255 / (high - low)) + 0.5).astype(np.uint8)


UNCOMPRESSED = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
]


@pytest.mark.parametrize("syntax", UNCOMPRESSED, ids=lambda uid: uid.name)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_uncompressed_pixels_are_what_was_stored(syntax: str, dtype: type, write_dicom: Write) -> None:
    stored = GRAY.astype(dtype) if dtype is np.uint8 else (DEEP.astype(dtype) - dtype(40 if dtype is np.int16 else 0))
    path = write_dicom(stored, 8 if dtype is np.uint8 else 14, syntax=syntax)
    radiograph = load(path)
    assert np.array_equal(radiograph.image, stored if dtype is np.uint8 else _stretched(stored))
    assert measure(path) == stored.shape


@pytest.mark.parametrize("stored", [GRAY, DEEP], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless], ids=["RLE", "JPEG 2000"])
def test_lossless_compression_changes_nothing(syntax: str, stored: np.ndarray, write_dicom: Write) -> None:
    bits = 8 if stored is GRAY else 12
    plain = write_dicom(stored, bits)
    plugin = "pydicom" if syntax == RLELossless else "pylibjpeg"
    packed = write_dicom(stored, bits, lambda dataset: dataset.compress(syntax, encoding_plugin=plugin))
    assert dcmread(packed).file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(load(packed).image, load(plain).image)


def test_jpeg_baseline_is_the_image_within_its_loss(write_dicom: Write) -> None:
    buffer = BytesIO()
    Image.fromarray(GRAY).save(buffer, "JPEG", quality=95)

    def compress(dataset: Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.PixelData = encapsulate([buffer.getvalue()])
        dataset["PixelData"].VR = "OB"

    image = load(write_dicom(GRAY, 8, compress)).image
    assert np.abs(image.astype(int) - GRAY).max() <= 6


@pytest.mark.parametrize(
    "name", ["MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm"]
)
def test_pydicoms_own_files_show_the_same_in_every_syntax(name: str) -> None:
    plain, packed = (Path(str(get_testdata_file(file))) for file in ("MR_small.dcm", name))
    assert np.array_equal(load(packed).image, load(plain).image)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_monochrome1_of_the_inverted_pixels_is_monochrome2(bits: int, seed: int, write_dicom: Write) -> None:
    rng = np.random.default_rng(seed)
    top = (1 << bits) - 1
    stored = rng.integers(0, top + 1, (20, 24)).astype(np.uint8 if bits == 8 else np.uint16)
    one = _set(PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(load(write_dicom(top - stored, bits, one)).image, load(write_dicom(stored, bits)).image)


def test_a_window_means_the_values_before_monochrome1_is_inverted(write_dicom: Write) -> None:
    top, center, width = 4095, 1200, 900
    two = load(write_dicom(DEEP, 12, _set(WindowCenter=center, WindowWidth=width))).image
    # In PS3.3 C.11.2.1.2.1 the middle of the window is at center - 0.5.
    mirrored = _set(PhotometricInterpretation="MONOCHROME1", WindowCenter=top - center + 1, WindowWidth=width)
    one = load(write_dicom(top - DEEP, 12, mirrored)).image
    assert np.abs(one.astype(int) - two).max() <= 1
    assert np.ptp(two) > 100


def test_the_header_says_spacing_and_view(write_dicom: Write) -> None:
    both = load(write_dicom(GRAY, 8, _set(PixelSpacing=[0.2, 0.3], ImagerPixelSpacing=[0.1, 0.1], ViewPosition="PA")))
    assert both.pixel_spacing_mm == (0.2, 0.3)
    assert both.view_position is ViewPosition.PA
    assert both.source_format == "dicom"
    imager = load(write_dicom(GRAY, 8, _set(ImagerPixelSpacing=[0.1, 0.15], ViewPosition="LL")))
    assert imager.pixel_spacing_mm == (0.1, 0.15)
    assert imager.view_position is ViewPosition.LATERAL
    bare = load(write_dicom(GRAY, 8, _set(PixelSpacing=[0, 0], ViewPosition="XYZ")))
    assert bare.pixel_spacing_mm is None
    assert bare.view_position is ViewPosition.UNKNOWN


def test_bits_above_the_stored_ones_are_ignored(write_dicom: Write) -> None:
    dirty = DEEP | 0xF000
    radiograph = load(write_dicom(dirty, 12))
    assert np.array_equal(radiograph.image, _stretched(DEEP))
    assert radiograph.bits_stored == 12


def test_gray_stored_as_colour_is_that_gray(write_dicom: Write) -> None:
    assert np.array_equal(load(write_dicom(np.repeat(GRAY[..., None], 3, axis=2), 8)).image, GRAY)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_set(NumberOfFrames=2), RefusalCode.MULTI_FRAME),
        (_delete("PixelData"), RefusalCode.NOT_AN_IMAGE),
        (_delete("PixelData", "Rows", "Columns"), RefusalCode.NOT_AN_IMAGE),
        (_set(PhotometricInterpretation="PALETTE COLOR"), RefusalCode.UNSUPPORTED_FORMAT),
        (_set(BitsAllocated=32, BitsStored=32, HighBit=31), RefusalCode.UNSUPPORTED_FORMAT),
        (_set(Rows=60_000, Columns=60_000), RefusalCode.TOO_LARGE),
        (_set(Rows=8), RefusalCode.TOO_SMALL),
        (_set(Rows=73), RefusalCode.CORRUPT),
        (_set(WindowCenter=100, WindowWidth=0), RefusalCode.CORRUPT),
        (_set(WindowCenter=100_000, WindowWidth=1), RefusalCode.CONSTANT),
        (_delete("PhotometricInterpretation"), RefusalCode.CORRUPT),
        (_delete("BitsStored"), RefusalCode.CORRUPT),
    ],
)
def test_what_cannot_be_scored_is_refused(
    change: Callable[[Dataset], None], code: RefusalCode, write_dicom: Write, refusal_of: Refused
) -> None:
    assert refusal_of(write_dicom(GRAY, 8, change)) is code


def test_an_unknown_transfer_syntax_is_refused(write_dicom: Write, refusal_of: Refused) -> None:
    def film(dataset: Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = MPEG2MPML
        dataset.PixelData = encapsulate([b"\0\0\1\xb3"])
        dataset["PixelData"].VR = "OB"

    assert refusal_of(write_dicom(GRAY, 8, film)) is RefusalCode.UNSUPPORTED_FORMAT


def test_a_missing_codec_is_named(write_dicom: Write, refusal_of: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders.base import get_decoder

    path = write_dicom(GRAY, 8, lambda dataset: dataset.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg"))
    monkeypatch.setattr(get_decoder(JPEG2000Lossless), "_available", {})
    assert refusal_of(path) is RefusalCode.MISSING_CODEC


def test_twelve_bits_of_jpeg_extended_need_the_codec_that_reads_them(refusal_of: Refused) -> None:
    path = Path(str(get_testdata_file("JPGExtended.dcm")))
    assert load(path).bits_stored == 12
    decoder = get_decoder(JPEGExtended12Bit)
    decoder.remove_plugin("pylibjpeg")
    try:
        assert decoder.is_available  # by Pillow, for 8 bits
        assert refusal_of(path) is RefusalCode.MISSING_CODEC
    finally:
        decoder.add_plugin("pylibjpeg", ("pydicom.pixels.decoders.pylibjpeg", "_decode_frame"))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("syntax", [None, RLELossless, JPEG2000Lossless], ids=["plain", "RLE", "JPEG 2000"])
def test_a_file_cut_short_is_refused(share: float, syntax: str | None, write_dicom: Write) -> None:
    noise = np.random.default_rng(0).integers(0, 4096, (64, 64)).astype(np.uint16)
    plugin = "pydicom" if syntax == RLELossless else "pylibjpeg"
    path = write_dicom(noise, 12, lambda dataset: syntax and dataset.compress(syntax, encoding_plugin=plugin))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageRefusedError) as caught:
        load(path)
    assert caught.value.code in {RefusalCode.CORRUPT, RefusalCode.NOT_AN_IMAGE}


@given(
    syntax=st.sampled_from([None, RLELossless, JPEG2000Lossless]),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6),
)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_bytes_a_file_is_loaded_or_refused(
    syntax: str | None, changes: list[tuple[float, int]], write_dicom: Write
) -> None:
    plugin = "pydicom" if syntax == RLELossless else "pylibjpeg"
    path = write_dicom(GRAY, 8, lambda dataset: syntax and dataset.compress(syntax, encoding_plugin=plugin))
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[128 + int(place * (len(content) - 129))] = value
    path.write_bytes(content)
    try:
        image = load(path).image
    except ImageRefusedError:
        return
    finally:
        path.unlink()
    assert image.dtype == np.uint8


def test_real_dicom_files_load(shared_data: Path) -> None:
    found = {path.name: load(path) for path in sorted((shared_data / "dicom").glob("*.dcm"))}
    assert len(found) == 4
    chest = found["cr_chest_pa_8bit_jpeg_baseline.dcm"]
    assert (chest.image.shape, chest.bits_stored, chest.pixel_spacing_mm) == ((1024, 1024), 8, (0.168, 0.168))
    assert chest.view_position is ViewPosition.PA
    inverted = found["same_image_monochrome1_header.dcm"]
    assert np.array_equal(inverted.image, 255 - chest.image)
    lossless = found["cr_chest_mono1_10bit_jpegls14.dcm"]
    assert (lossless.image.shape, lossless.bits_stored) == ((2140, 1760), 10)
    # Lungs are darker than the heart and the spine between them.
    middle = lossless.image[900:1300]
    assert middle[:, 800:900].mean() > middle[:, 250:500].mean() + 30
    assert found["veterinary_dx_dog_thorax_highdicom.dcm"].image.shape == (169, 211)
