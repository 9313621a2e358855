"""pocketcxr bench: how fast a bundle answers on this machine."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketcxr.apps.cli import console
from pocketcxr.apps.cli.trusted_key import TrustedKey
from pocketcxr.domain.errors import UsageError

if TYPE_CHECKING:
    from pocketcxr.runtime.bench import BenchReport


def bench(
    bundle: Annotated[Path, typer.Argument(help="A bundle: the --out of pocketcxr export.")],
    threads: Annotated[str | None, typer.Option(help="Numbers of threads; 1 and all if not given.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each engine is timed.")] = 3.0,
    trusted_key: TrustedKey = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure start-up, latency, throughput and memory, in onnxruntime and, where it is installed, OpenVINO."""
    from pocketcxr.runtime.bench import Benched, bench
    from pocketcxr.runtime.bundle import open_bundle

    numbers = _threads(threads)
    opened = open_bundle(bundle, trusted_key)
    with console.progress_bars() as progress:
        report = bench(Benched(path=bundle, sha256=opened.digest), numbers, seconds, progress)
    if is_json:
        sys.stdout.write(report.model_dump_json(indent=2) + "\n")
    else:
        _print(report)


def _threads(text: str | None) -> list[int]:
    if text is None:
        return sorted({1, os.cpu_count() or 1})
    numbers = text.split(",")
    if not all(number.strip().isdecimal() and int(number) > 0 for number in numbers):
        raise UsageError(f"--threads {text}: give numbers from 1 with commas between them, for example 1,2")
    return sorted({int(number) for number in numbers})


def _print(report: "BenchReport") -> None:
    from rich.table import Table

    packages = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    console.stdout.print(f"{report.processor}, {report.num_processors} processors; {packages}", highlight=False)
    cold = report.cold_start
    console.stdout.print(
        f"cold start {cold.total_s:.2f} s: import {cold.import_s:.2f}, open {cold.open_s:.2f}, first file "
        f"{cold.first_s:.2f}, the rest is Python; peak memory {cold.peak_mb:.0f} MB",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("engine")
    for name in ("threads", "p50 ms", "p95 ms", "p99 ms", "check ms", "prepare ms", "images/s", "peak MB"):
        table.add_column(name, justify="right")
    for one in report.latencies:
        times = (one.p50_ms, one.p95_ms, one.p99_ms, one.check_ms, one.prepare_ms)
        cells = ["-" if value is None else f"{value:.2f}" for value in times]
        cells += [f"{one.images_per_second:.0f}", f"{one.peak_mb:.0f}"]
        table.add_row(one.engine, str(one.threads), *cells)
    console.stdout.print(table)
    console.stdout.print(
        "One image at a time with all heatmaps. p50, p95, p99: the model; images/s: with checking (the input gate) "
        "and preparing a decoded image of 1024 x 1024, decoding left out.",
        style="dim",
    )
