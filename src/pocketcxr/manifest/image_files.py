"""The image files of a data set: where they lie, how large they are, and which of them cannot be used."""

import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr.domain.errors import ImageRefusedError, ManifestError, RefusalCode
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.imaging.load import measure

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".dcm", ".dicom"})
_NUM_REPORTS = 200
_NUM_THREADS = 8
"""Reading headers waits for the disk, all the more where it is a network's."""


class ImagesConfig(BaseModel, frozen=True, extra="forbid"):
    """How the image files are looked at."""

    labels_only: bool = False
    """Do not look at them: paths as the source forms them, height and width as its tables tell, or 0."""
    broken: Literal["refuse", "exclude"] = "refuse"
    """What to do when files are missing or unreadable: stop, or go on without them and list them with their reasons."""
    outside: bool = False
    """Whether links may lead out of the root, to images on another disk."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What became of each file.

    sizes: (height, width), int64 [image, 2], (0, 0) where refused. is_usable: bool [image].
    refused: the others, in order.
    """

    sizes: NDArray[np.int64]
    is_usable: NDArray[np.bool_]
    refused: tuple[Refusal, ...]


def find_images(root: Path, folders: Iterable[str], names: Sequence[str]) -> list[str]:
    """The path relative to `root` of each name, looked for in the folders in turn.

    A file of the same stem with another image suffix will do: data sets are often passed on as JPEG. A name that is in
    no folder gets the path it would have in the first one: `measure_images` will say that it is not there.
    """
    wanted = tuple(folders)
    exact: dict[str, str] = {}
    by_stem: dict[str, str] = {}
    for folder in wanted:
        if not (root / folder).is_dir():
            continue
        with os.scandir(root / folder) as entries:
            found = sorted(entry.name for entry in entries)
        for name in found:
            path = PurePosixPath(name)
            if path.suffix.lower() in IMAGE_SUFFIXES:
                exact.setdefault(name, f"{folder}/{name}")
                by_stem.setdefault(path.stem, f"{folder}/{name}")
    return [exact.get(name) or by_stem.get(PurePosixPath(name).stem) or f"{wanted[0]}/{name}" for name in names]


def measure_images(root: Path, paths: Sequence[str], config: ImagesConfig, progress: Progress = silent) -> Measured:
    """Height and width of every file from its header. Raises ManifestError where one is broken and that is refused."""
    home = root.resolve()

    def look(path: str) -> tuple[int, int] | Refusal:
        try:
            if not config.outside:
                _stay_inside(home, path)
            return measure(root / path)
        except ImageRefusedError as error:
            return Refusal(path=path, code=error.code, message=str(error))

    sizes = np.zeros((len(paths), 2), dtype=np.int64)
    refused: list[Refusal] = []
    every = max(len(paths) // _NUM_REPORTS, 1)
    # Around all threads and not in each: filters of warnings are the whole process's.
    with warnings.catch_warnings(), ThreadPoolExecutor(_NUM_THREADS) as pool:
        warnings.simplefilter("ignore")
        for row, answer in enumerate(pool.map(look, paths)):
            if isinstance(answer, Refusal):
                refused.append(answer)
            else:
                sizes[row] = answer
            if (row + 1) % every == 0 or row + 1 == len(paths):
                progress("image headers", row + 1, len(paths))
    if refused and config.broken == "refuse":
        raise ManifestError(
            f"{root}: {len(refused)} of {len(paths)} images cannot be read (first: {refused[0].code.value}: "
            f"{refused[0].message}) - unpack all archives here or copy the files again, or go on without them: "
            "--set images.broken=exclude"
        )
    return Measured(sizes, sizes[:, 0] > 0, tuple(refused))


def _stay_inside(home: Path, path: str) -> None:
    """Nothing, when the file lies in `home` after all links are followed. Raises ImageRefusedError."""
    # A label table is somebody else's file: "../" or a link in it must not make us open anything we were not given.
    folder, name = os.path.split(path)
    real = _real_folder(str(home / folder))
    file = os.path.realpath(os.path.join(real, name))  # noqa: PTH118 - a hundred thousand Paths take seconds
    if not file.startswith(f"{home}{os.sep}"):
        raise ImageRefusedError(
            RefusalCode.OUTSIDE_ROOT,
            f"{path}: leads out of {home} - copy the images into it, or allow it: --set images.outside=true",
        )


@lru_cache(maxsize=4096)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)
