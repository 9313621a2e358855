"""The image files of a data set: where they lie and how large they are."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.errors import ImageRefusedError, ManifestError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.imaging.load import measure

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".dcm"})
_NUM_REPORTS = 200


def find_images(root: Path, folders: Iterable[str], names: Sequence[str]) -> list[str]:
    """The path relative to `root` of each name, looked for in the folders in turn.

    A file of the same stem with another image suffix will do: data sets are often passed on as JPEG. Raises
    ManifestError.
    """
    there = [folder for folder in folders if (root / folder).is_dir()]
    exact: dict[str, str] = {}
    by_stem: dict[str, str] = {}
    for folder in there:
        with os.scandir(root / folder) as entries:
            found = sorted(entry.name for entry in entries)
        for name in found:
            path = PurePosixPath(name)
            if path.suffix.lower() in _SUFFIXES:
                exact.setdefault(name, f"{folder}/{name}")
                by_stem.setdefault(path.stem, f"{folder}/{name}")
    paths = [exact.get(name) or by_stem.get(PurePosixPath(name).stem) for name in names]
    absent = [name for name, path in zip(names, paths, strict=True) if path is None]
    if absent:
        looked = ", ".join(there) or "no image folder"
        raise ManifestError(
            f"{root}: {len(absent)} of {len(names)} images are not on disk (first: {absent[0]}; found: {looked}) - "
            "unpack all archives here, or take their rows out of the label table"
        )
    return [path for path in paths if path is not None]


def measure_images(root: Path, paths: Sequence[str], progress: Progress = silent) -> NDArray[np.int64]:
    """(height, width) of every file from its header, int64 [image, 2]. Raises ManifestError when one cannot be read."""
    sizes = np.zeros((len(paths), 2), dtype=np.int64)
    refused: list[str] = []
    every = max(len(paths) // _NUM_REPORTS, 1)
    for row, path in enumerate(paths):
        try:
            sizes[row] = measure(root / path)
        except ImageRefusedError as error:
            refused.append(f"{error.code}: {error}")
        if (row + 1) % every == 0 or row + 1 == len(paths):
            progress("image headers", row + 1, len(paths))
    if refused:
        raise ManifestError(
            f"{root}: {len(refused)} of {len(paths)} images cannot be read (first: {refused[0]}) - "
            "copy them again, or take their rows out of the label table"
        )
    return sizes
