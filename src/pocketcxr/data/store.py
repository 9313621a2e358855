"""The image store: squared images of any number of data sets in one growing file, each content once.

A store is a folder for one way of squaring. `pixels.u8` holds the images one behind the other, uint8
[slot, size, size]; `index.sqlite` knows which content lies in which slot and which file had which content when it was
last looked at. Pixels are flushed to the disk before the index says that they are there, in one transaction that also
hands out the slots: a process may be killed at any moment, and several may write at once.
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketcxr.data.fingerprint import FileState
from pocketcxr.data.images import pixel_digest
from pocketcxr.domain.errors import PocketCxrError
from pocketcxr.domain.prediction import Refusal
from pocketcxr.imaging.preprocess import PreprocessSpec

_FORMAT = 2
"""Of the folder, and of how imaging decodes and squares: a change of either must raise it."""
_PATIENCE_SECONDS = 60.0
"""How long to wait for another process that is writing; a write takes milliseconds."""
_TABLES = """
CREATE TABLE IF NOT EXISTS contents(content BLOB PRIMARY KEY, slot INTEGER UNIQUE NOT NULL, pixels BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS files(path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
  ctime_ns INTEGER NOT NULL, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS refused(path BLOB PRIMARY KEY, code TEXT NOT NULL, message TEXT NOT NULL);
"""
_BY_STATE = """SELECT slot, pixels FROM files JOIN contents USING (content)
  WHERE path = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?"""


class Stored(NamedTuple):
    """Where an image lies, and the digest of its pixels."""

    slot: int
    digest: bytes


class ImageStore:
    """An open store; use it in one thread."""

    def __init__(self, home: Path, size: int, index: sqlite3.Connection) -> None:
        self.home, self.size = home, size
        self._index = index

    @property
    def pixels_path(self) -> Path:
        """The file of pixels."""
        return self.home / "pixels.u8"

    @property
    def refused_path(self) -> Path:
        """A list for a person to read: every file that was refused when it was last looked at."""
        return self.home / "refused.json"

    def by_state(self, state: FileState) -> Stored | None:
        """The image of a file that has not changed since it was looked at; None where it must be looked at."""
        row = self._index.execute(_BY_STATE, state).fetchone()
        return None if row is None else Stored(*row)

    def by_content(self, content: bytes) -> Stored | None:
        """The image of a content, whatever file has it."""
        row = self._index.execute("SELECT slot, pixels FROM contents WHERE content = ?", (content,)).fetchone()
        return None if row is None else Stored(*row)

    def add(self, images: Mapping[bytes, NDArray[np.uint8]], files: Mapping[FileState, bytes]) -> None:
        """Keep images by content, and note which content files have; all of it, or nothing.

        Raises PocketCxrError when the disk is full.
        """
        with self._writing():
            first = self.num_images
            new = {content: image for content, image in images.items() if self.by_content(content) is None}
            self._append(first, list(new.values()))
            self._index.executemany(
                "INSERT INTO contents VALUES (?, ?, ?)",
                [(content, first + i, pixel_digest(image)) for i, (content, image) in enumerate(new.items())],
            )
            self._index.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
                # A state that may hide a change is not kept: the file's content will be asked again.
                [(*state, content) for state, content in files.items() if state.is_settled()],
            )

    def note_refused(self, looked_at: Sequence[Path], refused: Sequence[Refusal]) -> None:
        """Bring the list of refused files up to date for the files that were looked at."""
        before = {path for (path,) in self._index.execute("SELECT path FROM refused")}
        if not before and not refused:
            return
        gone = before.intersection(map(os.fsencode, looked_at)) - {os.fsencode(r.path) for r in refused}
        with self._writing():
            self._index.executemany("DELETE FROM refused WHERE path = ?", [(path,) for path in gone])
            self._index.executemany(
                "INSERT OR REPLACE INTO refused VALUES (?, ?, ?)",
                [(os.fsencode(r.path), r.code.value, r.message) for r in refused],
            )
            listed = self._index.execute("SELECT path, code, message FROM refused ORDER BY path").fetchall()
            entries = [{"path": os.fsdecode(path), "code": code, "message": text} for path, code, text in listed]
            self.refused_path.write_text(json.dumps(entries, indent=1) + "\n")

    def pixels(self) -> NDArray[np.uint8]:
        """All images [slot, size, size], a read-only memory map."""
        shape = (self.num_images, self.size, self.size)
        return np.memmap(self.pixels_path, dtype=np.uint8, mode="r", shape=shape)

    def check_room(self, num_images: int) -> None:
        """Nothing, when the disk has room for so many more images. Raises PocketCxrError."""
        needed = max(num_images, 0) * self.size**2
        free = shutil.disk_usage(self.home).free
        if free < needed:
            raise PocketCxrError(
                f"{self.home}: {num_images} images at {self.size} px need {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB "
                "are free; make room or choose another cache folder"
            )

    def forget_lost(self) -> None:
        """Drop from the index what the file of pixels no longer holds, because it was cut short or removed."""
        # Slots are counted before the file is measured: another process may be adding to both.
        if self.num_images > self._num_whole():
            with self._writing():
                self._index.execute("DELETE FROM contents WHERE slot >= ?", (self._num_whole(),))

    @property
    def num_images(self) -> int:
        """Slots in use; there are no gaps."""
        (last,) = self._index.execute("SELECT max(slot) FROM contents").fetchone()
        return 0 if last is None else last + 1

    def _num_whole(self) -> int:
        return self.pixels_path.stat().st_size // self.size**2 if self.pixels_path.exists() else 0

    def _append(self, first: int, images: Sequence[NDArray[np.uint8]]) -> None:
        """Write the images from slot `first` on and flush them to the disk."""
        if not images:
            return
        # Written, not mapped: a full disk is then an error and not a signal that ends the process.
        with self.pixels_path.open("r+b" if self.pixels_path.exists() else "w+b") as file:
            file.seek(first * self.size**2)
            for image in images:
                file.write(np.ascontiguousarray(image).data)
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction that no other process writes beside; undone when anything goes wrong inside."""
        try:
            with self._index:
                self._index.execute("BEGIN IMMEDIATE")
                yield
        except OSError as error:
            raise PocketCxrError(_cannot_write(self.home, error.strerror or str(error))) from error


@contextmanager
def opened_store(folder: Path, spec: PreprocessSpec) -> Iterator[ImageStore]:
    """The store inside `folder` for how `spec` squares images, made if it is not there.

    Raises PocketCxrError where it cannot be made, is damaged or the disk is full.
    """
    # Mean and standard deviation come after the cache: another normalisation uses the same squared pixels.
    squaring = {"format": _FORMAT, "dtype": "uint8", **spec.model_dump(mode="json", exclude={"mean", "std"})}
    text = json.dumps(squaring, sort_keys=True)
    home = folder / f"images-{spec.size}px-{sha256(text.encode()).hexdigest()[:12]}"
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / "squaring.json").write_text(text + "\n")
    except OSError as error:
        raise PocketCxrError(f"{home}: cannot be made ({error}); choose another cache folder") from error
    try:
        with closing(sqlite3.connect(home / "index.sqlite", timeout=_PATIENCE_SECONDS, isolation_level=None)) as index:
            index.executescript(_TABLES)
            store = ImageStore(home, spec.size, index)
            store.forget_lost()
            yield store
    except sqlite3.OperationalError as error:
        raise PocketCxrError(_cannot_write(home, str(error))) from error
    except sqlite3.DatabaseError as error:
        raise PocketCxrError(
            f"{home / 'index.sqlite'}: is damaged ({error}); delete the folder {home}, the next call makes it anew"
        ) from error


def _cannot_write(home: Path, reason: str) -> str:
    return (
        f"{home}: cannot be written ({reason}); what was cached before is safe. Make room or choose another cache "
        "folder, then run the same command again: it goes on where it stopped"
    )
