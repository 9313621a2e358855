"""PNG and JPEG files through Pillow.

Colour becomes gray by the luma of ITU-R 601-2, transparency becomes black. Gray PNG of 16 bits is scaled from its own
least..greatest pixel to 0..255, because files of 10 or 12 bits in 16 are common and do not say so. Of 16-bit colour and
of 16-bit gray with alpha Pillow gives the upper 8 bits.
"""

import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngImageFile

from pocketcxr.domain.errors import ImageRefusedError, RefusalCode
from pocketcxr.domain.study import ViewPosition
from pocketcxr.imaging.radiograph import Radiograph, check_size, refuse_constant, to_8_bits

RasterFormat = Literal["png", "jpeg"]

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
"""What Pillow's decoders raise on damaged files; OSError and SyntaxError are documented, the rest is not."""
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_START_OF_SCAN = b"\xff\xda"
_MAX_SCANS = 100
"""Progressive encoders write about ten."""
_SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16B", "I;16L", "I"})
_SIDEWAYS = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap rows and columns."""


def load_raster(path: Path, kind: RasterFormat) -> Radiograph:
    """A PNG or JPEG file, turned upright as its EXIF orientation says. Raises ImageRefusedError."""
    with _opened(path, kind) as picture:
        check_size(str(path), picture.height, picture.width)
        if kind == "jpeg":
            _refuse_endless_scans(path)
        bits_stored = _bits_stored(path) if kind == "png" else 8
        image = _gray(path, ImageOps.exif_transpose(picture))
    return Radiograph(image, str(path), kind, bits_stored, None, ViewPosition.UNKNOWN)


def measure_raster(path: Path, kind: RasterFormat) -> tuple[int, int]:
    """(height, width) after turning upright, without decoding. Raises ImageRefusedError, also for a PNG cut short."""
    with _opened(path, kind) as picture:
        # Of a PNG, Pillow's getexif decodes the whole picture first, because the chunk may stand behind the pixels.
        has_exif = kind == "jpeg" or b"eXIf" in _chunks(path)
        if has_exif and picture.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS:
            return picture.width, picture.height
        return picture.height, picture.width


def _chunks(path: Path) -> set[bytes]:
    """The types of a PNG file's chunks (PNG specification, 5.3), by leaping from one to the next. Raises EOFError."""
    types: set[bytes] = set()
    with path.open("rb") as file:
        file.seek(len(_PNG_SIGNATURE))
        while b"IEND" not in types:
            header = file.read(8)
            if len(header) < 8:
                raise EOFError("no IEND chunk")
            length, kind = struct.unpack(">I4s", header)
            types.add(kind)
            file.seek(length + 4, os.SEEK_CUR)  # 4 of its checksum
    return types


@contextmanager
def _opened(path: Path, kind: RasterFormat) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            # Pillow warns of oddities that do not touch the pixels.
            warnings.simplefilter("ignore")
            # Our own limit is lower than the size Pillow warns of, and it refuses.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=[kind.upper()]) as picture:
                _refuse_animation(path, picture)
                yield picture
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRefusedError(RefusalCode.TOO_LARGE, f"{path}: {error} - scale the image down") from error
    except PermissionError as error:
        raise ImageRefusedError(
            RefusalCode.NO_PERMISSION, f"{path}: may not be read - change its permissions"
        ) from error
    except _DAMAGE as error:
        raise ImageRefusedError(
            RefusalCode.CORRUPT, f"{path}: is damaged or cut short ({error}) - copy or export it again"
        ) from error


def _refuse_animation(path: Path, picture: Image.Image) -> None:
    """Nothing, when a PNG has one picture; the second one of a JPEG (MPO) is a preview or a depth map, not a view."""
    if isinstance(picture, PngImageFile) and picture.n_frames > 1:
        raise ImageRefusedError(
            RefusalCode.MULTI_FRAME, f"{path}: {picture.n_frames} frames - give a radiograph of one frame"
        )


def _refuse_endless_scans(path: Path) -> None:
    """Nothing, when the JPEG has a sane number of scans: each goes over all pixels, and may be of a few bytes."""
    # Inside a scan FF is followed by 00, so only markers and what the headers carry are counted.
    num_scans = path.read_bytes().count(_START_OF_SCAN)
    if num_scans > _MAX_SCANS:
        raise ImageRefusedError(
            RefusalCode.CORRUPT, f"{path}: a JPEG of {num_scans} scans takes too long - export it again"
        )


def _gray(path: Path, picture: Image.Image) -> NDArray[np.uint8]:
    if picture.mode in _SIXTEEN_BIT_MODES:
        values = np.asarray(picture)
        low, high = int(values.min()), int(values.max())
        refuse_constant(str(path), low, high)
        # A table of the values there are: every pixel as a float64 would take eight times the image's memory, twice.
        table = to_8_bits(np.arange(low, high + 1, dtype=np.float64), low, high)
        shown: NDArray[np.uint8] = table[values - low]
        return shown
    if picture.has_transparency_data:
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, picture.convert("RGBA"))
    image = np.array(picture.convert("L"), dtype=np.uint8)
    refuse_constant(str(path), int(image.min()), int(image.max()))
    return image


def _bits_stored(path: Path) -> int:
    """The IHDR chunk's bit depth (PNG specification, 11.2.1); 8 for palettes, whose depth is the index's."""
    with path.open("rb") as file:
        header = file.read(26)
    depth, colour_type = header[24], header[25]
    return 8 if colour_type == 3 else depth
