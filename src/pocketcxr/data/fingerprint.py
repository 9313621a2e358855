"""What a file is known by: at a glance by its state on the disk, for certain by its content."""

import hashlib
import os
import time
from pathlib import Path
from typing import NamedTuple

_RACY_NS = 2_000_000_000
"""The coarsest clock of a common file system (FAT) counts in two seconds."""


class FileState(NamedTuple):
    """Where a file lies, how large it is and when it was changed: equal states mean equal content.

    The change time (ctime) is among it because tools like `cp -p` give another content the old modification time.
    """

    path: bytes
    size: int
    mtime_ns: int
    ctime_ns: int

    def is_settled(self) -> bool:
        """Whether the last change is so long ago that another one would show in the times."""
        return time.time_ns() - max(self.mtime_ns, self.ctime_ns) > _RACY_NS


def file_state(file: Path) -> FileState | None:
    """The file's state now; None where it cannot be looked at."""
    try:
        status = file.stat()
    except OSError:
        return None
    path = os.fsencode(os.path.abspath(file))  # noqa: PTH100 - Path.absolute keeps "..", resolve follows links
    return FileState(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def content_digest(file: Path) -> bytes:
    """32 bytes (SHA-256) that differ where contents differ. Raises OSError."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
