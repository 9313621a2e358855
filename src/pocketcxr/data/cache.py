"""The image cache: every file is decoded and squared once, then opened as a memory map.

A cache folder holds `key.json`, `images.npy` (uint8 [file, size, size], kept images first and without gaps), `seen.npy`
(what became of each file, with its fingerprint) and, where files were refused, `refused.json` for a person to read.
Files are taken in manifest order, so what was done is always a first part of the manifest: an interrupted call goes on
behind it, and a file that changed is decoded again together with those behind it.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from pocketcxr.domain.errors import EmptyCohortError, ImageRefusedError, PocketCxrError
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.imaging.load import load
from pocketcxr.imaging.preprocess import PreprocessSpec, square
from pocketcxr.manifest.schema import Manifest

logger = logging.getLogger(__name__)

_FORMAT = 1
_CHUNK = 64
"""Files between two writes to the disk: the most that a killed process may have done for nothing."""
_MAX_THREADS = 8
"""A full-size DICOM takes some hundred megabytes while it is decoded."""
_TO_DO, _KEPT, _REFUSED = 0, 1, 2
_SEEN = np.dtype([("state", np.uint8), ("fingerprint", np.uint64)])
_NUM_NAMED = 5

Images = np.memmap[tuple[int, ...], np.dtype[np.uint8]]
Seen = np.memmap[tuple[int, ...], np.dtype[np.void]]


@dataclass(frozen=True, eq=False)
class ImageCache:
    """The readable images of a manifest.

    images    uint8 [n, size, size], a read-only memory map
    rows      int64 [n]: row of manifest.table each image belongs to, ascending
    refused   the other rows' files, each with its reason
    """

    images: NDArray[np.uint8]
    rows: NDArray[np.int64]
    refused: tuple[Refusal, ...]


def cache_images(manifest: Manifest, spec: PreprocessSpec, folder: Path, progress: Progress = silent) -> ImageCache:
    """The manifest's images as `spec` squares them, decoded where they are not in `folder` yet.

    Files are known by path, size and time of change. Refused files are logged and left out, never filled with zeros;
    each call tries them again. Raises EmptyCohortError when no file can be read, PocketCxrError when the disk is short.
    """
    files = [manifest.file_of(path) for path in manifest.table["path"]]
    if not files:
        raise EmptyCohortError("the manifest has no rows: nothing to cache; check the filter that selected it")
    home = _home(files, spec, folder)
    images = open_memmap(home / "images.npy", mode="r+")
    seen = open_memmap(home / "seen.npy", mode="r+")
    fingerprints = np.array([_fingerprint(file) for file in files], dtype=np.uint64)
    # Refusals are kept for the return value and renewed on every call: what was unreadable may be readable now.
    refusals: dict[int, Refusal] = {}
    with ThreadPoolExecutor(max_workers=_num_workers()) as pool:
        start = _num_valid(seen, fingerprints, files, refusals)
        seen["state"][start:] = _TO_DO
        seen["fingerprint"][start:] = fingerprints[start:]
        seen.flush()
        for first in range(start, len(files), _CHUNK):
            answers: list[NDArray[np.uint8] | Refusal] = []
            try:
                for answer in pool.map(lambda file: _decode(file, spec), files[first : first + _CHUNK]):
                    progress("decoding images", first + len(answers), len(files))
                    answers.append(answer)
            finally:  # what is done stays done, also after Ctrl-C
                _write(images, seen, first, answers)
            refusals.update((first + i, a) for i, a in enumerate(answers) if isinstance(a, Refusal))
    progress("decoding images", len(files), len(files))
    return _opened(home, np.array(seen["state"]), tuple(refusals[row] for row in sorted(refusals)))


def _num_workers() -> int:
    """Threads to decode with. Pillow and the DICOM codecs let go of the interpreter lock while they work."""
    return min(_MAX_THREADS, os.cpu_count() or 1)


def _decode(file: Path, spec: PreprocessSpec) -> NDArray[np.uint8] | Refusal:
    """The squared image, or why there is none."""
    try:
        return square(load(file).image, spec)
    except ImageRefusedError as error:
        return Refusal(path=str(file), code=error.code, message=str(error))


def _write(images: Images, seen: Seen, first: int, answers: Sequence[NDArray[np.uint8] | Refusal]) -> None:
    """Adds a chunk of images behind the kept ones and then notes that they are there, in this order."""
    slot = int((seen["state"][:first] == _KEPT).sum())
    states = np.full(len(answers), _REFUSED, dtype=np.uint8)
    for row, answer in enumerate(answers):
        if not isinstance(answer, Refusal):
            images[slot] = answer
            slot += 1
            states[row] = _KEPT
    images.flush()
    seen["state"][first : first + len(answers)] = states
    seen.flush()


def _num_valid(
    seen: Seen, fingerprints: NDArray[np.uint64], files: Sequence[Path], refusals: dict[int, Refusal]
) -> int:
    """How many first files need not be decoded again; the refusals among them are added to `refusals`."""
    is_valid = (seen["state"] != _TO_DO) & (seen["fingerprint"] == fingerprints)
    end = len(files) if is_valid.all() else int(np.argmin(is_valid))
    for row in np.flatnonzero(seen["state"][:end] == _REFUSED).tolist():
        try:
            load(files[row])
        except ImageRefusedError as error:
            refusals[row] = Refusal(path=str(files[row]), code=error.code, message=str(error))
        else:
            return int(row)
    return end


def _fingerprint(file: Path) -> int:
    """64 bits that change with the file's path, size or time of change; a missing file has one too."""
    try:
        status = file.stat()
        told = f"{file}|{status.st_size}|{status.st_mtime_ns}"
    except OSError:
        told = f"{file}|missing"
    return int.from_bytes(hashlib.blake2b(told.encode(), digest_size=8).digest(), "big")


def _home(files: Sequence[Path], spec: PreprocessSpec, folder: Path) -> Path:
    """The cache's own folder inside `folder`, named by the files and the spec; made, whole or not at all, if absent."""
    listed = hashlib.sha256("\n".join(str(file) for file in files).encode()).hexdigest()
    key = {"format": _FORMAT, "spec": spec.model_dump(), "num_files": len(files), "files_sha256": listed}
    text = json.dumps(key, indent=1, sort_keys=True)
    home = folder / f"images-{spec.size}px-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if home.is_dir():
        return home
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PocketCxrError(f"{folder}: cannot be made ({error}); choose another cache folder") from error
    needed = len(files) * spec.size**2
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise PocketCxrError(
            f"{folder}: {len(files)} images at {spec.size} px need {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are "
            "free; make room or choose another cache folder"
        )
    draft = Path(mkdtemp(prefix=".draft-", dir=folder))
    (draft / "key.json").write_text(text)
    open_memmap(draft / "images.npy", mode="w+", dtype=np.uint8, shape=(len(files), spec.size, spec.size))
    open_memmap(draft / "seen.npy", mode="w+", dtype=_SEEN, shape=(len(files),))
    try:
        draft.rename(home)
    except OSError:
        # Another process made the same cache in the meantime: its folder is as good as ours.
        shutil.rmtree(draft)
        if not home.is_dir():
            raise
    return home


def _opened(home: Path, state: NDArray[np.uint8], refused: tuple[Refusal, ...]) -> ImageCache:
    """The finished cache; tells of refused files."""
    rows = np.flatnonzero(state == _KEPT).astype(np.int64)
    listing: list[dict[str, Any]] = [{"path": r.path, "code": r.code.value, "message": r.message} for r in refused]
    (home / "refused.json").write_text(json.dumps(listing, indent=1))
    if refused:
        named = "; ".join(f"{refusal.code.value}: {refusal.message}" for refusal in refused[:_NUM_NAMED])
        logger.warning(
            "%d of %d files refused and left out, listed in %s (%s%s)",
            len(refused),
            len(state),
            home / "refused.json",
            named,
            "; ..." if len(refused) > _NUM_NAMED else "",
        )
    if not len(rows):
        raise EmptyCohortError(
            f"none of the {len(state)} files can be read (first: {refused[0].message}); all are listed in "
            f"{home / 'refused.json'}"
        )
    images = open_memmap(home / "images.npy", mode="r")
    return ImageCache(images=images[: len(rows)], rows=rows, refused=refused)
