"""How fast a bundle answers on this machine, each figure from a fresh process."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from pocketcxr.domain.errors import PocketCxrError
from pocketcxr.domain.progress import Progress, silent

EngineName = Literal["onnxruntime", "openvino"]
STAGE = "bench"
NUM_COLD_STARTS = 5


class ColdStart(BaseModel, frozen=True):
    """Medians over fresh processes; `total_s` from the start of the process to the end, the interpreter included."""

    total_s: float
    import_s: float
    open_s: float
    first_s: float
    """The first file, a PNG of 1024 x 1024: decoded, checked, prepared and scored with its heatmaps."""
    peak_mb: float


class Latency(BaseModel, frozen=True):
    """One engine at one number of threads, one image at a time, heatmaps included."""

    engine: EngineName
    threads: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    """Of the model alone, over `num_runs` answers."""
    num_runs: int
    check_ms: float | None
    """Median of the input gate's check of a decoded image of 1024 x 1024; None where the bundle has none."""
    prepare_ms: float
    """Median to make a decoded image of 1024 x 1024 into model input; onnxruntime for both engines."""
    images_per_second: float
    """Of checking, preparing and the model, by their medians; decoding left out."""
    peak_mb: float


class BenchReport(BaseModel, frozen=True):
    """What was measured, and on what."""

    bundle: str
    sha256: str
    processor: str
    num_processors: int
    versions: dict[str, str]
    cold_start: ColdStart
    latencies: tuple[Latency, ...]


class Benched(BaseModel, frozen=True):
    """What is measured: a bundle's file and its digest."""

    path: Path
    sha256: str


def bench(bundle: Benched, threads: Sequence[int], seconds: float = 3.0, progress: Progress = silent) -> BenchReport:
    """The measurements of the bundle. Raises PocketCxrError when a measuring process fails."""
    engines: list[EngineName] = ["onnxruntime", *(["openvino"] if find_spec("openvino") else [])]  # type: ignore[list-item]
    total = NUM_COLD_STARTS + len(engines) * len(threads)
    cold = []
    for number in range(NUM_COLD_STARTS):
        progress(STAGE, number, total)
        cold.append(_cold_start(bundle.path, threads[-1]))
    latencies: list[Latency] = []
    for engine in engines:
        for num in threads:
            progress(STAGE, NUM_COLD_STARTS + len(latencies), total)
            latencies.append(_latency(bundle.path, engine, num, seconds))
    progress(STAGE, total, total)
    medians = {name: statistics.median(run[name] for run in cold) for name in ColdStart.model_fields}
    return BenchReport(
        bundle=str(bundle.path),
        sha256=bundle.sha256,
        processor=processor_name(),
        num_processors=os.cpu_count() or 1,
        versions=_versions(),
        cold_start=ColdStart(**medians),
        latencies=tuple(latencies),
    )


def processor_name() -> str:
    """What the system calls its processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))]
    return named[0] if named else platform.machine()


def _cold_start(bundle: Path, threads: int) -> dict[str, float]:
    began = time.perf_counter()
    document = _measure(["cold", str(bundle), str(threads)])
    return {**document, "total_s": time.perf_counter() - began}


def _latency(bundle: Path, engine: EngineName, threads: int, seconds: float) -> Latency:
    document = _measure(["warm", str(bundle), str(threads), engine, str(seconds)])
    p50, p95, p99 = np.percentile(document["model_ms"], [50, 95, 99])
    prepare = statistics.median(document["prepare_ms"])
    check = statistics.median(document["check_ms"]) if document["check_ms"] else None
    return Latency(
        engine=engine,
        threads=threads,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        num_runs=len(document["model_ms"]),
        check_ms=check,
        prepare_ms=prepare,
        images_per_second=1000 / ((check or 0) + prepare + p50),
        peak_mb=document["peak_mb"],
    )


def _measure(arguments: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "pocketcxr.runtime.bench_process", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise PocketCxrError(f"{' '.join(command)} failed ({last[0]}); run it to see more")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "system": platform.platform()}
    for name in ("pocketcxr", "onnxruntime", "openvino", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
