"""The image cache: every content is decoded and squared once, for all manifests and splits that name it.

A file is known by its path, size and times at a glance; where these are new, by the SHA-256 of its content. So a moved,
copied or touched file is read but not decoded, and a changed one costs its own row and no other.
"""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketcxr.data.fingerprint import file_state
from pocketcxr.data.images import Images
from pocketcxr.data.reading import Reader, read_files
from pocketcxr.data.store import ImageStore, Stored, opened_store
from pocketcxr.domain.errors import EmptyCohortError
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.manifest.schema import Manifest

logger = logging.getLogger(__name__)

STAGE = "decoding images"
_CHUNK = 64
"""Files between two writes to the disk: the most that a killed process may have done for nothing."""
_MAX_THREADS = 8
"""A full-size DICOM takes some hundred megabytes while it is decoded."""
_NUM_NAMED = 5

Found = Stored | Refusal | None
"""What became of a file; None as long as nobody has read it."""


@dataclass(frozen=True, eq=False)
class ImageCache:
    """The readable images of a manifest.

    images    n of them
    rows      int64 [n]: row of manifest.table each image belongs to, ascending
    refused   the other rows' files, each with its reason
    """

    images: Images
    rows: NDArray[np.int64]
    refused: tuple[Refusal, ...]


def cache_images(
    manifest: Manifest,
    spec: PreprocessSpec,
    folder: Path,
    progress: Progress = silent,
    num_threads: int | None = None,
) -> ImageCache:
    """The manifest's images as `spec` squares them, decoded on `num_threads` where `folder` does not hold them yet.

    Refused files are logged, listed in the store's refused.json and left out, never filled with zeros; each call tries
    them again. Raises EmptyCohortError when no file can be read, PocketCxrError when the disk is full; what was done
    until then stays done.
    """
    files = [manifest.file_of(path) for path in manifest.table["path"]]
    if not files:
        raise EmptyCohortError("the manifest has no rows: nothing to cache; check the filter that selected it")
    with opened_store(folder, spec) as store:
        found: list[Found] = [None if (state := file_state(file)) is None else store.by_state(state) for file in files]
        with ThreadPoolExecutor(num_threads or default_threads()) as pool:
            _read_unknown(Reader(store, spec, pool), files, found, progress)
        progress(STAGE, len(files), len(files))
        return _opened(store, files, found)


def _read_unknown(reader: Reader, files: Sequence[Path], found: list[Found], progress: Progress) -> None:
    """Fills the gaps (None) in `found`."""
    unknown = [row for row, one in enumerate(found) if one is None]
    num_known = len(files) - len(unknown)
    # Files that were moved are unknown too and need no room: as many as there are images that nobody here claimed.
    reader.store.check_room(len(unknown) - (reader.store.num_images - len(set(found) - {None})))
    for first in range(0, len(unknown), _CHUNK):
        rows = unknown[first : first + _CHUNK]
        tell = partial(_tell, progress, num_known + first, len(files))
        for row, answer in zip(rows, read_files(reader, [files[row] for row in rows], tell), strict=True):
            found[row] = answer


def _tell(progress: Progress, before: int, total: int, done: int) -> None:
    progress(STAGE, before + done, total)


def default_threads() -> int:
    """Threads to decode with. Pillow and the DICOM codecs let go of the interpreter lock while they work."""
    return min(_MAX_THREADS, os.cpu_count() or 1)


def _opened(store: ImageStore, files: Sequence[Path], found: Sequence[Found]) -> ImageCache:
    """The finished cache; tells of refused files."""
    refused = tuple(one for one in found if isinstance(one, Refusal))
    store.note_refused(files, refused)
    if refused:
        named = "; ".join(f"{refusal.code.value}: {refusal.message}" for refusal in refused[:_NUM_NAMED])
        more = "; ..." if len(refused) > _NUM_NAMED else ""
        logger.warning(
            "%d of %d files refused and left out, listed in %s (%s%s)",
            len(refused),
            len(files),
            store.refused_path,
            named,
            more,
        )
    if len(refused) == len(files):
        raise EmptyCohortError(
            f"none of the {len(files)} files can be read (first: {refused[0].message}); all are listed in "
            f"{store.refused_path}"
        )
    rows = [row for row, one in enumerate(found) if isinstance(one, Stored)]
    kept = [one for one in found if isinstance(one, Stored)]
    slots = np.array([one.slot for one in kept], dtype=np.int64)
    return ImageCache(
        images=Images(store.pixels(), slots, tuple(one.digest for one in kept)),
        rows=np.array(rows, dtype=np.int64),
        refused=refused,
    )
