"""Single-frame DICOM images.

pydicom is imported when the first DICOM file is read, not before: it doubles the start-up time. Files without the DICOM
preamble are not guessed at. What leads from stored pixels to shown gray is in `grayscale`.
"""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO, FileIO
from math import isfinite
from os import fstat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocketcxr.domain.errors import ImageRefusedError, RefusalCode
from pocketcxr.domain.study import ViewPosition
from pocketcxr.imaging.codestream import frame_size
from pocketcxr.imaging.dicom_facts import SourceFacts, facts_of
from pocketcxr.imaging.grayscale import display_table
from pocketcxr.imaging.radiograph import MAX_PIXELS, Radiograph, check_size, refuse_constant

if TYPE_CHECKING:
    from pydicom import Dataset

_DAMAGE = (
    *(AttributeError, KeyError, IndexError, ValueError, TypeError, OverflowError, RuntimeError, EOFError, OSError),
    *(struct.error, zlib.error),
)
"""What pydicom and its codecs raise on damaged files (met by mutating files); they document no common base."""

_REASON_LENGTH = 240
_META_START = 144
"""Preamble, DICM and the group length's own element come before what the group length counts (PS3.10, table 7.1-1)."""
_MAX_INFLATED_BYTES = 3 * MAX_PIXELS + (1 << 24)
"""Uncompressed colour of 8 bits, and room for a header."""

_VIEWS = {
    "PA": ViewPosition.PA,
    "AP": ViewPosition.AP,
    "LL": ViewPosition.LATERAL,
    "RL": ViewPosition.LATERAL,
    "LLD": ViewPosition.LATERAL,
    "RLD": ViewPosition.LATERAL,
    "LAT": ViewPosition.LATERAL,
    "LATERAL": ViewPosition.LATERAL,
}
"""View Position (0018,5101); LLD and RLD are decubitus views with the beam across the bed."""


def load_dicom(path: Path) -> Radiograph:
    """The one frame of a DICOM file as shown: modality, VOI and presentation applied. Raises ImageRefusedError."""
    from pydicom import dcmread
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import RLELossless

    with _opened(path) as file:
        _check(path, dcmread(file, stop_before_pixels=True))
        file.seek(0)
        dataset = dcmread(file)
        if "PixelData" not in dataset:
            raise ImageRefusedError(
                RefusalCode.NOT_AN_IMAGE, f"{path}: DICOM without pixel data - give the image, or copy it again"
            )
        _check_frame(dataset)
        # pylibjpeg-rle, where it is installed, ends damaged files with a panic that is no Exception.
        is_rle = dataset.file_meta.TransferSyntaxUID == RLELossless
        stored = pixel_array(dataset, index=0, decoding_plugin="pydicom" if is_rle else "")
        if stored.ndim == 3:
            image = np.array(Image.fromarray(stored.astype(np.uint8, copy=False)).convert("L"))
        else:
            image = _shown(path, dataset, stored)
        refuse_constant(str(path), int(image.min()), int(image.max()))
        return Radiograph(
            image, str(path), "dicom", int(dataset.BitsStored), _pixel_spacing_mm(dataset), _view_position(dataset)
        )


def measure_dicom(path: Path) -> tuple[int, int]:
    """(height, width) from the header. Raises ImageRefusedError."""
    from pydicom import dcmread

    with _opened(path) as file:
        header = dcmread(file, stop_before_pixels=True)
        _check(path, header)
        return int(header.Rows), int(header.Columns)


def read_facts(path: Path) -> SourceFacts:
    """What the header says of patient, view and device. Raises ImageRefusedError."""
    from pydicom import dcmread

    with _opened(path) as file:
        header = dcmread(file, stop_before_pixels=True)
        return facts_of(header, _view_position(header))


class _Clipped(BufferedReader):
    """A file of which nobody can ask for more than it holds: an element may claim four gigabytes, to be allocated."""

    def __init__(self, raw: FileIO) -> None:
        super().__init__(raw)
        self._num_bytes = fstat(raw.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(-1 if size is None or size > self._num_bytes else size)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    from pydicom.errors import BytesLengthException, InvalidDicomError

    try:
        # pydicom warns of header oddities that do not touch the pixels; what does touch them raises.
        with warnings.catch_warnings(), _Clipped(path.open("rb", buffering=0)) as file:
            warnings.simplefilter("ignore")
            yield _inflated(path, file)
    except (*_DAMAGE, BytesLengthException, InvalidDicomError) as error:
        reason = " ".join(str(error).split())[:_REASON_LENGTH] or type(error).__name__
        raise ImageRefusedError(
            RefusalCode.CORRUPT, f"{path}: is damaged or cut short ({reason}) - export it again"
        ) from error


def _inflated(path: Path, file: BinaryIO) -> BinaryIO:
    """The file, or one in memory that is not deflated: pydicom would inflate a small file to any size."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filereader import read_file_meta_info
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return file
    file.seek(_META_START + int(meta.FileMetaInformationGroupLength))
    data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), _MAX_INFLATED_BYTES + 1)
    if len(data) > _MAX_INFLATED_BYTES:
        raise ImageRefusedError(
            RefusalCode.TOO_LARGE,
            f"{path}: inflates to more than {_MAX_INFLATED_BYTES:,} bytes - export it uncompressed",
        )
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    head = DicomBytesIO()
    write_file_meta_info(head, meta, enforce_standard=False)
    return BytesIO(bytes(128) + b"DICM" + head.getvalue() + data)


def _check(path: Path, header: "Dataset") -> None:
    """Refuses by the header what would be slow, dangerous or wrong to decode."""
    if "Rows" not in header or "Columns" not in header:
        kind = header.get("Modality", "unknown modality")
        raise ImageRefusedError(RefusalCode.NOT_AN_IMAGE, f"{path}: DICOM without an image ({kind}) - give the image")
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise ImageRefusedError(
            RefusalCode.MULTI_FRAME, f"{path}: {header.NumberOfFrames} frames - give a radiograph of one frame"
        )
    check_size(str(path), int(header.Rows), int(header.Columns))
    samples, bits_allocated, bits_stored = (
        int(header.get("SamplesPerPixel") or 1),
        int(header.BitsAllocated),
        int(header.BitsStored),
    )
    sense = str(header.PhotometricInterpretation)
    is_gray = samples == 1 and sense in {"MONOCHROME1", "MONOCHROME2"} and 1 <= bits_stored <= bits_allocated <= 16
    is_colour = samples == 3 and bits_allocated == bits_stored == 8
    if not (is_gray or is_colour):
        raise ImageRefusedError(
            RefusalCode.UNSUPPORTED_FORMAT,
            f"{path}: {sense} of {samples} x {bits_stored} in {bits_allocated} bits is not read; "
            "give MONOCHROME1 or MONOCHROME2 of at most 16 bits - export it so",
        )
    _check_codec(path, header)


def _check_codec(path: Path, header: "Dataset") -> None:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import JPEGExtended12Bit

    syntax = header.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise ImageRefusedError(
            RefusalCode.UNSUPPORTED_FORMAT,
            f"{path}: transfer syntax {syntax.name} is not read - export it uncompressed",
        ) from error
    missing = "" if decoder.is_available else "; ".join(decoder.missing_dependencies)
    if syntax == JPEGExtended12Bit and int(header.BitsStored) > 8 and "pylibjpeg" not in decoder.available_plugins:
        # GDCM and Pillow offer the syntax and decode its 8 bits alone.
        missing = "pylibjpeg-libjpeg"
    if missing:
        raise ImageRefusedError(
            RefusalCode.MISSING_CODEC, f"{path}: no codec for {syntax.name} is installed - pip install one: {missing}"
        )


def _check_frame(dataset: "Dataset") -> None:
    """Nothing, when the frame is as large as the header says. Raises ValueError: a codec would allocate its claim."""
    from pydicom.encaps import generate_frames

    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    claimed = frame_size(next(generate_frames(dataset.PixelData, number_of_frames=1)))
    if claimed is not None and claimed != (dataset.Rows, dataset.Columns):
        raise ValueError(
            f"the compressed frame is {claimed[1]} x {claimed[0]} pixels, the header says "
            f"{dataset.Columns} x {dataset.Rows}"
        )


def _shown(path: Path, dataset: "Dataset", stored: NDArray[np.generic]) -> NDArray[np.uint8]:
    bits = int(dataset.BitsStored)
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    codes = native.view(f"u{stored.dtype.itemsize}") & ((1 << bits) - 1)
    is_present = np.zeros(1 << bits, dtype=np.bool_)
    is_present[codes] = True
    shown: NDArray[np.uint8] = display_table(str(path), dataset, is_present)[codes]
    return shown


def _pixel_spacing_mm(dataset: "Dataset") -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        spacing = dataset.get(keyword)
        if spacing is not None and len(spacing) == 2:
            row, column = float(spacing[0]), float(spacing[1])
            if isfinite(row) and isfinite(column) and row > 0 and column > 0:
                return row, column
    return None


def _view_position(dataset: "Dataset") -> ViewPosition:
    return _VIEWS.get(str(dataset.get("ViewPosition") or "").strip().upper(), ViewPosition.UNKNOWN)
