"""DICOM files of every transfer syntax, sense and depth that the page reads."""

import warnings
from collections.abc import Callable
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    RLELossless,
)

from . import page_lossless_jpeg
from .page_jpeg_files import picture
from .page_png_files import saved

Stored = NDArray[np.generic]
Change = Callable[[Dataset], None]
UNCOMPRESSED = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
}


def setting(**values: object) -> Change:
    """A change that sets attributes; None deletes one."""

    def change(dataset: Dataset) -> None:
        for keyword, value in values.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)

    return change


def dicom(stored: Stored, bits: int, *changes: Change, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A file of the stored values [h, w] or [h, w, 3]."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3"
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.SamplesPerPixel = 1 if stored.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if stored.ndim == 2 else "RGB"
    if stored.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = 8 * stored.dtype.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    raw = stored.astype(stored.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<")).tobytes()
    dataset.add_new("PixelData", "OB" if dataset.BitsAllocated == 8 else "OW", raw + b"\0" * (len(raw) % 2))
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of values that are not the standard's, as some files have them
        for change in changes:
            change(dataset)
        dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def compressed(syntax: str, frame: bytes, fragments: int = 1, has_table: bool = True) -> Change:
    """A change that replaces the pixels by a compressed frame."""

    def change(dataset: Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([frame], fragments_per_frame=fragments, has_bot=has_table)
        dataset["PixelData"].VR = "OB"

    return change


def field(bits: int, is_signed: bool, rng: np.random.Generator, is_dirty: bool = False) -> Stored:
    """Waves with noise of stored bits; above them the sign, nothing, or dirt."""
    height, width = (int(side) for side in rng.integers(64, 90, 2))  # JPEG 2000's encoder takes no smaller ones
    wave = np.add.outer(np.sin(np.arange(height) / 9), np.cos(np.arange(width) / 7)) / 4 + 0.5
    wave = np.clip(wave * rng.uniform(0.3, 1) + rng.normal(0, 0.03, wave.shape), 0, 1)
    codes = (wave * ((1 << bits) - 1)).astype(np.int64)
    if is_signed:
        codes -= 1 << (bits - 1)
    if is_dirty:
        codes = (codes & ((1 << bits) - 1)) | (rng.integers(0, 1 << 16, codes.shape) << bits)
    size = 8 if bits <= 8 else 16
    unsigned = codes.astype(np.uint8 if size == 8 else np.uint16)
    return unsigned.view(f"i{size // 8}") if is_signed else unsigned


def lut(entries: list[int], first: int, bits: int, vr: str = "US") -> Dataset:
    """An item of a LUT sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    data = entries if vr == "US" else np.array(entries, "<u2" if bits > 8 else np.uint8).tobytes()
    item.add_new("LUTData", vr, data)
    return item


def syntaxes(rng: np.random.Generator) -> dict[str, bytes]:
    """Every transfer syntax that can be written here, with several depths, signs and senses."""
    files = {}
    for name, syntax in UNCOMPRESSED.items():
        for bits, is_signed in ((8, False), (8, True), (10, False), (12, True), (16, False), (16, True), (5, False)):
            sense = setting(PhotometricInterpretation="MONOCHROME1" if rng.random() < 0.5 else "MONOCHROME2")
            is_dirty = bits not in {8, 16}
            stored = field(bits, is_signed, rng, is_dirty)
            files[f"dicom {name} {bits}{' signed' * is_signed}"] = dicom(stored, bits, sense, syntax=syntax)
    for bits, is_signed in ((8, False), (12, False), (12, True), (16, False)):
        stored = field(bits, is_signed, rng)
        for syntax, plugin in ((RLELossless, "pydicom"), (JPEG2000Lossless, "pylibjpeg")):
            pack = lambda dataset, uid=syntax, by=plugin: dataset.compress(uid, encoding_plugin=by)  # noqa: E731
            files[f"dicom {syntax.name} {bits}{' signed' * is_signed}"] = dicom(stored, bits, pack)
    lossy = lambda dataset: dataset.compress(JPEG2000, j2k_cr=[9], encoding_plugin="pylibjpeg")  # noqa: E731
    files["dicom JPEG 2000 lossy"] = dicom(field(12, False, rng), 12, lossy)
    for predictor, precision in zip(range(1, 8), (8, 10, 12, 16, 7, 14, 16), strict=True):
        stored = field(precision, False, rng)
        frame = page_lossless_jpeg.encoded([stored.astype(np.uint16)], precision, predictor)
        uid = JPEGLosslessSV1 if predictor == 1 else JPEGLossless
        files[f"dicom lossless JPEG {predictor}"] = dicom(stored, precision, compressed(uid, frame, 3, False))
    return files


def lossy(rng: np.random.Generator) -> dict[str, bytes]:
    """JPEG baseline, gray and colour: Python's codec rounds otherwise than the page's."""
    files = {}
    for quality in (30, 75, 95):
        image = picture(64, 72, 1, rng)
        frame = saved(image, "JPEG", quality=quality)
        files[f"lossy gray {quality}"] = dicom(np.asarray(image), 8, compressed(JPEGBaseline8Bit, frame))
        colour = picture(64, 72, 3, rng)
        whole = saved(colour, "JPEG", quality=quality, subsampling=0)
        sense = setting(PhotometricInterpretation="YBR_FULL")
        files[f"lossy colour {quality}"] = dicom(np.asarray(colour), 8, compressed(JPEGBaseline8Bit, whole), sense)
    rgb = saved(picture(64, 72, 3, rng), "JPEG", keep_rgb=True)
    files["lossy RGB"] = dicom(np.zeros((64, 72, 3), np.uint8), 8, compressed(JPEGBaseline8Bit, rgb))
    return files
