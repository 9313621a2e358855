"""Images of an .npz archive, as MedMNIST packs them: read a block of rows at a time and unpacked into PNG files, once.

Nothing is unpickled, and no array is ever in memory whole: the images of ChestMNIST-224 alone are 5.6 GB.
"""

import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ValidationError

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.progress import Progress, silent

STAMP = "unpacked.json"
"""Which archive the folder's images come from, and how many of them are there."""
_BLOCK = 512
_LARGE_PX = 128 * 128
_DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError)
"""What zipfile and numpy raise on damaged or foreign archives."""


class Stamp(BaseModel, frozen=True, extra="forbid"):
    """md5: of the archive. num_done: by array name, how many of its images are whole files."""

    md5: str
    num_done: Mapping[str, int] = {}


@dataclass(frozen=True)
class Images:
    """One array of an archive. name: without ".npy"; count images of height x width, 8-bit gray."""

    name: str
    count: int
    height: int
    width: int


def described_images(path: Path, name: str) -> Images:
    """The size of an array of 8-bit gray images, from its header. Raises ManifestError where it is something else."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
            shape, is_fortran, dtype = _header(stream)
    except KeyError as error:
        raise ManifestError(f"{path}: has no array {name!r}; it has {names(path)} - give MedMNIST's file") from error
    except _DAMAGE as error:
        raise ManifestError(f"{path}: is no readable .npz file ({error}) - download it again") from error
    if len(shape) != 3 or is_fortran or dtype != np.uint8:
        raise ManifestError(
            f"{path}: array {name!r} is {dtype}{list(shape)}; 8-bit gray images, uint8 [image, height, width], are "
            "read - give MedMNIST's file"
        )
    return Images(name, *shape)


def names(path: Path) -> str:
    """The names of the archive's arrays, as a text."""
    with zipfile.ZipFile(path) as archive:
        return ", ".join(sorted(member.removesuffix(".npy") for member in archive.namelist())) or "none"


def unpack(path: Path, md5: str, arrays: Mapping[str, Images], folder: Path, progress: Progress = silent) -> None:
    """Write image `row` of `arrays[part]` to `file_of(part, row)` in `folder`, unless that is done already.

    A stopped run goes on where it was. Raises ManifestError where the archive is damaged, the folder holds other files
    than this archive's or cannot be written.
    """
    stamp = _stamp(folder, md5, path)
    total = sum(images.count for images in arrays.values())
    done = 0
    for part, images in arrays.items():
        first = min(stamp.num_done.get(images.name, 0), images.count)
        done += first
        if first == images.count:
            continue
        try:
            # The stamp comes first: a folder that was begun is known as ours.
            (folder / part).mkdir(parents=True, exist_ok=True)
            _save(stamp, folder)
            for row, block in _blocks(path, images, first):
                _write(block, folder, part, row)
                done += len(block)
                stamp = Stamp(md5=md5, num_done={**stamp.num_done, images.name: row + len(block)})
                _save(stamp, folder)
                progress("unpacking images", done, total)
        except OSError as error:
            raise ManifestError(
                f"{folder}: images cannot be unpacked ({error}) - free some space, or choose another folder with "
                "--set unpack_to=FOLDER, and run this again: it goes on where it stopped"
            ) from error


def file_of(part: str, row: int) -> str:
    """Where, below the folder, the image lies."""
    return f"{part}/{row:06d}.png"


def _stamp(folder: Path, md5: str, path: Path) -> Stamp:
    """What is known of the folder. Raises ManifestError where it holds something else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return Stamp(md5=md5)
    try:
        stamp = Stamp.model_validate_json((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise ManifestError(
            f"{folder}: holds files that were not unpacked from {path.name} ({STAMP} is missing or damaged) - choose "
            "another folder with --set unpack_to=FOLDER"
        ) from error
    if stamp.md5 != md5:
        raise ManifestError(
            f"{folder}: holds the images of an archive with MD5 {stamp.md5}, {path.name} has {md5} - delete the "
            "folder, or choose another one with --set unpack_to=FOLDER"
        )
    return stamp


def _save(stamp: Stamp, folder: Path) -> None:
    part = folder / f".{STAMP}.part"
    part.write_text(stamp.model_dump_json(), encoding="utf-8")
    part.replace(folder / STAMP)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Shape, column order and type of an .npy stream, which then stands at its first value."""
    match npy.read_magic(stream):
        case (1, 0):
            return npy.read_array_header_1_0(stream)
        case (2, 0):
            return npy.read_array_header_2_0(stream)
        case version:
            raise ValueError(f"version {version} of the .npy format is not read")


def _blocks(path: Path, images: Images, first: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(row of the first image, images [up to _BLOCK, h, w]) from row `first` on. Raises ManifestError."""
    size = images.height * images.width
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{images.name}.npy") as stream:
            _header(stream)
            # Relative, so that a compressed member is unpacked and thrown away piece by piece.
            stream.seek(first * size, os.SEEK_CUR)
            for row in range(first, images.count, _BLOCK):
                wanted = min(_BLOCK, images.count - row)
                values = stream.read(wanted * size)
                if len(values) < wanted * size:
                    raise EOFError(f"array {images.name} ends within image {row + len(values) // size}")
                yield row, np.frombuffer(values, dtype=np.uint8).reshape(wanted, images.height, images.width)
    except _DAMAGE as error:
        raise ManifestError(f"{path}: is damaged or cut short ({error}) - download it again") from error


def _write(block: NDArray[np.uint8], folder: Path, part: str, first: int) -> None:
    def save(row: int) -> None:
        content = BytesIO()
        # Of zlib's strategies the one made for PNG: on radiographs smaller files in less time than the default one.
        Image.fromarray(block[row]).save(content, format="PNG", compress_level=1, compress_type=zlib.Z_RLE)
        (folder / file_of(part, first + row)).write_bytes(content.getbuffer())

    # Compressing and writing let other threads run, but with small images these wait for the interpreter's lock.
    num_threads = min(os.cpu_count() or 1, 8) if block[0].size >= _LARGE_PX else 1
    with ThreadPoolExecutor(num_threads) as pool:
        for _ in pool.map(save, range(len(block))):
            pass
