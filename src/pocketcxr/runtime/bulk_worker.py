"""A process that turns files into model input, within limits: what explodes or hangs is this process's end only."""

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.errors import ImageRefusedError, RefusalCode
from pocketcxr.domain.prediction import Refusal
from pocketcxr.imaging.load import load
from pocketcxr.imaging.radiograph import MIN_SIDE_PX, Radiograph
from pocketcxr.runtime.input_gate import Gate, InputWarning, check, facts_of_source, open_gate

READY = "ready"
"""The first message of a worker."""


@dataclass(frozen=True)
class Limits:
    """What one file may take."""

    seconds: float = 30.0
    memory_mb: int = 1024
    """Beside what an idle worker takes; not enforced where the system has no RLIMIT_AS (Windows, macOS)."""


@dataclass(frozen=True)
class DecodeJob:
    """What a worker needs to know."""

    preprocess: bytes
    """The bundle's preprocess.onnx."""
    limits: Limits
    keeps_radiograph: bool
    """Whether the decoded X-ray itself is wanted, to draw heatmaps on."""
    gate: bytes | None = None
    """The bundle's input gate; None: nobody checks what the pictures show."""


class Decoded(NamedTuple):
    """One file ready for the model."""

    images: NDArray[np.float32]
    """Model input [1, 1, size, size]."""
    radiograph: Radiograph | None
    warnings: tuple[InputWarning, ...] = ()


Prepare = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class Tools(NamedTuple):
    """What a worker decodes with."""

    prepare: Prepare
    gate: Gate | None


def serve(connection: Connection, job: DecodeJob) -> None:
    """Answers every path that comes in with a Decoded or a Refusal, in order, until the connection is closed."""
    tools = open_tools(job)
    connection.send(READY)
    try:
        while True:
            connection.send(decode(connection.recv(), tools, job.keeps_radiograph))
    except (EOFError, OSError):
        return


def open_tools(job: DecodeJob) -> Tools:
    """What this process decodes with; from now on it keeps the memory limit, and ends with its parent."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare = _open_preprocess(job.preprocess)
    gate = None if job.gate is None else open_gate(job.gate, "the bundle")
    prepare(np.zeros((MIN_SIDE_PX, MIN_SIDE_PX), dtype=np.uint8))
    _limit_memory(job.limits.memory_mb)
    return Tools(prepare, gate)


def decode(path: Path, tools: Tools, keeps_radiograph: bool) -> Decoded | Refusal:
    """The file ready for the model, or why it is not; whatever a decoder makes of it, nothing is raised."""
    prepare, gate = tools
    try:
        radiograph = load(path)
        checked = () if gate is None else check(gate, radiograph, facts_of_source(radiograph))
        if isinstance(checked, Refusal):
            return checked
        return Decoded(prepare(radiograph.image), radiograph if keeps_radiograph else None, checked)
    except ImageRefusedError as error:
        return Refusal(str(path), error.code, str(error))
    except MemoryError:
        return Refusal(
            str(path),
            RefusalCode.TOO_MUCH_MEMORY,
            f"{path}: decoding takes more memory than a file may - allow more with --memory-mb, or scale it down",
        )
    # One file must not end a run of a million, whatever a decoder makes of it; the row says what happened.
    except Exception as error:  # noqa: BLE001
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:240]
        return Refusal(
            str(path),
            RefusalCode.DECODER_CRASHED,
            f"{path}: decoding failed in an unforeseen way ({reason}) - convert it, and report this",
        )


def _open_preprocess(graph: bytes) -> Prepare:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is told in the file's row
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # The arena keeps the largest image's memory for ever; files differ in size.
    options.enable_cpu_mem_arena = False
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def prepare(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            (images,) = session.run(["images"], {"image": np.ascontiguousarray(image)})
        except onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException as error:
            # The graph takes any image; all that can be missing is room.
            raise MemoryError from error
        prepared: NDArray[np.float32] = images
        return prepared

    return prepare


def _limit_memory(memory_mb: int) -> None:
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + (memory_mb << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _end_with_parent() -> None:
    """A worker in a decoder that hangs does not notice that its parent was killed: nobody else would ever end it."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
