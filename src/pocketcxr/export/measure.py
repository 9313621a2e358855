"""What builds cost on this machine: latency of all of them in turns, memory each in a process of its own."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pocketcxr.export.graph import open_session
from pocketcxr.runtime.card_gate import BuildLatency

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

NUM_ROUNDS = 20
ANSWERS_A_ROUND = 5


@dataclass(frozen=True)
class Speed:
    """What one answer of a model takes."""

    latencies: tuple[BuildLatency, ...]
    """At one thread and at all there are."""
    compute_ms: float
    """Processor time at one thread, the median over turns: waiting for a busy processor does not count."""


def speeds(models: Sequence[bytes], images: NDArray[np.float32]) -> list[Speed]:
    """Of each model, one of `images` [n, 1, size, size] at a time.

    The models take turns, so that a busy moment slows them alike; the first answer of a turn is not counted, since
    another model's threads and data are still about.
    """
    threads = sorted({1, os.cpu_count() or 1})
    sessions = [[open_session(model, num) for num in threads] for model in models]
    waited = np.empty((len(models), len(threads), NUM_ROUNDS, ANSWERS_A_ROUND))
    computed = np.empty((len(models), len(threads), NUM_ROUNDS))
    for number in range(NUM_ROUNDS):
        image = images[number % len(images)][None]
        for place, of_model in enumerate(sessions):
            for column, session in enumerate(of_model):
                waited[place, column, number], computed[place, column, number] = _turn(session, image)
    return [_speed(threads, waited[place], computed[place, 0]) for place in range(len(models))]


def _speed(threads: Sequence[int], waited: NDArray[np.float64], computed: NDArray[np.float64]) -> Speed:
    """From milliseconds waited [threads, round, answer] and computed at one thread [round]."""
    percentiles = np.percentile(waited, [50, 95], axis=(1, 2)).T
    return Speed(
        latencies=tuple(
            BuildLatency(threads=num, p50_ms=float(p50), p95_ms=float(p95))
            for num, (p50, p95) in zip(threads, percentiles, strict=True)
        ),
        compute_ms=float(np.median(computed)),
    )


def added_memory_mb(model: bytes) -> float | None:
    """What loading and running the model adds to a fresh process' peak memory, MiB; None where the system is silent."""
    with tempfile.TemporaryDirectory(prefix="pocketcxr-memory-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        command = [sys.executable, "-m", "pocketcxr.export.memory_process", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return None if done.stdout.strip() == "unknown" else float(done.stdout)


def _turn(session: "InferenceSession", image: NDArray[np.float32]) -> tuple[list[float], float]:
    """Milliseconds of each answer but the first, and this thread's mean processor time of these."""
    session.run(None, {"images": image})
    times = []
    computing = time.thread_time()
    for _ in range(ANSWERS_A_ROUND):
        began = time.perf_counter()
        session.run(None, {"images": image})
        times.append(1000 * (time.perf_counter() - began))
    return times, 1000 * (time.thread_time() - computing) / ANSWERS_A_ROUND
