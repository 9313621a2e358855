"""Any supported file -> one Radiograph. What a file is is decided by its first bytes, never by its name."""

import stat
from pathlib import Path

from pocketcxr.domain.errors import ImageRefusedError, RefusalCode
from pocketcxr.imaging.dicom import load_dicom, measure_dicom
from pocketcxr.imaging.png_jpeg import load_raster, measure_raster
from pocketcxr.imaging.radiograph import MAX_FILE_BYTES, Radiograph, SourceFormat

_PREFIX_BYTES = 132
"""A DICOM file says so after a preamble of 128 bytes (PS3.10 section 7.1)."""

_KNOWN_ELSEWHERE: dict[bytes, str] = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"RIFF": "WebP",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"8BPS": "Photoshop",
}
"""First bytes of image files that are not read here."""


def load(path: Path) -> Radiograph:
    """The decoded file. Raises ImageRefusedError with a RefusalCode when it cannot be scored."""
    try:
        match source_format(path):
            case "dicom":
                return load_dicom(path)
            case "png" | "jpeg" as kind:
                return load_raster(path, kind)
    except MemoryError as error:
        raise ImageRefusedError(
            RefusalCode.TOO_MUCH_MEMORY,
            f"{path}: there is not enough memory to decode it - scale the image down, or allow more",
        ) from error


def measure(path: Path) -> tuple[int, int]:
    """(height, width) as `load` would give them, from the header alone. Raises ImageRefusedError."""
    match source_format(path):
        case "dicom":
            return measure_dicom(path)
        case "png" | "jpeg" as kind:
            return measure_raster(path, kind)


def source_format(path: Path) -> SourceFormat:
    """What the file's first bytes say it is. Raises ImageRefusedError when it is nothing we read."""
    prefix = _first_bytes(path)
    if prefix[128:132] == b"DICM":
        return "dicom"
    if prefix.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if prefix.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    for signature, name in _KNOWN_ELSEWHERE.items():
        if prefix.startswith(signature):
            raise ImageRefusedError(
                RefusalCode.UNSUPPORTED_FORMAT, f"{path}: is a {name} file; give PNG, JPEG or DICOM - convert it"
            )
    raise ImageRefusedError(RefusalCode.NOT_AN_IMAGE, f"{path}: is no PNG, JPEG or DICOM file - give one of these")


def _first_bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageRefusedError(RefusalCode.IS_A_DIRECTORY, f"{path}: is a folder - give the files inside")
        if not stat.S_ISREG(status.st_mode):
            raise ImageRefusedError(RefusalCode.NOT_AN_IMAGE, f"{path}: is no ordinary file - give PNG, JPEG or DICOM")
        if status.st_size == 0:
            raise ImageRefusedError(RefusalCode.EMPTY_FILE, f"{path}: is empty (0 bytes) - copy it again")
        if status.st_size > MAX_FILE_BYTES:
            raise ImageRefusedError(
                RefusalCode.TOO_LARGE,
                f"{path}: {status.st_size:,} bytes; at most {MAX_FILE_BYTES:,} - export the image alone",
            )
        with path.open("rb") as file:
            return file.read(_PREFIX_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageRefusedError(RefusalCode.NOT_FOUND, f"{path}: there is no such file - check the path") from error
    except PermissionError as error:
        raise ImageRefusedError(
            RefusalCode.NO_PERMISSION, f"{path}: may not be read - change the file's permissions"
        ) from error
    except OSError as error:
        raise ImageRefusedError(RefusalCode.CORRUPT, f"{path}: cannot be read ({error}) - copy it again") from error
