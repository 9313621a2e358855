"""From stored values to gray: the standard's formulas, with pydicom as the referee where it follows them."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.pixels.processing import apply_voi, apply_windowing

from pocketcxr.domain.errors import ImageRefusedError, RefusalCode
from pocketcxr.imaging.grayscale import window
from pocketcxr.imaging.load import load

RAMP = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
Write = Callable[..., Path]


def _lut(entries: list[int], first: int, bits: int, vr: str = "US") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    data = entries if vr == "US" else np.array(entries, dtype="<u2" if bits > 8 else np.uint8).tobytes()
    item.add_new("LUTData", vr, data)
    return item


@given(
    st.floats(-100, 5000),
    st.floats(1, 6000),
    st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
@settings(deadline=None, max_examples=100)
def test_windows_are_pydicoms(center: float, width: float, function: str) -> None:
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored, dataset.PixelRepresentation = 12, 0
    dataset.add_new("VOILUTFunction", "CS", function)
    center, width = round(center, 2), round(width, 2)
    dataset.WindowCenter, dataset.WindowWidth = center, width
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        expected = apply_windowing(RAMP, dataset) / 4095
    found = window(RAMP.astype(np.float64), center, width, function)
    assert np.abs(found - expected).max() < 1e-9


@pytest.mark.parametrize(("width", "function"), [(0.5, "LINEAR"), (0, "LINEAR_EXACT"), (-3, "SIGMOID"), (10, "CUBIC")])
def test_windows_outside_the_standard_are_refused(width: float, function: str) -> None:
    with pytest.raises(ValueError, match=r"window width|VOI LUT function"):
        window(np.arange(4.0), 2.0, width, function)


@pytest.mark.parametrize("vr", ["US", "OW"])
def test_a_voi_lut_is_pydicoms(vr: str, write_dicom: Write) -> None:
    entries = [int(4095 * (i / 4095) ** 0.5) for i in range(4096)]

    def change(dataset: Dataset) -> None:
        dataset.VOILUTSequence = [_lut(entries, 0, 12, vr)]
        dataset.WindowCenter, dataset.WindowWidth = 10, 5  # the LUT goes first

    image = load(write_dicom(RAMP, 12, change)).image
    dataset = Dataset()
    dataset.VOILUTSequence = [_lut(entries, 0, 12)]
    expected = np.floor(apply_voi(RAMP, dataset) * 255.0 / 4095 + 0.5)
    assert np.array_equal(image, expected)


@pytest.mark.parametrize("vr", ["US", "OW"])
def test_a_voi_lut_of_8_bit_entries_does_not_wrap_around(vr: str, write_dicom: Write) -> None:
    entries = [i // 16 for i in range(4096)]
    change = lambda dataset: setattr(dataset, "VOILUTSequence", [_lut(entries, 0, 8, vr)])  # noqa: E731
    assert np.array_equal(load(write_dicom(RAMP, 12, change)).image, RAMP // 16)


@pytest.mark.parametrize("depth", [0, 17])
def test_a_voi_lut_of_impossible_depth_is_damage(depth: int, write_dicom: Write) -> None:
    path = write_dicom(
        RAMP, 12, lambda dataset: setattr(dataset, "VOILUTSequence", [_lut(list(range(4096)), 0, depth)])
    )
    with pytest.raises(ImageRefusedError) as caught:
        load(path)
    assert caught.value.code is RefusalCode.CORRUPT


def test_beyond_a_lut_its_end_entries_count(write_dicom: Write) -> None:
    def change(dataset: Dataset) -> None:
        dataset.VOILUTSequence = [_lut([0, 128, 255], 2000, 8)]

    image = load(write_dicom(RAMP, 12, change)).image.ravel()
    assert (image[:2001] == 0).all()
    assert image[2001] == 128
    assert (image[2002:] == 255).all()


def test_a_modality_lut_comes_before_the_window(write_dicom: Write) -> None:
    entries = [4095 - i for i in range(4096)]

    def change(dataset: Dataset) -> None:
        dataset.ModalityLUTSequence = [_lut(entries, 0, 12)]
        dataset.WindowCenter, dataset.WindowWidth = 1000, 500

    def window_only(dataset: Dataset) -> None:
        dataset.WindowCenter, dataset.WindowWidth = 1000, 500

    assert np.array_equal(
        load(write_dicom(RAMP, 12, change)).image, load(write_dicom(4095 - RAMP, 12, window_only)).image
    )


@given(st.floats(0.1, 8), st.floats(-2000, 2000))
@settings(deadline=None, max_examples=20)
def test_rescaling_values_and_window_together_changes_nothing(slope: float, intercept: float) -> None:
    values = RAMP.astype(np.float64)
    plain = window(values, 1500.0, 800.0, "LINEAR_EXACT")
    rescaled = window(values * slope + intercept, 1500.0 * slope + intercept, 800.0 * slope, "LINEAR_EXACT")
    assert np.allclose(plain, rescaled, atol=1e-9)


def test_a_negative_slope_turns_the_values_over(write_dicom: Write) -> None:
    def change(dataset: Dataset) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = -1, 4095

    assert np.array_equal(load(write_dicom(RAMP, 12, change)).image, load(write_dicom(4095 - RAMP, 12)).image)


def test_the_first_of_several_windows_is_taken(write_dicom: Write) -> None:
    def several(dataset: Dataset) -> None:
        dataset.WindowCenter, dataset.WindowWidth = [1000, 2000], [500, 900]

    def first(dataset: Dataset) -> None:
        dataset.WindowCenter, dataset.WindowWidth = 1000, 500

    assert np.array_equal(load(write_dicom(RAMP, 12, several)).image, load(write_dicom(RAMP, 12, first)).image)


def test_an_empty_window_is_no_window(write_dicom: Write) -> None:
    def empty(dataset: Dataset) -> None:
        dataset.WindowCenter, dataset.WindowWidth = None, None

    assert np.array_equal(load(write_dicom(RAMP, 12, empty)).image, load(write_dicom(RAMP, 12)).image)


def test_without_a_window_8_bits_are_kept_and_more_are_stretched(write_dicom: Write) -> None:
    dull = np.add.outer(np.arange(20), np.arange(20)).astype(np.uint8) + 100
    assert np.array_equal(load(write_dicom(dull, 8)).image, dull)
    stretched = load(write_dicom(dull.astype(np.uint16), 12)).image
    assert (stretched.min(), stretched.max()) == (0, 255)


@pytest.mark.parametrize("sense", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_count_for_the_range(sense: str, write_dicom: Write) -> None:
    stored = (RAMP // 4 + 1000).astype(np.uint16)
    stored[:10] = 4000
    stored[10:20] = 4010

    def change(dataset: Dataset) -> None:
        dataset.PhotometricInterpretation = sense
        dataset.add_new("PixelPaddingValue", "US", 4010)
        dataset.add_new("PixelPaddingRangeLimit", "US", 4000)

    image = load(write_dicom(stored, 12, change)).image
    assert (image[:20] == 0).all()
    assert (image[20:].min(), image[20:].max()) == (0, 255)


def test_an_image_of_padding_is_refused(write_dicom: Write) -> None:
    path = write_dicom(
        np.full((20, 20), 7, np.uint16), 12, lambda dataset: dataset.add_new("PixelPaddingValue", "US", 7)
    )
    with pytest.raises(ImageRefusedError) as caught:
        load(path)
    assert caught.value.code is RefusalCode.CONSTANT
