"""Prints what 14 probabilities with 14 heatmaps cost here and with DenseNet121 + Grad-CAM: one thread, one run.

The student runs in onnxruntime, once with its heatmap output and once without; DenseNet121 runs in PyTorch, forward
alone, with Grad-CAM for one finding, and for all 14 (pytorch-grad-cam). Rounds take turns so that a noisy machine hits
all alike; medians are printed, and the heatmaps' own cost is the median of paired ratios.

    python benchmarks/one_pass.py [--json OUT] [--rounds N]
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import timm
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.outputs import Net

SIZE, NUM_FINDINGS = 224, 14
STUDENTS = ("eeea-net-c2", "eeea-net-c2-map", "eeea-net-c2-lite-map")
FORWARD, ONE, ALL = "DenseNet121, PyTorch forward", "+ Grad-CAM, 1 finding", "+ Grad-CAM, 14 findings"
FAST_A_ROUND = 20
"""Student runs in a round: they take a few milliseconds, so one a round would be noise."""


class Exported(nn.Module):
    """The net's logits, with the heatmaps or without."""

    def __init__(self, net: Net, has_heatmaps: bool) -> None:
        super().__init__()
        self.net, self.has_heatmaps = net, has_heatmaps

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        output = self.net(images)
        return (output.logits, output.class_maps) if self.has_heatmaps else (output.logits,)


def session(name: str, has_heatmaps: bool) -> onnxruntime.InferenceSession:
    """The student as a graph on one onnxruntime thread."""
    exported = Exported(build(NetConfig(name=name), NUM_FINDINGS), has_heatmaps).eval()
    program = torch.onnx.export(
        exported,
        (torch.zeros(2, 1, SIZE, SIZE),),
        input_names=["images"],
        dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def student_runs(images: np.ndarray) -> dict[str, Callable[[], object]]:
    """Each student with heatmaps, and under the name + " (logits only)" without."""
    runs: dict[str, Callable[[], object]] = {}
    for name in STUDENTS:
        for label, has_heatmaps in ((name, True), (f"{name} (logits only)", False)):
            engine = session(name, has_heatmaps)
            runs[label] = lambda engine=engine: engine.run(None, {"images": images})
    return runs


def usual_runs(images: Tensor) -> dict[str, Callable[[], object]]:
    """What people do today: DenseNet121 on three channels, Grad-CAM on its last feature map."""
    net = timm.create_model("densenet121", num_classes=NUM_FINDINGS).eval()
    rgb = images.expand(-1, 3, -1, -1).contiguous()

    def forward() -> object:
        with torch.inference_mode():
            return torch.sigmoid(net(rgb))

    def grad_cam(findings: range) -> object:
        with GradCAM(net, [net.features.norm5]) as cam:
            return [cam(rgb, [ClassifierOutputTarget(finding)]) for finding in findings]

    return {FORWARD: forward, ONE: lambda: grad_cam(range(1)), ALL: lambda: grad_cam(range(NUM_FINDINGS))}


def milliseconds(run: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)


def measure(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every call; the runs take turns."""
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(milliseconds(run))
    return times


def paired_cost(with_maps: list[float], without: list[float]) -> float:
    """What the heatmap output adds, as a share of the time without: from calls that ran side by side."""
    return statistics.median(a / b for a, b in zip(with_maps, without, strict=True)) - 1


def main() -> None:
    """Measure, print, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    images = torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    usual, students = usual_runs(images), student_runs(images.numpy())
    times: dict[str, list[float]] = {name: [] for name in (*usual, *students)}
    for _ in range(arguments.rounds):
        for runs, repeats in ((usual, 1), (students, FAST_A_ROUND)):
            for name, values in measure(runs, repeats).items():
                times[name] += values
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(
        f"{SIZE} px, {NUM_FINDINGS} findings, one thread, one image, {platform.machine()}, onnxruntime "
        f"{onnxruntime.__version__}, torch {torch.__version__}; random weights; read ratios, not milliseconds\n"
    )
    for name in usual:
        print(f"{name:42} {medians[name]:9.1f} ms")
    summary: dict[str, object] = {"milliseconds": medians}
    for name in STUDENTS:
        ratios = {usual_name: medians[usual_name] / medians[name] for usual_name in usual}
        cost = paired_cost(times[name], times[f"{name} (logits only)"])
        summary[name] = {"times_faster": ratios, "heatmaps_cost": cost}
        print(f"\n{name + ', onnxruntime, 14 heatmaps':42} {medians[name]:9.1f} ms")
        print(f"{'  without heatmaps':42} {medians[f'{name} (logits only)']:9.1f} ms   heatmaps cost {cost:+.1%}")
        for usual_name, ratio in ratios.items():
            print(f"  {ratio:6.0f} times faster than {usual_name}")
    if arguments.json:
        arguments.json.write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
