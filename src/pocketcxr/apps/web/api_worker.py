"""What a decoding process does with an upload: bytes in, model input or a refusal out.

On Linux the bytes lie in memory under a name that only this process can open, elsewhere in a folder that the server
made for this process and deletes with it. No answer speaks of that name.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocketcxr.domain.prediction import Refusal
from pocketcxr.imaging.radiograph import Radiograph, SourceFormat
from pocketcxr.runtime.bulk_worker import READY, DecodeJob, Tools, decode, open_tools
from pocketcxr.runtime.input_gate import HOW_TO_SKIP, InputWarning
from pocketcxr.runtime.pictures import MAX_SIDE_PX

NAMELESS = "the file"
"""What messages call an upload."""
_MOST_BYTES = (1 << 31) - 1


class DecodeOptions(NamedTuple):
    """What is wanted of one upload."""

    checks_input: bool
    keeps_picture: bool
    """Whether the X-ray itself is wanted, small, to draw heatmaps on."""


class DecodedUpload(NamedTuple):
    """One upload ready for the model."""

    images: NDArray[np.float32]
    """Model input [1, 1, size, size]."""
    height: int
    width: int
    """Of the decoded X-ray, pixels."""
    source_format: SourceFormat
    picture: Radiograph | None
    """The X-ray with at most MAX_SIDE_PX a side."""
    warnings: tuple[InputWarning, ...]


@dataclass(frozen=True)
class UploadJob:
    """What the process needs to know."""

    decode: DecodeJob
    """With the bundle's gate, whoever asks for it; it must keep radiographs."""
    folder: Path | None
    """Where an upload may be written; None: in memory."""


def serve_uploads(connection: Connection, job: UploadJob) -> None:
    """Answers every (DecodeOptions, bytes) with a DecodedUpload or a Refusal, until the connection is closed."""
    # A service manager may send SIGTERM to every process of the service: what the server accepted must still be
    # decoded. The server ends this process.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tools = open_tools(job.decode)
    connection.send(READY)
    try:
        while True:
            options: DecodeOptions = connection.recv()
            connection.send(_decode(connection.recv_bytes(_MOST_BYTES), options, tools, job.folder))
    except (EOFError, OSError):
        return


def _decode(data: bytes, options: DecodeOptions, tools: Tools, folder: Path | None) -> DecodedUpload | Refusal:
    asked = tools if options.checks_input else tools._replace(gate=None)
    with file_of(data, folder) as path:
        decoded = decode(path, asked, keeps_radiograph=True)
        if isinstance(decoded, Refusal):
            return replace(decoded, path=NAMELESS, message=without_path(decoded.message, path))
        warnings = tuple(
            replace(warning, path=NAMELESS, message=without_path(warning.message, path)) for warning in decoded.warnings
        )
    radiograph = decoded.radiograph
    assert radiograph is not None  # kept, as was asked
    picture = _small(radiograph) if options.keeps_picture else None
    size = radiograph.height, radiograph.width
    return DecodedUpload(decoded.images, *size, radiograph.source_format, picture, warnings)


@contextmanager
def file_of(data: bytes, folder: Path | None) -> Iterator[Path]:
    """A file that holds the bytes until the end: in the folder, or without one in memory (Linux)."""
    if folder is None:
        if sys.platform != "linux":
            raise OSError("files in memory need Linux; give a folder")
        with open(os.memfd_create("upload"), "wb") as file:  # noqa: PTH123 - it has no path yet
            file.write(data)
            file.flush()
            yield Path(f"/proc/self/fd/{file.fileno()}")
        return
    path = folder / "upload"
    try:
        path.write_bytes(data)
        yield path
    finally:
        path.unlink(missing_ok=True)


def without_path(message: str, path: Path) -> str:
    """The message as the sender of an upload may read it: without our path, in valid UTF-8, with the API's words."""
    text = message.removeprefix(f"{path}: ")
    for name in (repr(path), repr(str(path)), str(path)):
        text = text.replace(name, NAMELESS)
    text = text.replace(HOW_TO_SKIP, "send it with input_gate=false")
    return text.encode("utf-8", "backslashreplace").decode()


def _small(radiograph: Radiograph) -> Radiograph:
    """The X-ray scaled as runtime.pictures scales it, so that pictures are equal and little is passed on."""
    image = Image.fromarray(radiograph.image)
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.BILINEAR)
    return replace(radiograph, image=np.asarray(image), path=NAMELESS)
