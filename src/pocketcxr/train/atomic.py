"""Files that are either the old one or the new one, whatever happens in between."""

import contextlib
import os
from pathlib import Path

from pocketcxr.domain.errors import CheckpointError


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`: written beside, synced to the disk, renamed.

    Raises CheckpointError when the disk refuses (full, read-only, quota); the old file survives, no part stays behind.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        kept = "the previous one is untouched" if path.exists() else "nothing was written"
        raise CheckpointError(
            f"{path} cannot be written ({error.strerror or error}); {kept}: "
            "make room or choose another --out, then run the same command again"
        ) from error
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the platform can sync folders (Windows cannot open them)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
