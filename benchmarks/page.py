"""Prints what the page costs in Chromium: bytes over the wire, time until it is ready, time for a file with heatmaps.

    python benchmarks/page.py [BUNDLE] [--json OUT] [--images 30] [--side 1024]

The real program serves BUNDLE (by default the quickstart's), and two bundles at 224 px with random weights, which cost
what trained ones do. For each, in a browser that has stored nothing: one thread, and as many as the page takes by
itself. Files are simulated PNG radiographs. Needs Chromium and the built page; run it on a machine that is quiet.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import onnx
import torch
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from _inputs import QUICKSTART, is_missing
from pocketcxr.apps.web.site import INDEX, INSTALLED_PAGE
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.export.build import NetToExport, build_files
from pocketcxr.export.half import half
from pocketcxr.export.pack import pack
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.recipes.input_gate_pictures import draw_chests
from pocketcxr.runtime.bench import processor_name
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.card import Build, Builds, CardFacts
from pocketcxr.runtime.input_gate import GATE, packaged_gate

LIMIT_S = 300
POLL_MS = 100
NETS = ("eeea-net-c2-map", "eeea-net-c2-lite-map")
SIZE_PX, OUTPUT_STRIDE = 224, 16
ENCODINGS = "gzip, deflate, br, zstd"
"""What Chromium says it takes from a secure address."""
STEPS = ("decodeMs", "gateMs", "prepareMs", "modelMs")
CHESTER = {
    "source": "Cohen, Bertin, Frappier 2019 (arXiv 1901.11210), as its authors published it, on another machine",
    "megabytes": 150,
    "load_s": 12,
    "predict_s": 1.3,
    "one_heatmap_s": 17,
}
# Notes what the worker says, to the fraction of a millisecond, and asks it for the threads wanted.
LISTEN = """
window.heard = {readyMs: null, threads: null, answers: []};
const Native = window.Worker;
window.Worker = class extends Native {
    constructor(...words) {
        super(...words);
        this.addEventListener("message", ({data}) => {
            const now = performance.now();
            if (data.kind === "ready") Object.assign(heard, {readyMs: now, threads: data.facts.threads});
            if (data.kind === "scored") heard.answers.push({...data.result.timings, atMs: now});
        });
    }
    postMessage(message, ...rest) {
        super.postMessage(message.kind === "open" ? {...message, threads: THREADS} : message, ...rest);
    }
};
"""


@dataclass(frozen=True)
class Speed:
    """In milliseconds; medians over all files but the first."""

    threads: int
    ready: float
    """From the start of the navigation until the model is loaded: the first file can be scored at once."""
    file: float
    """From one answer to the next: decoding, input gate, preparation, model, and what lies between."""
    decode: float
    gate: float
    prepare: float
    model: float
    """Scores and the heatmaps of all findings."""


def random_bundle(name: str, folder: Path) -> Path:
    """A bundle at 224 px as `pocketcxr export` makes one, but untrained."""
    torch.manual_seed(0)
    net = build(NetConfig(name=name, output_stride=OUTPUT_STRIDE), num_findings=len(CHESTXRAY14))
    spec = PreprocessSpec(size=SIZE_PX)
    built = build_files(NetToExport(name, net, spec, CHESTXRAY14))
    fp16 = half(onnx.load_from_string(built.files["model.onnx"])).SerializeToString()
    facts = CardFacts(
        name=name,
        created=datetime.now(UTC),
        made_by="benchmarks/page.py",
        is_simulated=True,
        findings=CHESTXRAY14,
        preprocess=spec,
        net=built.net,
        builds=Builds(fp32=built.builds.fp32, fp16=Build(file="model.fp16.onnx", tolerance=0.01)),
        training={},
    )
    return pack(facts, {**built.files, "model.fp16.onnx": fp16, GATE: packaged_gate()}, folder / f"{name}.zip")


def radiographs(folder: Path, count: int, side: int) -> list[Path]:
    """`count` PNG files of three simulated chests."""
    chests = draw_chests(3, seed=5, side=side).pixels
    paths = [folder / f"{place:02d}.png" for place in range(count)]
    for place, path in enumerate(paths):
        Image.fromarray(chests[place % len(chests)]).save(path)
    return paths


@contextmanager
def serving(bundle: Path) -> Iterator[str]:
    """The address of the program that serves the bundle."""
    command = [sys.executable, "-m", "pocketcxr", "serve", str(bundle), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        patience = threading.Timer(LIMIT_S, process.kill)
        patience.start()
        try:
            assert process.stdout is not None
            url: str = json.loads(process.stdout.readline())["url"]
            patience.cancel()
            yield url
        finally:
            patience.cancel()
            process.kill()


def arrive(browser: Browser, url: str, threads: int | None) -> tuple[BrowserContext, Page, list[str]]:
    """A new browser profile on the page, its model loaded, and the addresses that were asked for so far."""
    context = browser.new_context(service_workers="block")
    context.set_default_timeout(LIMIT_S * 1000)
    context.add_init_script(LISTEN.replace("THREADS", json.dumps(threads)))
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.goto(url)
    wait_until(page, "heard.readyMs !== null")
    return context, page, asked


def wait_until(page: Page, condition: str) -> None:
    """Nothing, once the condition holds. The page's policy forbids Playwright's own way, which evaluates text in it."""
    end = time.monotonic() + LIMIT_S
    while not page.evaluate(condition):
        if time.monotonic() > end:
            raise TimeoutError(f"{page.url}: not within {LIMIT_S} s: {condition}")
        page.wait_for_timeout(POLL_MS)


def speed(browser: Browser, url: str, threads: int | None, files: Sequence[Path]) -> Speed:
    """What the page takes for the files, one after the other."""
    context, page, _ = arrive(browser, url, threads)
    page.get_by_test_id("picker").set_input_files(list(files))
    wait_until(page, f"heard.answers.length === {len(files)}")
    heard: dict[str, Any] = page.evaluate("heard")
    context.close()
    answers: list[dict[str, float]] = heard["answers"]
    between = [later["atMs"] - former["atMs"] for former, later in pairwise(answers)]
    steps = (statistics.median(answer[step] for answer in answers[1:]) for step in STEPS)
    times = (round(value, 1) for value in (heard["readyMs"], statistics.median(between), *steps))
    return Speed(int(heard["threads"]), *times)


def wire(browser: Browser, url: str) -> dict[str, Any]:
    """Bytes of bodies, as compressed as the server sends them, of all that is asked for until the model is loaded."""
    context, _, asked = arrive(browser, url, None)
    context.close()
    sizes: dict[str, int] = {}
    encodings: dict[str, int] = {}
    for address in dict.fromkeys(asked):
        num_bytes, encoding = sent(address)
        part = part_of(urlsplit(address).path)
        sizes[part] = sizes.get(part, 0) + num_bytes
        encodings[encoding] = encodings.get(encoding, 0) + num_bytes
    listed = json.loads(urllib.request.urlopen(url + "precache.json", timeout=LIMIT_S).read())["files"]
    decoders = [url + file["url"] for file in listed if part_of("/" + file["url"]) == "decoders"]
    later = {urlsplit(address).path: sent(address)[0] for address in decoders if address not in asked}
    return {"total": sum(sizes.values()), "by_part": sizes, "by_encoding": encodings, "later_if_needed": later}


def sent(address: str) -> tuple[int, str]:
    """Bytes of the body as the server sends it to Chromium, and its encoding."""
    request = urllib.request.Request(address, headers={"Accept-Encoding": ENCODINGS})
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        return len(answer.read()), answer.headers.get("Content-Encoding", "none")


def part_of(path: str) -> str:
    """What a file of the site belongs to."""
    if path.startswith("/bundle/"):
        return "bundle"
    if "ort-wasm" in path:
        return "runtime"
    return "decoders" if path.startswith("/parts/") or path.endswith("_decode.wasm") else "page"


def measure(browser: Browser, bundle: Path, files: Sequence[Path]) -> dict[str, Any]:
    """Everything of one bundle."""
    card = open_bundle(bundle).card
    with serving(bundle) as url:
        site: Mapping[str, str] = json.loads(urllib.request.urlopen(url + "site.json", timeout=LIMIT_S).read())
        runs = [asdict(speed(browser, url, threads, files)) for threads in (1, None)]
        return {
            "net": card.net.name,
            "size_px": card.preprocess.size,
            "heatmap": [card.net.heatmap_height, card.net.heatmap_width],
            "findings": len(card.findings),
            "precision": site["precision"],
            "wire_bytes": wire(browser, url),
            "milliseconds": runs,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=QUICKSTART / "bundle.zip")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--images", type=int, default=30, help="measured, after one that warms up")
    parser.add_argument("--side", type=int, default=1024, help="of the radiographs, in pixels")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if is_missing("a bundle, as make quickstart leaves one", arguments.bundle):
        return
    if is_missing("the page: cd page && npm ci && npm run build", INSTALLED_PAGE / INDEX):
        return
    if is_missing("Chromium: apt-get install chromium", chromium and Path(chromium)):
        return
    with tempfile.TemporaryDirectory() as room, sync_playwright() as playwright:
        folder = Path(room)
        files = radiographs(folder, arguments.images + 1, arguments.side)
        bundles = [arguments.bundle, *(random_bundle(name, folder) for name in NETS)]
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        report = {
            "machine": {
                "processor": processor_name(),
                "processors": os.cpu_count(),
                "load_average": os.getloadavg()[0],
                "system": platform.platform(),
                "chromium": browser.version,
            },
            "day": time.strftime("%Y-%m-%d"),
            "files": f"{arguments.images} PNG, {arguments.side} x {arguments.side}, 8 bit",
            "bundles": [measure(browser, bundle, files) for bundle in bundles],
            "chester": CHESTER,
        }
        browser.close()
    text = json.dumps(report, indent=1)
    print(text)
    if arguments.json is not None:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
