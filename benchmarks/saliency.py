"""Prints what the heatmaps of 14 findings cost an image by each method, as a multiple of the one-pass map.

One net, one image at a time, one thread, PyTorch throughout, so that only the methods differ; and DenseNet121 with
Grad-CAM, each finding by its own call of pytorch-grad-cam, as most people run it. Rounds take turns so that a noisy
machine hits all alike; medians are printed, and ratios are the medians of paired ratios. Score-CAM, a pass for every
channel, runs in the first round only.

Methods that are made of many passes run with few: their time is a multiple of it, and is scaled to the defaults of
MethodOptions (a number with *). Class-agnostic methods make one map for all findings.

    python benchmarks/saliency.py [--net NAME] [--size PX] [--rounds N] [--json FILE]
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from pocketcxr.domain.errors import ConfigError
from pocketcxr.explain.methods import METHODS, Method, MethodOptions, saliency
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.outputs import Net

NUM_FINDINGS = 14
DENSENET = "densenet121, grad-cam by 14 calls"
DEFAULTS = MethodOptions()
FEW = {
    "integrated-gradients": MethodOptions(steps=4),
    "smooth-grad": MethodOptions(noise_samples=4),
    "rise": MethodOptions(masks=64),
    "occlusion": MethodOptions(window_share=0.5),
}
"""Fewer passes than the defaults, where time grows with them and little else."""
SCALED = {
    "integrated-gradients": DEFAULTS.steps / 4,
    "smooth-grad": DEFAULTS.noise_samples / 4,
    "rise": DEFAULTS.masks / 64,
    "occlusion": (1 + 15 * 15) / (1 + 3 * 3),
}
"""Passes at the defaults over passes run; occlusion: windows that overlap by half, and the whole image."""


class Logits(nn.Module):
    """What pytorch-grad-cam wants: a model that answers with a tensor."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images).logits


def method_run(net: Net, images: Tensor, method: Method) -> Callable[[], object]:
    """One image's maps of all findings by `method`."""
    options = FEW.get(method, DEFAULTS)
    return lambda: saliency(net, images, range(NUM_FINDINGS), method, options)


def usual_run(images: Tensor) -> Callable[[], object]:
    """DenseNet121 and the library as its documentation shows it."""
    net = build(NetConfig(name="densenet121"), NUM_FINDINGS).eval()

    def run() -> object:
        with GradCAM(Logits(net), [net.get_submodule("grid")]) as cam:
            return [cam(images, [ClassifierOutputTarget(finding)]) for finding in range(NUM_FINDINGS)]

    return run


def seconds(run: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def runs_of(name: str, images: Tensor) -> dict[str, Callable[[], object]]:
    """Every method that the net can have, each run once, and DenseNet121."""
    net = build(NetConfig(name=name), NUM_FINDINGS)
    runs: dict[str, Callable[[], object]] = {}
    for method in METHODS:
        run = method_run(net, images, method)
        try:
            if method != "score-cam":
                run()
        except ConfigError as error:
            print(f"left out: {error}")
            continue
        runs[method] = run
    runs[DENSENET] = usual_run(images)
    runs[DENSENET]()
    return runs


def measure(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every call at the default options; the runs take turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, run in runs.items():
            if number and name == "score-cam":
                continue
            times[name].append(seconds(run) * SCALED.get(name, 1))
    return times


def rows_of(times: dict[str, list[float]]) -> list[dict[str, object]]:
    """Milliseconds and the multiple of the one-pass map, method by method."""
    base = times["one-pass"]
    return [
        {
            "method": name,
            "milliseconds": 1000 * statistics.median(values),
            "times_one_pass": statistics.median(value / one for value, one in zip(values, base, strict=False)),
            "is_scaled": name in SCALED,
        }
        for name, values in times.items()
    ]


def main() -> None:
    """Measure, print, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="eeea-net-c2-map")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    images = torch.randn(1, 1, arguments.size, arguments.size, generator=torch.Generator().manual_seed(0))
    rows = rows_of(measure(runs_of(arguments.net, images), arguments.rounds))
    machine = f"{platform.machine()}, one thread, torch {torch.__version__}"
    print(
        f"{arguments.net}, {arguments.size} px, {NUM_FINDINGS} findings, one image, random weights, {machine};\n"
        "read ratios, not milliseconds\n"
    )
    print(f"{'method':36} {'ms an image':>12} {'x one-pass':>11}")
    for row in rows:
        mark = "*" if row["is_scaled"] else " "
        print(f"{row['method']:36} {row['milliseconds']:12.1f} {row['times_one_pass']:11.1f}{mark}")
    if arguments.json:
        found = {"net": arguments.net, "size": arguments.size, "machine": machine, "rows": rows}
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
