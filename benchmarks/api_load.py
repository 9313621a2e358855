"""Prints how the JSON API bears load on this machine: requests a second beside `predict_files`, delays, memory, an end.

    python benchmarks/api_load.py BUNDLE [--json OUT] [--requests 5000] [--connections 8] [--workers N] [--side 1024]

In a server of its own (uvicorn on loopback): as many requests as asked for on connections that stay open, the resident
memory of all its processes as they go on; the same files one after the other by `predict_files` in this process; four
times as many connections as the server takes; at last SIGTERM in the middle of the load, after which no answer may be
cut. Clients write prepared bytes and read the status and the length alone, so that they cost next to nothing.
"""

import argparse
import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.routing import Mount

from _inputs import QUICKSTART, is_missing
from pocketcxr.apps.web.api import PREFIX, build_api, running
from pocketcxr.apps.web.api_queue import ApiSettings
from pocketcxr.runtime.bench import processor_name
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.predict import predict_files
from pocketcxr.runtime.session import open_engine

NUM_PICTURES, NUM_ALONE, NUM_SAMPLES = 10, 100, 50
QUERY = "input_gate=false"


@dataclass
class Load:
    """What the clients saw."""

    wanted: int
    """Scores after which they stop."""
    seconds: list[float] = field(default_factory=list)
    """Of every scored request."""
    ends: Counter[str] = field(default_factory=Counter)
    """Requests by status; "closed": without a byte of an answer; "cut": in the middle of one."""
    resident_mb: list[tuple[int, float]] = field(default_factory=list)
    """Memory of the server by answers."""

    @property
    def answers(self) -> int:
        return len(self.seconds)


def pictures(side: int) -> list[bytes]:
    """PNG files with the noise of an X-ray."""
    rng = np.random.default_rng(0)
    encoded = []
    for _ in range(NUM_PICTURES):
        coarse = Image.fromarray(rng.integers(20, 230, (32, 32), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
        file = io.BytesIO()
        Image.fromarray((smooth + rng.normal(0, 3, smooth.shape)).clip(0, 255).astype(np.uint8)).save(file, "PNG")
        encoded.append(file.getvalue())
    return encoded


def request_of(data: bytes) -> bytes:
    """The request as it goes over the line."""
    head = (
        f"POST {PREFIX}/predict?{QUERY} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def serve(bundle: Path, settings: ApiSettings) -> None:
    """What the server's process does; it prints its port first."""
    api = build_api(open_bundle(bundle), settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with running(api):
            yield

    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again when all is answered
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        print(listening.getsockname()[1], flush=True)
        outer = Starlette(routes=[Mount(PREFIX, api)], lifespan=lifespan)
        uvicorn.Server(uvicorn.Config(outer, log_level="warning", access_log=False)).run(sockets=[listening])


@contextmanager
def server(bundle: Path, workers: int) -> Iterator[tuple[psutil.Process, int]]:
    """The server's process and port; it is ended at last."""
    command = [sys.executable, __file__, str(bundle), "--workers", str(workers), "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield psutil.Process(process.pid), int(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(120)


def resident_mb(process: psutil.Process) -> float:
    """Memory of the process and its children, MiB; of an ended one none."""
    try:
        return sum(part.memory_info().rss for part in (process, *process.children(recursive=True))) / (1 << 20)
    except psutil.NoSuchProcess:
        return 0.0


async def client(port: int, requests: Sequence[bytes], load: Load) -> None:
    """Asks on one connection until enough is answered or the server closes it."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        load.ends["closed"] += 1
        return
    number = 0
    while load.answers < load.wanted:
        began, status = time.perf_counter(), b""
        number += 1
        try:
            writer.write(requests[number % len(requests)])
            status = await reader.readuntil(b"\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            has_begun = status != b"" or (isinstance(error, asyncio.IncompleteReadError) and error.partial != b"")
            load.ends["cut" if has_begun else "closed"] += 1
            break
        code = status.split()[1].decode()
        load.ends[code] += 1
        if code == "200":
            load.seconds.append(time.perf_counter() - began)
        else:
            await asyncio.sleep(0.05)
    writer.close()


async def watch(process: psutil.Process, load: Load) -> None:
    """Notes the server's memory now and then."""
    step = max(load.wanted // NUM_SAMPLES, 1)
    while True:
        if not load.resident_mb or load.answers >= load.resident_mb[-1][0] + step:
            load.resident_mb.append((load.answers, round(resident_mb(process), 1)))
            print(f"{load.answers:9,} answers {load.resident_mb[-1][1]:8.1f} MB", file=sys.stderr, flush=True)
        await asyncio.sleep(0.1)


async def run(process: psutil.Process, port: int, requests: Sequence[bytes], load: Load, connections: int) -> float:
    """Seconds until all clients have ended."""
    watching = asyncio.create_task(watch(process, load))
    began = time.perf_counter()
    await asyncio.gather(*(client(port, requests, load) for _ in range(connections)))
    seconds = time.perf_counter() - began
    watching.cancel()
    return seconds


async def run_and_end(process: psutil.Process, port: int, requests: Sequence[bytes], connections: int) -> Load:
    """The same load, with SIGTERM in the middle of it."""
    load = Load(wanted=sys.maxsize)
    clients = asyncio.create_task(run(process, port, requests, load, connections))
    while load.answers < 50 and not clients.done():
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    await clients
    return load


def alone(bundle: Path, encoded: Sequence[bytes]) -> float:
    """Files a second by predict_files, one after the other, in this process."""
    engine = open_engine(open_bundle(bundle), 1)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.png" for number in range(len(encoded))]
        for path, data in zip(paths, encoded, strict=True):
            path.write_bytes(data)
        files = [paths[number % len(paths)] for number in range(NUM_ALONE)]
        list(predict_files(engine, files[:3], checks_input=False))
        began = time.perf_counter()
        list(predict_files(engine, files, checks_input=False))
        return len(files) / (time.perf_counter() - began)


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """Everything, as it is printed."""
    encoded = pictures(arguments.side)
    requests = [request_of(data) for data in encoded]
    capacity = ApiSettings(workers=arguments.workers).capacity
    with server(arguments.bundle, arguments.workers) as (process, port):
        warm, load, crowd = Load(wanted=50), Load(wanted=arguments.requests), Load(wanted=arguments.requests // 5)
        asyncio.run(run(process, port, requests, warm, arguments.connections))
        seconds = asyncio.run(run(process, port, requests, load, arguments.connections))
        by_predict_files = alone(arguments.bundle, encoded)
        asyncio.run(run(process, port, requests, crowd, 4 * capacity))
        ended = asyncio.run(run_and_end(process, port, requests, arguments.connections))
        exit_code = process.wait(120)
    rate = len(load.seconds) / seconds
    p50, p99 = np.percentile(load.seconds, [50, 99])
    quarter = max(len(load.resident_mb) // 4, 1)
    early, late = (max(mb for _, mb in part) for part in (load.resident_mb[:quarter], load.resident_mb[-quarter:]))
    machine = {"processor": processor_name(), "num_processors": os.cpu_count()}
    names = ("workers", "connections", "side")
    return machine | {
        **{name: getattr(arguments, name) for name in names},
        "ends": load.ends,
        "requests_per_second": rate,
        "predict_files_per_second": by_predict_files,
        "times_predict_files": rate / by_predict_files,
        "p50_ms": 1000 * p50,
        "p99_ms": 1000 * p99,
        "resident_mb": {"first_quarter": early, "last_quarter": late, "by_answers": dict(load.resident_mb)},
        "crowd": {"connections": 4 * capacity, "capacity": capacity, "ends": crowd.ends},
        "sigterm": {"ends": ended.ends, "exit_code": exit_code},
    }


def main() -> None:
    """Measure, print JSON, write it where asked; exit code 1 when an answer was cut."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=QUICKSTART / "bundle.zip")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--serve", action="store_true", help="Be the server that is measured.")
    arguments = parser.parse_args()
    if is_missing("a bundle", arguments.bundle):
        return
    if arguments.serve:
        serve(arguments.bundle, ApiSettings(workers=arguments.workers))
        return
    text = json.dumps(measure(arguments), indent=2) + "\n"
    print(text, end="")
    if arguments.json:
        arguments.json.write_text(text)
    raise SystemExit(int('"cut"' in text))


if __name__ == "__main__":
    main()
