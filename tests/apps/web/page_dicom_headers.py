"""DICOM files whose headers say much, and DICOM files that are refused."""

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.uid import (
    MPEG2MPML,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)

from .page_dicom_files import UNCOMPRESSED, Change, compressed, dicom, field, lut, setting
from .page_jpeg_files import picture
from .page_png_files import saved

_NEEDED = ["Rows", "PixelData", "PhotometricInterpretation", "BitsStored", "BitsAllocated", "SamplesPerPixel"]
_NEEDED += ["PixelRepresentation"]


def _windows(rng: np.random.Generator) -> dict[str, bytes]:
    files = {}
    for law in ("LINEAR", "LINEAR_EXACT", "SIGMOID", None):
        for bits, is_signed in ((8, False), (12, True), (16, False)):
            top = 1 << bits
            slope, intercept = round(rng.uniform(-2, 2), 3), round(rng.uniform(-top, top), 1)
            width = round(rng.uniform(top / 4, 2 * top), 2)
            center = round((0 if is_signed else top / 2) * slope + intercept + rng.uniform(-width, width) / 4, 2)
            values = {"WindowCenter": [center, 1], "WindowWidth": [width, 1], "RescaleSlope": slope}
            change = setting(**values, RescaleIntercept=intercept, **({"VOILUTFunction": law} if law else {}))
            syntax = UNCOMPRESSED[list(UNCOMPRESSED)[int(rng.integers(4))]]
            files[f"dicom window {law} {bits}"] = dicom(field(bits, is_signed, rng), bits, change, syntax=syntax)
    return files


def headers(rng: np.random.Generator) -> dict[str, bytes]:
    """What a header may say of gray, and of the image."""
    ramp = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    entries = [int(4095 * (at / 4095) ** 0.5) for at in range(4096)]
    files = _windows(rng)
    for vr in ("US", "OW"):
        for syntax in ("explicit", "implicit", "deflated"):
            change = setting(VOILUTSequence=[lut(entries, 0, 12, vr)])
            files[f"dicom VOI LUT {vr} {syntax}"] = dicom(ramp, 12, change, syntax=UNCOMPRESSED[syntax])
        files[f"dicom VOI LUT of 8 bits {vr}"] = dicom(
            ramp, 12, setting(VOILUTSequence=[lut([at // 16 for at in range(4096)], 0, 8, vr)])
        )
        change = setting(ModalityLUTSequence=[lut(entries[::-1], 0, 12, vr)], WindowCenter=1000, WindowWidth=900)
        files[f"dicom modality LUT {vr}"] = dicom(ramp, 12, change)
    signed = (ramp.astype(np.int16) - 2048).astype(np.int16)
    padded = [("PixelPaddingValue", "US", 4010), ("PixelPaddingRangeLimit", "US", 3000)]
    for sense in ("MONOCHROME1", "MONOCHROME2"):
        for name, syntax in UNCOMPRESSED.items():
            pad = lambda dataset: [dataset.add_new(*element) for element in padded]  # noqa: E731
            change = setting(PhotometricInterpretation=sense)
            files[f"dicom padding {sense} {name}"] = dicom(ramp, 12, change, pad, syntax=syntax)
    limit = lambda dataset: dataset.add_new("PixelPaddingValue", "SS", -2048)  # noqa: E731
    files["dicom signed padding"] = dicom(signed, 12, limit, syntax=ImplicitVRLittleEndian)
    files["dicom signed LUT"] = dicom(signed, 12, setting(VOILUTSequence=[lut(entries, -2048, 12)]))
    files["dicom short LUT"] = dicom(ramp, 12, setting(VOILUTSequence=[lut([0, 128, 255], 2000, 8)]))
    for view, age, part in (
        ("PA", "058Y", "chest"),
        ("LL", "006M", "CHEST "),
        ("XYZ", "12Y", ""),
        ("", "003W", "HAND"),
    ):
        change = setting(ViewPosition=view, PatientAge=age, BodyPartExamined=part, Modality="cr")
        files[f"dicom facts {view}"] = dicom(ramp, 12, change)
    files |= _colours(rng)
    return files


def _colours(rng: np.random.Generator) -> dict[str, bytes]:
    rgb = np.asarray(picture(66, 74, 3, rng))
    planar = lambda dataset: setattr(dataset, "PixelData", rgb.transpose(2, 0, 1).tobytes())  # noqa: E731
    half = np.concatenate((rgb[:, ::2, :1], rgb[:, 1::2, :1], rgb[:, ::2, 1:]), axis=2)
    pairs = lambda dataset: setattr(dataset, "PixelData", half.tobytes())  # noqa: E731
    rle = lambda dataset: dataset.compress(RLELossless, encoding_plugin="pydicom")  # noqa: E731
    j2k = lambda dataset: dataset.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg")  # noqa: E731
    bits = np.packbits((rgb[..., 0] > 120).ravel(), bitorder="little").tobytes()
    one = setting(BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=bits + b"\0" * (len(bits) % 2))
    return {
        "dicom RGB": dicom(rgb, 8),
        "dicom RGB big endian": dicom(rgb, 8, syntax=ExplicitVRBigEndian),
        "dicom RGB planar": dicom(rgb, 8, planar, setting(PlanarConfiguration=1)),
        "dicom RGB of RLE": dicom(rgb, 8, rle),
        "dicom RGB of JPEG 2000": dicom(rgb, 8, j2k),
        "dicom YBR_FULL": dicom(rgb, 8, setting(PhotometricInterpretation="YBR_FULL")),
        "dicom YBR_FULL_422": dicom(rgb, 8, pairs, setting(PhotometricInterpretation="YBR_FULL_422")),
        "dicom one bit": dicom(rgb[..., 0], 8, one),
        "dicom 8 bits as words": dicom(
            rgb[..., 0], 8, lambda dataset: setattr(dataset["PixelData"], "VR", "OW"), syntax=ExplicitVRBigEndian
        ),
    }


def refused(rng: np.random.Generator) -> dict[str, bytes]:
    """What is no radiograph of one frame, or not whole."""
    gray, deep = field(8, False, rng), field(12, False, rng)
    ramp = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    frame = saved(Image.fromarray(np.asarray(gray)), "JPEG")
    film = compressed(MPEG2MPML, b"\0\0\1\xb3")
    files = {f"dicom without {keyword}": dicom(gray, 8, setting(**{keyword: None})) for keyword in _NEEDED}
    changes: dict[str, Change] = {
        "of several frames": setting(NumberOfFrames=2),
        "of no frames": setting(NumberOfFrames=0),
        "of a palette": setting(PhotometricInterpretation="PALETTE COLOR"),
        "of 32 bits": setting(BitsAllocated=32, BitsStored=32, HighBit=31),
        "of 12 bits allocated": setting(BitsAllocated=12, BitsStored=12, HighBit=11),
        "of too many stored bits": setting(BitsStored=9),
        "too large": setting(Rows=60_000, Columns=60_000),
        "too small": setting(Rows=8),
        "of more rows than pixels": setting(Rows=int(gray.shape[0]) + 1),
        "of an empty window": setting(WindowCenter=100, WindowWidth=0),
        "of a window far off": setting(WindowCenter=100_000, WindowWidth=1),
        "of an unknown law": setting(WindowCenter=100, WindowWidth=50, VOILUTFunction="CUBIC"),
        "of a film": film,
        "of a frame of another size": setting(Rows=int(gray.shape[0]) - 1),
        "with trailing bytes": setting(PatientComments="later"),
    }
    files |= {f"dicom {name}": dicom(gray, 8, change) for name, change in changes.items()}
    files["dicom JPEG of another size"] = dicom(gray, 8, compressed(JPEGBaseline8Bit, frame), setting(Rows=100))
    files["dicom JPEG in 16 bits"] = dicom(deep, 12, compressed(JPEGExtended12Bit, frame), setting(Rows=gray.shape[0]))
    files["dicom all padding"] = dicom(
        np.full((20, 20), 7, np.uint16), 12, lambda dataset: dataset.add_new("PixelPaddingValue", "US", 7)
    )
    files["dicom constant"] = dicom(np.full((20, 20), 7, np.uint16), 12)
    files["dicom LUT too short"] = dicom(ramp, 12, lambda dataset: _shorten(dataset))
    files["dicom garbage behind"] = dicom(gray, 8) + b"\0\0\0"
    return files


def _shorten(dataset: Dataset) -> None:
    item = lut([1, 2, 3], 0, 8)
    item.LUTDescriptor = [9, 0, 8]
    dataset.VOILUTSequence = [item]
