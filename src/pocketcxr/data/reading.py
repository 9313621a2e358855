"""From files to images in the store: read each, decode what the store does not know, say why of the others."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketcxr.data.fingerprint import FileState, content_digest, file_state
from pocketcxr.data.store import ImageStore, Stored
from pocketcxr.domain.errors import ImageRefusedError, RefusalCode
from pocketcxr.domain.prediction import Refusal
from pocketcxr.imaging.load import load, source_format
from pocketcxr.imaging.preprocess import PreprocessSpec, square


@dataclass(frozen=True)
class Reader:
    """What reading needs at hand. `pool` reads and decodes, the calling thread writes."""

    store: ImageStore
    spec: PreprocessSpec
    pool: ThreadPoolExecutor


class _Seen(NamedTuple):
    """A file and the digest of what it holds."""

    file: Path
    state: FileState
    content: bytes


def read_files(reader: Reader, files: Sequence[Path], tell: Callable[[int], None]) -> list[Stored | Refusal]:
    """Each file's image in the store, or why it has none. `tell` is called with the number of files dealt with.

    What was decoded until an interruption is kept. Raises PocketCxrError when the disk is full.
    """
    looked_at = list(reader.pool.map(_look, files))
    seen = [one for one in looked_at if not isinstance(one, Refusal)]
    by_content = {one.content: one for one in reversed(seen)}
    new = [one for content, one in by_content.items() if reader.store.by_content(content) is None]
    images: dict[bytes, NDArray[np.uint8]] = {}
    failed: dict[bytes, Refusal] = {}
    missing = {one.content for one in new}
    try:
        decode = partial(_squared, spec=reader.spec)
        for number, (one, answer) in enumerate(zip(new, reader.pool.map(decode, new), strict=True)):
            if isinstance(answer, Refusal):
                failed[one.content] = answer
            else:
                images[one.content] = answer
                missing.remove(one.content)
            tell(len(files) - len(new) + number + 1)
    finally:
        reader.store.add(images, {one.state: one.content for one in seen if one.content not in missing})
    return [one if isinstance(one, Refusal) else _answer(reader.store, one, failed) for one in looked_at]


def _look(file: Path) -> _Seen | Refusal:
    """What the file holds, as a digest, or why it is no image; nothing is decoded."""
    try:
        source_format(file)
        state = file_state(file)
        return _refusal(file, "is gone") if state is None else _Seen(file, state, content_digest(file))
    except ImageRefusedError as error:
        return Refusal(path=str(file), code=error.code, message=str(error))
    except OSError as error:
        return _refusal(file, f"cannot be read ({error.strerror or error})")


def _squared(seen: _Seen, spec: PreprocessSpec) -> NDArray[np.uint8] | Refusal:
    """The squared image, or why there is none."""
    try:
        image = square(load(seen.file).image, spec)
    except ImageRefusedError as error:
        return Refusal(path=str(seen.file), code=error.code, message=str(error))
    if file_state(seen.file) != seen.state:
        return _refusal(seen.file, "was changed while it was read")
    return image


def _answer(store: ImageStore, seen: _Seen, failed: dict[bytes, Refusal]) -> Stored | Refusal:
    stored = store.by_content(seen.content)
    if stored is not None:
        return stored
    told = failed[seen.content]
    # The same damaged content under another name was decoded once; each name gets its own line.
    return Refusal(str(seen.file), told.code, told.message.replace(told.path, str(seen.file)))


def _refusal(file: Path, what: str) -> Refusal:
    return Refusal(str(file), RefusalCode.CORRUPT, f"{file}: {what} - run again when nothing writes to it any more")
