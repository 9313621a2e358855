"""Files as people drop them: one simulated chest in every kind of file, and what must not be scored."""

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless

from pocketcxr.recipes.input_gate_pictures import draw_chests

SIDE_PX = 320
SEED = 3
CHESTS = ("chest 8 bit.png", "chest 16 bit.png", "chest.jpg", "chest 12 bit.dcm", "chest in JPEG 2000.dcm")
"""Scored; each shows another chest."""
CAT = "cat.png"
"""In colour."""
TREE = "tree.png"
"""In gray: only the net can tell."""
TURNED = "turned.png"
CHILD = "child.dcm"
"""A chest whose header gives an age of 7 years."""
CUT_SHORT = "cut short.png"
TEXT = "letter.png"
"""No image, whatever its name says."""

Pixels = NDArray[np.uint8]


def make_files(folder: Path) -> dict[str, Path]:
    """All of them by name, in `folder`."""
    chests = draw_chests(len(CHESTS), seed=SEED, side=SIDE_PX).pixels
    shallow, deep, lossy, inverted, packed = (chest.astype(np.uint16) for chest in chests)
    # Odd levels between those of 8 bits, so that a reader that drops the lower byte is found out.
    between = np.arange(SIDE_PX, dtype=np.uint16) % 200
    contents = {
        CHESTS[0]: _saved(shallow.astype(np.uint8)[: SIDE_PX - 40], "PNG"),
        CHESTS[1]: _saved(deep * 256 + between, "PNG"),
        CHESTS[2]: _saved(lossy.astype(np.uint8), "JPEG", quality=92),
        CHESTS[3]: _dicom(4095 - inverted * 16, 12, PhotometricInterpretation="MONOCHROME1", ViewPosition="PA"),
        CHESTS[4]: _dicom(packed * 4 + 3, 10, is_packed=True),
        CAT: _cat(),
        TREE: _saved(_tree(), "PNG"),
        TURNED: _saved(np.rot90(chests[0]), "PNG"),
        CHILD: _dicom(shallow * 16, 12, PatientAge="007Y"),
        CUT_SHORT: _saved(chests[0], "PNG")[:-9000],
        TEXT: b"Dear colleague, please find enclosed no image at all.\n",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}


def _saved(pixels: NDArray[np.generic], kind: str, **options: int) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def _dicom(stored: NDArray[np.uint16], bits: int, is_packed: bool = False, **attributes: str) -> bytes:
    """A computed radiograph with these stored values."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ComputedRadiographyImageStorage, "1.2.3"
    dataset: Dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.BodyPartExamined, dataset.PatientAge = "CR", "CHEST", "051Y"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, bits, bits - 1, 0
    dataset.add_new("PixelData", "OW", stored.astype("<u2").tobytes())
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    if is_packed:
        dataset.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg")
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _cat() -> bytes:
    """A ginger cat on grass, under a blue sky."""
    image = Image.new("RGB", (300, 260), (120, 180, 240))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 190, 300, 260), fill=(60, 150, 40))
    pen.polygon([(85, 95), (95, 25), (140, 70)], fill=(225, 120, 30))
    pen.polygon([(215, 95), (205, 25), (160, 70)], fill=(225, 120, 30))
    pen.ellipse((75, 50, 225, 210), fill=(235, 140, 45))
    for left in (110, 160):
        pen.ellipse((left, 100, left + 30, 130), fill=(90, 200, 60))
        pen.ellipse((left + 11, 102, left + 19, 128), fill=(10, 10, 10))
    pen.polygon([(140, 145), (160, 145), (150, 158)], fill=(240, 150, 160))
    for height in (150, 162, 174):
        pen.line((60, height, 135, 160), fill=(250, 250, 240), width=2)
        pen.line((165, 160, 240, height), fill=(250, 250, 240), width=2)
    return _saved(np.asarray(image), "PNG")


def _tree() -> Pixels:
    """A tree on a hill, drawn in grays."""
    rows, columns = np.mgrid[0:256, 0:256]
    image = Image.fromarray((215 - rows * 0.3).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    pen.ellipse((-80, 180, 330, 420), fill=90)
    pen.rectangle((120, 110, 138, 200), fill=45)
    rng = np.random.default_rng(4)
    for x, y in rng.normal((129, 80), (32, 24), (90, 2)):
        pen.ellipse((x - 12, y - 9, x + 12, y + 9), fill=int(rng.integers(40, 110)))
    waves = 8 * np.sin(rows / 3) * np.sin(columns / 4)
    return np.clip(np.asarray(image) + waves, 0, 255).astype(np.uint8)
