"""Hostile files: each is refused with a code, or read, in bounded time and memory, and nothing else happens."""

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

GRAY = np.add.outer(np.arange(40) * 3, np.arange(30) * 4).astype(np.uint8)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
BOMB = zlib.compress(bytes(1 << 29), 9)
"""Half a gibibyte of nothing in half a megabyte."""


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(header: tuple[int, int, int, int], pixels: bytes, before: bytes = b"") -> bytes:
    """A PNG of (width, height, depth, colour type), compressed pixel rows and chunks before them."""
    width, height, depth, colour = header
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return SIGNATURE + start + before + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def saved(kind: str, image: Image.Image, **options: object) -> bytes:
    """The image as Pillow writes it."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def dicom(change: Callable[[Dataset], None] = lambda dataset: None, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A small DICOM X-ray, changed."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3"
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.PhotometricInterpretation = "DX", "MONOCHROME2"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = *GRAY.shape, 1
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.add_new("PixelData", "OB", GRAY.tobytes())
    change(dataset)
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def without(*keywords: str) -> bytes:
    """A DICOM X-ray that lacks these."""

    def delete(dataset: Dataset) -> None:
        for keyword in keywords:
            delattr(dataset, keyword)

    return dicom(delete)


def float_pixels(dataset: Dataset) -> None:
    """Pixels of 32-bit floats, some of them not a number."""
    values = GRAY.astype("<f4")
    values[3:9] = np.nan
    del dataset.PixelData
    dataset.BitsAllocated = dataset.BitsStored = 32
    dataset.HighBit = 31
    dataset.add_new("FloatPixelData", "OF", values.tobytes())


def _with_start(meta_end: bytes, first: bytes, last: bytes = b"") -> bytes:
    """A DICOM file's preamble and meta information, `first`, then its data set, then `last`."""
    whole = dicom()
    at = whole.index(meta_end)
    return whole[:at] + first + whole[at:] + last


_GROUP_8 = b"\x08\x00\x16\x00UI"
_DEEP = 20_000
_ITEM = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"


def _deflated_bomb() -> bytes:
    whole = dicom(syntax=DeflatedExplicitVRLittleEndian)
    end = 144 + int.from_bytes(whole[140:144], "little")
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + b"\x09\x00\x10\x10OB\0\0" + struct.pack("<I", 1 << 29)
    return whole[:end] + packer.compress(head) + packer.compress(bytes(1 << 29)) + packer.flush()


def _apng() -> bytes:
    frames = [Image.fromarray(np.roll(GRAY, shift)) for shift in range(3)]
    return saved("PNG", frames[0], save_all=True, append_images=frames[1:])


def _mpo() -> bytes:
    frames = [Image.fromarray(np.roll(GRAY, shift)) for shift in range(3)]
    return saved("MPO", frames[0], save_all=True, append_images=frames[1:])


def _scans() -> bytes:
    data = saved("JPEG", Image.fromarray(np.pad(GRAY, ((0, 4000), (0, 4000)))), progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 5000 + data[-2:]


ROWS = zlib.compress(b"".join(b"\0" + row.tobytes() for row in GRAY))
PLAIN = (30, 40, 8, 0)
VALID_PNG, VALID_JPEG = saved("PNG", Image.fromarray(GRAY)), saved("JPEG", Image.fromarray(GRAY))
FRAMES = b"\xff\xd8\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00" + bytes(400)

FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty-file"),
    "wrong magic": (lambda: b"\x88" + VALID_PNG[1:], "not-an-image"),
    "gzip bomb": (lambda: b"\x1f\x8b\x08" + BOMB, "not-an-image"),
    "truncated PNG": (lambda: VALID_PNG[: len(VALID_PNG) // 2], "corrupt"),
    "truncated JPEG": (lambda: VALID_JPEG[: len(VALID_JPEG) // 2], "corrupt"),
    "truncated DICOM": (lambda: dicom()[:-900], "corrupt"),
    "PNG of 65,535 x 65,535": (lambda: png((65535, 65535, 8, 0), BOMB), "too-large"),
    "PNG of 2 billion x 1": (lambda: png((2**31 - 1, 1, 8, 0), BOMB), "too-large"),
    "PNG of no width": (lambda: png((0, 40, 8, 0), ROWS), "corrupt|too-small"),
    "JPEG of 65,535 x 65,535": (lambda: FRAMES, "too-large|corrupt"),
    "JPEG of endless scans": (_scans, "corrupt"),
    "PNG whose pixels are a bomb": (lambda: png(PLAIN, BOMB), "constant|corrupt"),
    "PNG with a text bomb": (lambda: png(PLAIN, ROWS, chunk(b"zTXt", b"a\0\0" + BOMB)), "corrupt"),
    "PNG with an iTXt bomb": (lambda: png(PLAIN, ROWS, chunk(b"iTXt", b"a\0\1\0\0\0" + BOMB)), "corrupt"),
    "PNG with many texts": (
        lambda: png(PLAIN, ROWS, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000), 9)) * 3000),
        "corrupt",
    ),
    "PNG with a profile bomb": (lambda: png(PLAIN, ROWS, chunk(b"iCCP", b"a\0\0" + BOMB)), "loaded|corrupt"),
    "PNG palette of 16 bits": (lambda: png((30, 40, 16, 3), ROWS), "corrupt"),
    "PNG palette without colours": (lambda: png((30, 40, 8, 3), ROWS), "loaded|constant|corrupt"),
    "PNG palette too short": (lambda: png((30, 40, 8, 3), ROWS, chunk(b"PLTE", b"\1\2\3")), "loaded|constant|corrupt"),
    "PNG of a colour type that is none": (lambda: png((30, 40, 8, 5), ROWS), "corrupt"),
    "animated PNG": (_apng, "multi-frame"),
    "JPEG of several pictures": (_mpo, "loaded"),
    "DICOM of several frames": (lambda: dicom(lambda d: setattr(d, "NumberOfFrames", "7")), "multi-frame"),
    "DICOM of NaN pixels": (lambda: dicom(float_pixels), "not-an-image|unsupported-format"),
    "DICOM of 65,535 x 65,535": (
        lambda: dicom(lambda d: (setattr(d, "Rows", 65535), setattr(d, "Columns", 65535))[0]),
        "too-large",
    ),
    "DICOM element beyond the file": (
        lambda: _with_start(_GROUP_8, b"\x08\x00\x08\x00OB\0\0\xf0\xff\xff\xff"),
        "corrupt|not-an-image|too-much-memory",
    ),
    "DICOM pixels beyond the file": (
        lambda: dicom()[:-1200].replace(b"OB\0\0" + struct.pack("<I", 1200), b"OB\0\0\xf0\xff\xff\xff"),
        "corrupt|too-much-memory",
    ),
    "DICOM of deep sequences": (lambda: _with_start(_GROUP_8, _ITEM * _DEEP), "corrupt|not-an-image"),
    "DICOM of many empty items": (
        lambda: _with_start(
            _GROUP_8,
            b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff"
            + b"\xfe\xff\x00\xe0\0\0\0\0" * 200_000
            + b"\xfe\xff\xdd\xe0"
            + bytes(4),
        ),
        "loaded|corrupt",
    ),
    "deflated DICOM bomb": (_deflated_bomb, "too-large"),
    "DICOM without rows": (lambda: without("Rows"), "not-an-image"),
    "DICOM without bits": (lambda: without("BitsAllocated", "BitsStored", "HighBit"), "corrupt"),
    "DICOM without a sense": (lambda: without("PhotometricInterpretation"), "corrupt"),
    "DICOM without pixels": (lambda: without("PixelData"), "not-an-image"),
    "DICOM whose UID is a path": (
        lambda: dicom(lambda d: setattr(d, "PatientID", "../../../etc/passwd")),
        "loaded",
    ),
}
"""Name -> (how it is made, the refusal codes that will do; "loaded": it is read)."""

_LOAD = """
import json, resource, sys
from pathlib import Path
import pydicom.pixels.decoders
from pocketcxr.domain.errors import ImageRefusedError
from pocketcxr.imaging.load import load, measure
pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + (448 << 20),) * 2)
for path in map(Path, sys.argv[1:]):
    spent = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    resource.setrlimit(resource.RLIMIT_CPU, (spent + 20, resource.RLIM_INFINITY))
    answers = []
    for read in (load, measure):
        try:
            read(path)
            answers.append("loaded")
        except ImageRefusedError as error:
            answers.append(error.code.value)
    print(json.dumps([path.name, *answers]), flush=True)
"""
"""Every file within 20 s of processor time and 448 MiB, else the process is ended; measuring may be more lenient."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What loading each file came to, in one process under limits."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, (make, _) in FILES.items():
        (folder / name.replace("/", "|")).write_bytes(make())
    before = {path.name for path in folder.iterdir()}
    files = [str(folder / name) for name in FILES]
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, *files], capture_output=True, text=True, cwd=folder, check=False
    )
    assert {path.name for path in folder.iterdir()} == before
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"{files[len(answers)]}: {done.stderr}"
    assert done.stderr == ""
    return {name: loaded for name, loaded, _ in answers}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused_with_a_code_within_bounds(name: str, outcomes: dict[str, str]) -> None:
    assert outcomes[name] in FILES[name][1].split("|")
