"""Coverage-guided fuzzing of image loading: nothing but ImageRefusedError may come out of load and measure.

    python tests/fuzz/fuzz_load.py CORPUS -runs=200000 -max_len=4096

The seeds are written into CORPUS, which is made where it is missing. Needs atheris (pip install atheris).
"""

import contextlib
import os
import sys
import tempfile
from io import BytesIO
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["PIL", "pydicom", "pocketcxr"]):
    import numpy as np
    from PIL import Image
    from pydicom import dcmwrite
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import (
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        JPEGBaseline8Bit,
    )

    from pocketcxr.domain.errors import ImageRefusedError
    from pocketcxr.imaging.load import load, measure

GRAY = np.add.outer(np.arange(20) * 6, np.arange(18) * 7).astype(np.uint8)
# On a file system in memory where there is one: every execution writes a file.
PLACE = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)) / "x"


def saved(kind: str, image: Image.Image, **options: object) -> bytes:
    """The image as Pillow writes it."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def dicom(syntax: str, bits: int) -> bytes:
    """A small DICOM X-ray."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3"
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.PhotometricInterpretation, dataset.ViewPosition = "DX", "MONOCHROME1", "PA"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = *GRAY.shape, 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 if bits == 8 else 16, bits, bits - 1
    dataset.PixelRepresentation, dataset.WindowCenter, dataset.WindowWidth = 0, 100, 90
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.PixelSpacing = 1, 0, [0.2, 0.2]
    dataset.PixelPaddingValue = 0
    pixels = GRAY.tobytes() if bits == 8 else (GRAY.astype(np.uint16) * 8).tobytes()
    if syntax == JPEGBaseline8Bit:
        pixels = encapsulate([saved("JPEG", Image.fromarray(GRAY))])
    dataset.add_new("PixelData", "OB" if bits == 8 else "OW", pixels)
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def seeds() -> dict[str, bytes]:
    """Files that load, of every kind."""
    gray = Image.fromarray(GRAY)
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [Image.fromarray(np.roll(GRAY, shift)) for shift in range(2)]
    return {
        "gray.png": saved("PNG", gray),
        "deep.png": saved("PNG", Image.fromarray(GRAY.astype(np.uint16) * 9)),
        "palette.png": saved("PNG", gray.convert("P"), transparency=3),
        "alpha.png": saved("PNG", gray.convert("RGBA"), exif=exif),
        "frames.png": saved("PNG", frames[0], save_all=True, append_images=frames[1:]),
        "gray.jpg": saved("JPEG", gray, exif=exif),
        "colour.jpg": saved("JPEG", gray.convert("RGB"), progressive=True),
        "mpo.jpg": saved("MPO", frames[0], save_all=True, append_images=frames[1:]),
        "explicit.dcm": dicom(ExplicitVRLittleEndian, 12),
        "implicit.dcm": dicom(ImplicitVRLittleEndian, 8),
        "big.dcm": dicom(ExplicitVRBigEndian, 12),
        "deflated.dcm": dicom(DeflatedExplicitVRLittleEndian, 8),
        "jpeg.dcm": dicom(JPEGBaseline8Bit, 8),
    }


def one(data: bytes) -> None:
    """Loads and measures the bytes as a file."""
    PLACE.write_bytes(data)
    for read in (load, measure):
        with contextlib.suppress(ImageRefusedError):
            read(PLACE)


def main() -> None:
    """Writes the seeds and starts the fuzzer."""
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        corpus = Path(sys.argv[1])
        corpus.mkdir(parents=True, exist_ok=True)
        for name, data in seeds().items():
            (corpus / name).write_bytes(data)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
