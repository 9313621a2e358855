"""Prints what one X-ray costs from file bytes to 14 calibrated probabilities and 14 heatmaps: one thread, one run.

Ours: the bundle, as `pocketcxr predict` runs it (decode, preprocess.onnx, model.onnx, calibration), and all 14 heatmaps
placed at 224 x 224; students in float32 and INT8 by onnxruntime, and INT8 by OpenVINO where it is installed. Against
(a) DenseNet121 as torchxrayvision uses it, in PyTorch, with its reading, cropping and resizing; no heatmaps,
(b) the same with 14 Grad-CAMs, each by its own call of pytorch-grad-cam, as its documentation shows it,
(c) DenseNet121 in onnxruntime, with torchxrayvision's reading; no heatmaps.
What decoding and preparing alone cost either way is printed too. Weights are random unless a bundle is given: they do
not change the time. Rounds take turns so that a busy machine hits all alike; medians are printed, and ratios are the
medians of ratios within a round.

    OMP_NUM_THREADS=1 python benchmarks/end_to_end.py [BUNDLE] [--rounds N] [--side PX] [--json OUT]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import torch
import torchxrayvision as xrv
from numpy.typing import NDArray
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.study import ViewPosition
from pocketcxr.export.build import NetToExport, build_files
from pocketcxr.export.graph import open_session
from pocketcxr.export.pack import pack
from pocketcxr.export.quantize import quantiser
from pocketcxr.imaging.load import load
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.phantom.render import RenderRequest, render
from pocketcxr.runtime.bench import processor_name
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.card import MODEL, Build, Builds, CardFacts
from pocketcxr.runtime.card_calibration import Calibration, FindingCalibration
from pocketcxr.runtime.predict import Scored, predict_files
from pocketcxr.runtime.session import Engine, open_engine

SIZE, NUM_FINDINGS, INT8 = 224, len(CHESTXRAY14), "model.int8.onnx"
STUDENTS = ("eeea-net-c2-map", "eeea-net-c2-lite-map")
FORWARD, CAMS, ONNX = "(a) DenseNet121, PyTorch", "(b) the same + 14 Grad-CAMs", "(c) DenseNet121, onnxruntime"
USUAL_READING, OUR_READING = "    reading as (a) to (c)", "    reading and preparing as ours"
FAST_A_ROUND = 5
"""Runs without Grad-CAM in a round: their median stands for the round."""

Run = Callable[[], object]


class OpenVinoModel:
    """A bundle's model in OpenVINO with the one call that an Engine makes of onnxruntime."""

    def __init__(self, graph: bytes) -> None:
        import openvino

        core = openvino.Core()
        options = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
        self._request = core.compile_model(core.read_model(graph), "CPU", options).create_infer_request()

    def run(self, names: Sequence[str], feeds: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """The outputs of those names."""
        said = self._request.infer(feeds)
        return [said[name] for name in names]


def random_bundle(name: str, folder: Path, is_int8: bool) -> Path:
    """A bundle of the student with weights of no meaning."""
    spec = PreprocessSpec(size=SIZE)
    built = build_files(NetToExport(name, build(NetConfig(name=name), NUM_FINDINGS), spec, CHESTXRAY14))
    files, builds = built.files, built.builds
    if is_int8:
        images = np.random.default_rng(0).normal(size=(8, 1, SIZE, SIZE)).astype(np.float32)
        with quantiser(onnx.load_from_string(files[MODEL]), images) as it:
            files = {**files, INT8: it.build().SerializeToString()}
        builds = Builds(fp32=builds.fp32, int8=Build(file=INT8, tolerance=1.0), shipped="int8")
    facts = CardFacts(
        name=name,
        created=datetime.now(UTC),
        made_by="benchmarks/end_to_end.py",
        is_simulated=True,
        findings=CHESTXRAY14,
        preprocess=spec,
        net=built.net,
        builds=builds,
        calibration=Calibration(findings=tuple(map(_line, CHESTXRAY14)), not_calibrated={}),
        training={},
    )
    return pack(facts, files, folder / f"{name}.{'int8' if is_int8 else 'fp32'}.zip")


def random_bundles(folder: Path) -> list[Path]:
    """Every student in float32 and in INT8."""
    return [random_bundle(name, folder, is_int8) for name in STUDENTS for is_int8 in (False, True)]


def our_run(engine: Engine, path: Path) -> Run:
    """From the file to calibrated probabilities and a heatmap of every finding."""

    def run() -> object:
        (answer,) = predict_files(engine, [path])
        assert isinstance(answer, Scored), answer
        scores = answer.prediction.scores
        return scores, [answer.heatmap(score.finding, (SIZE, SIZE)) for score in scores]

    return run


def our_runs(bundles: Sequence[Path], path: Path) -> dict[str, Run]:
    """Each bundle by onnxruntime, and INT8 by OpenVINO too."""
    runs: dict[str, Run] = {}
    for bundle in bundles:
        engine = open_engine(open_bundle(bundle), num_threads=1)
        name, shipped = engine.bundle.card.net.name, engine.bundle.card.builds
        runs[f"{name} {shipped.shipped}, onnxruntime"] = our_run(engine, path)
        if shipped.shipped == "int8" and find_spec("openvino"):
            other = replace(engine, _model=OpenVinoModel(engine.bundle.files[shipped.to_run.file]))
            runs[f"{name} int8, OpenVINO"] = our_run(other, path)
    runs[OUR_READING] = our_reading(open_engine(open_bundle(bundles[0]), num_threads=1), path)
    return runs


def our_reading(engine: Engine, path: Path) -> Run:
    """Decoding and preparing alone."""
    return lambda: engine.prepare(load(path).image)


def usual_runs(path: Path) -> dict[str, Run]:
    """What people run today."""
    net = xrv.models.DenseNet(num_classes=NUM_FINDINGS).eval()
    crop, resize = xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(SIZE)
    session = open_session(_densenet_graph(net))

    def read() -> NDArray[np.float32]:
        return resize(crop(xrv.utils.load_image(str(path))))[None]

    def forward() -> object:
        with torch.inference_mode():
            return torch.sigmoid(net(torch.from_numpy(read())))

    def cams() -> object:
        images = torch.from_numpy(read())
        with torch.inference_mode():
            probabilities = torch.sigmoid(net(images))
        with GradCAM(net, [net.features.denseblock4]) as cam:
            return probabilities, [cam(images, [ClassifierOutputTarget(place)]) for place in range(NUM_FINDINGS)]

    def by_onnx() -> object:
        (logits,) = session.run(None, {"images": read()})
        return 1 / (1 + np.exp(-logits))

    return {FORWARD: forward, ONNX: by_onnx, USUAL_READING: read, CAMS: cams}


def measure(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every round, the runs taking turns; a round of a fast run is the median of several."""
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            repeats = 1 if name == CAMS else FAST_A_ROUND
            times[name].append(statistics.median(milliseconds(run) for _ in range(repeats)))
    return times


def milliseconds(run: Run) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)


def write_image(path: Path, side: int) -> None:
    """A simulated radiograph without a finding, as an 8-bit gray PNG: what the input gate of a bundle lets through."""
    image = render(RenderRequest(side, 0, 0, 0, ViewPosition.PA, (-1.0,) * NUM_FINDINGS)).pixels
    Image.fromarray(image).save(path)


def report(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """By run: median milliseconds and, of ours, how many times faster than each of the others."""
    found: dict[str, dict[str, float]] = {}
    for name, values in times.items():
        found[name] = {"milliseconds": statistics.median(values)}
        if name not in {FORWARD, CAMS, ONNX, USUAL_READING, OUR_READING}:
            for usual in (FORWARD, CAMS, ONNX):
                ratios = [theirs / ours for theirs, ours in zip(times[usual], values, strict=True)]
                found[name][f"times faster than {usual[:3]}"] = statistics.median(ratios)
    return found


def main() -> None:
    """Measure, print, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--side", type=int, default=1024, help="of the PNG, pixels")
    parser.add_argument("--json", type=Path, metavar="OUT")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.png"
        write_image(path, arguments.side)
        bundles = [arguments.bundle] if arguments.bundle else random_bundles(Path(folder))
        found = report(measure({**our_runs(bundles, path), **usual_runs(path)}, arguments.rounds))
    versions = ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "torch", "torchxrayvision"))
    machine = f"{processor_name()}, one thread, {versions}"
    print(f"PNG of {arguments.side} x {arguments.side} to {NUM_FINDINGS} findings, {machine}\n")
    for name, figures in found.items():
        ratios = ", ".join(f"{value:.1f} x {key[-3:]}" for key, value in figures.items() if key != "milliseconds")
        print(f"{name:46} {figures['milliseconds']:9.1f} ms   {ratios}")
    if arguments.json:
        document = {"machine": machine, "side_px": arguments.side, "rounds": arguments.rounds, "runs": found}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


def _densenet_graph(net: torch.nn.Module) -> bytes:
    program = torch.onnx.export(
        net, (torch.zeros(1, 1, SIZE, SIZE),), input_names=["images"], dynamo=True, verbose=False
    )
    assert program is not None
    return program.model_proto.SerializeToString()


def _line(finding: str) -> FindingCalibration:
    return FindingCalibration(
        finding=finding,
        method="platt",
        slope=0.8,
        offset=-0.5,
        fitted_on="nothing: a benchmark",
        fitted=datetime.now(UTC),
        num_images=0,
        num_positives=0,
    )


if __name__ == "__main__":
    main()
