"""From stored DICOM values to shown gray (PS3.3 C.11, PS3.4 N.2): modality -> VOI -> presentation, as one table.

At most 16 bits are stored, so the transforms run over 65,536 codes instead of millions of pixels. They are written out
here because pydicom 3.0's `apply_voi` wraps around in tables of 8-bit entries, `apply_modality_lut` knows entries of 8
and 16 bits only, and `apply_windowing` turns the image over when the rescale slope is negative; tests hold this file to
pydicom where pydicom is right.

No VOI in the file: up to 8 bits are taken as display-ready, so the full range of codes is shown; more bits are shown
from the least to the greatest value present, padding left out.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.errors import ImageRefusedError, RefusalCode
from pocketcxr.imaging.radiograph import refuse_constant, to_8_bits

if TYPE_CHECKING:
    from pydicom import Dataset

Values = NDArray[np.float64]


def display_table(path: str, dataset: "Dataset", is_present: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Gray of each stored code, uint8 [2**bits], bright = more attenuation.

    A code is the stored value's bits read unsigned; is_present: which of them the image holds. Raises
    ImageRefusedError, or ValueError where the header breaks the standard.
    """
    bits = int(dataset.BitsStored)
    stored = np.arange(1 << bits, dtype=np.float64)
    if int(dataset.get("PixelRepresentation") or 0) == 1:
        stored[1 << (bits - 1) :] -= 1 << bits
    is_padding = _is_padding(dataset, stored)
    values = _modality(dataset, stored)
    range_from = is_present & ~is_padding if bits > 8 else ~is_padding
    if not range_from.any():
        raise ImageRefusedError(RefusalCode.CONSTANT, f"{path}: every pixel is padding - export the image again")
    values, black, white = _voi(path, dataset, values, values[range_from])
    # PS3.3 C.7.6.3.1.2: the least sample of MONOCHROME1 is shown white "after any VOI gray scale transformations have
    # been performed": windows are given for the values before this inversion.
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        black, white = white, black
    table = to_8_bits(values, black, white)
    table[is_padding] = 0
    return table


def window(values: Values, center: float, width: float, function: str) -> Values:
    """Values through a window as 0..1 (PS3.3 C.11.2.1.2, C.11.2.1.3). Raises ValueError outside the standard."""
    if not width >= (1 if function == "LINEAR" else np.nextafter(0, 1)):
        raise ValueError(f"window width {width:g}")
    match function:
        case "LINEAR" if width == 1:
            return (values > center - 0.5).astype(np.float64)
        case "LINEAR":
            return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
        case "LINEAR_EXACT":
            return np.clip((values - center) / width + 0.5, 0, 1)
        case "SIGMOID":
            return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
        case _:
            raise ValueError(f"VOI LUT function {function}")


def _modality(dataset: "Dataset", stored: Values) -> Values:
    if dataset.get("ModalityLUTSequence"):
        return _lookup(dataset, dataset.ModalityLUTSequence[0], stored)[0]
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    return stored * (1.0 if slope is None else float(slope)) + (0.0 if intercept is None else float(intercept))


def _voi(path: str, dataset: "Dataset", values: Values, shown: Values) -> tuple[Values, float, float]:
    """The values after the VOI transform, and which of them stand for the ends of the gray scale."""
    if dataset.get("VOILUTSequence"):
        entries, depth = _lookup(dataset, dataset.VOILUTSequence[0], values)
        return entries, 0.0, float((1 << depth) - 1)
    center, width = _first(dataset, "WindowCenter"), _first(dataset, "WindowWidth")
    if center is not None and width is not None:
        function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
        return window(values, center, width, function), 0.0, 1.0
    low, high = float(shown.min()), float(shown.max())
    refuse_constant(path, low, high)
    return values, low, high


def _lookup(dataset: "Dataset", item: "Dataset", values: Values) -> tuple[Values, int]:
    """Values through a LUT (PS3.3 C.11.1.1) and the bits of its entries; beyond its ends the end's entry counts."""
    num_entries, first, depth = (int(number) for number in item.LUTDescriptor)
    num_entries = num_entries or 1 << 16
    if not 1 <= depth <= 16:
        raise ValueError(f"a LUT of {depth} bits")
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        entries = np.frombuffer(data, dtype=np.uint8 if len(data) < 2 * num_entries else f"{order}u2")
    else:
        entries = np.asarray(data, dtype=np.int64) & 0xFFFF
    if len(entries) < num_entries:
        raise ValueError(f"a LUT of {num_entries} entries holds {len(entries)}")
    index = np.clip(np.rint(values) - first, 0, num_entries - 1).astype(np.int64)
    return entries[index].astype(np.float64), depth


def _first(dataset: "Dataset", keyword: str) -> float | None:
    """The first of one or several values; None where there is none."""
    element = dataset.get(keyword)
    if element is None or element == "":
        return None
    if isinstance(element, str | int | float):
        return float(element)
    return float(element[0]) if len(element) else None


def _is_padding(dataset: "Dataset", stored: Values) -> NDArray[np.bool_]:
    """Pixel Padding Value up to Pixel Padding Range Limit: no part of the image (PS3.3 C.7.5.1.1.2)."""
    padding = dataset.get("PixelPaddingValue")
    if padding is None:
        return np.zeros(stored.shape, dtype=np.bool_)
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = float(padding), float(padding if limit is None else limit)
    return (stored >= min(ends)) & (stored <= max(ends))
