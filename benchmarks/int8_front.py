"""Prints and draws what trained students rank for what they cost, in float32 and INT8: the AUROC-latency front.

Trains nothing. Each RUN is exported in memory, quantised with its own training images, and scored on at most N of
its test images (of --manifest, where the truth is cleaner than the labels it learnt from). Latency: one image, one
thread, all heatmaps, the model alone; onnxruntime for all and OpenVINO where it is installed; the builds take turns.

    OMP_NUM_THREADS=1 python benchmarks/int8_front.py RUN... [--manifest M] [--images N] [--json OUT] [--html OUT]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from _inputs import QUICKSTART, is_missing
from pocketcxr.domain.study import Split
from pocketcxr.evaluate.fronts import Point, front, front_plot
from pocketcxr.evaluate.pages import template
from pocketcxr.evaluate.ranking import mean_auroc
from pocketcxr.export.build import NetToExport, build_files
from pocketcxr.export.graph import BATCH_SIZE, batches, open_session
from pocketcxr.export.quantize import quantiser
from pocketcxr.imaging.preprocess import normalise
from pocketcxr.recipes.export_gate import GateOptions, calibration_inputs
from pocketcxr.recipes.runs import load_run
from pocketcxr.recipes.train import open_split, read_manifests
from pocketcxr.runtime.bench import processor_name
from pocketcxr.runtime.card import MODEL

NUM_ROUNDS, ANSWERS_A_ROUND = 15, 5
WORTH_A_NAME = 0.002
"""Points of the front that rank better by less than the one before are drawn without their name, or names overlap."""
STYLE = (
    ".front { max-width: 52rem; color: var(--model); } .front .grid { stroke: var(--rule); stroke-width: .8; }"
    " .front .best { fill: none; stroke: var(--soft); stroke-dasharray: 4 3; } .front circle { fill: currentColor; }"
    " .front text.name { fill: var(--ink); paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }"
)
Answer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Model inputs [b, 1, size, size] -> logits [b, finding]."""


@dataclass(frozen=True, eq=False)
class Build:
    """One model in one engine."""

    name: str
    engine: str
    answer: Answer
    image: NDArray[np.float32]
    auroc: float
    file_bytes: int


def by_onnxruntime(graph: bytes) -> Answer:
    """The graph on one onnxruntime thread."""
    session = open_session(graph)
    return lambda images: session.run(["logits", "heatmaps"], {"images": images})[0]


def by_openvino(graph: bytes) -> Answer:
    """The graph on one OpenVINO thread, as precise as onnxruntime computes it."""
    import openvino

    core = openvino.Core()
    options = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(core.read_model(graph), "CPU", options).create_infer_request()
    return lambda images: np.array(request.infer({"images": images})["logits"])


def builds_of(root: Path, manifest: Path | None, num_images: int) -> list[Build]:
    """The run's builds, scored."""
    loaded = load_run(root)
    ranges = calibration_inputs(loaded, GateOptions(), lambda *_: None)
    source = NetToExport(loaded.header.net.name, loaded.net, loaded.spec, loaded.findings)
    float32 = build_files(source).files[MODEL]
    with quantiser(onnx.load_from_string(float32), ranges) as it:
        int8 = it.build().SerializeToString()
    config = loaded.config.model_copy(update={"manifest": manifest or loaded.config.manifest})
    folder = config.cohort.cache_folder or root.parent / "cache"
    test = open_split(config, read_manifests(config), Split.TEST, folder)
    test = test.take(np.sort(np.random.default_rng(0).permutation(len(test))[:num_images]).astype(np.int64))
    learnt = [finding not in loaded.header.unlearnt for finding in loaded.findings]
    images = normalise(test.pixels(slice(None)), loaded.spec)[:, None]
    started = " from ImageNet" if loaded.header.net.weights == "imagenet" else ""
    engines = {"onnxruntime": by_onnxruntime, **({"OpenVINO": by_openvino} if find_spec("openvino") else {})}
    found = []
    for precision, graph in (("fp32", float32), ("int8", int8)):
        for engine, opened in engines.items():
            answer = opened(graph)
            logits = np.concatenate([answer(batch) for batch in batches(images)])
            auroc = mean_auroc(test.labels[:, learnt], logits[:, learnt])
            assert auroc is not None, f"{root}: no finding of its test images has an AUROC"
            name = f"{source.name}{started} {precision}"
            found.append(Build(name, engine, answer, images[:1], auroc, len(graph)))
            print(f"{root.name}: {name}, {engine}: AUROC {auroc:.4f} on {len(test):,} images")
    return found


def milliseconds(builds: list[Build]) -> list[float]:
    """The median of each, the builds taking turns; the first answer of a turn is not counted."""
    times: list[list[float]] = [[] for _ in builds]
    for _ in range(NUM_ROUNDS):
        for build, own in zip(builds, times, strict=True):
            build.answer(build.image)
            for _ in range(ANSWERS_A_ROUND):
                start = time.perf_counter()
                build.answer(build.image)
                own.append(1000 * (time.perf_counter() - start))
    return [statistics.median(own) for own in times]


def named(best: list[Point]) -> list[Point]:
    """Of a front, by rising price, the points that rank clearly better than the last one named."""
    chosen = best[:1]
    for point in best[1:]:
        if point.auroc >= chosen[-1].auroc + WORTH_A_NAME:
            chosen.append(point)
    return chosen


def write_page(points: list[Point], path: Path) -> None:
    """The front as a page of its own, in the report's style."""
    # The plot's price is any positive number; here it is time.
    drawn = str(front_plot(points)).replace("multiply-accumulates for one image", "milliseconds for one image")
    style = template("report.css.j2").render() + f"<style>{STYLE}</style>"
    words = f"Mean AUROC against latency, one thread, {processor_name()}. Research use only."
    title = "AUROC and latency"
    cells = "".join(
        f"<tr><th>{point.name}</th><td>{point.macs:.2f}</td><td>{point.auroc:.4f}</td></tr>"
        for point in sorted(points, key=lambda one: one.macs)
    )
    table = f"<table><tr><th>build</th><th>milliseconds</th><th>mean AUROC</th></tr>{cells}</table>"
    page = f"<h1>{title}</h1><p>{words}</p>{drawn}{table}"
    path.write_text(f"<!DOCTYPE html><meta charset=utf-8><title>{title}</title>{style}<main>{page}</main>\n")


def main() -> None:
    """Score, time, print, write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, default=[QUICKSTART / "distilled"])
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--images", type=int, default=100 * BATCH_SIZE)
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--html", type=Path, metavar="OUT")
    arguments = parser.parse_args()
    if is_missing("trained runs", *arguments.runs):
        return
    builds = [one for root in arguments.runs for one in builds_of(root, arguments.manifest, arguments.images)]
    points = [
        Point(f"{build.name}, {build.engine}", cost, build.auroc, None, None, "model")
        for build, cost in zip(builds, milliseconds(builds), strict=True)
    ]
    best = front(points)
    print(f"\n{processor_name()}, one thread; * nobody beats it at its price")
    for point, build in sorted(zip(points, builds, strict=True), key=lambda pair: pair[0].macs):
        mark = "*" if point in best else " "
        print(f"{mark} {point.name:46} {point.macs:8.2f} ms  AUROC {point.auroc:.4f}  {build.file_bytes / 1e6:6.2f} MB")
    if arguments.json:
        rows = [{"name": p.name, "milliseconds": p.macs, "auroc": p.auroc, "on_front": p in best} for p in points]
        arguments.json.write_text(json.dumps({"processor": processor_name(), "builds": rows}, indent=2) + "\n")
    if arguments.html:
        shown = named(best)
        write_page([replace(point, is_labelled=point in shown) for point in points], arguments.html)


if __name__ == "__main__":
    main()
