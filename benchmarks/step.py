"""Prints what our training step costs beside a bare hand-written torch loop of the same net, batch and augmentation.

The bare loop draws rows, augments, runs forward, loss, backward and the optimiser, and nothing else: no average of the
weights, no gradient norm, no metrics file, no check for numbers that are none, no checkpoint. Both run in turns, in one
process; the median of the paired ratios is printed.

    python benchmarks/step.py [--steps N] [--rounds N] [--size PX] [--net NAME] [--json OUT]
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from pocketcxr.data.augment import augment
from pocketcxr.data.batches import normalise_tensor
from pocketcxr.data.dataset import Cohort
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.manifest.sources.chestxray14 import Chestxray14Config
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.recipes.prepare import prepare
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.runs import train_summary
from pocketcxr.recipes.simulate import simulate
from pocketcxr.recipes.train import open_cohorts, train
from pocketcxr.train.devices import flushing_denormals
from pocketcxr.train.optim import OptimConfig

NUM_IMAGES = 600


@dataclass(frozen=True)
class Options:
    """What is measured."""

    net: str
    size: int
    steps: int
    rounds: int
    batch_size: int = 32


def run_config(manifest: Path, options: Options) -> RunConfig:
    """A student alone, evaluated and saved once at its end."""
    steps = options.steps
    return RunConfig(
        manifest=manifest,
        net=NetConfig(name=options.net, output_stride=16 if options.size < 128 else 32),
        preprocess=PreprocessSpec(size=options.size),
        optim=OptimConfig(
            steps=steps,
            batch_size=options.batch_size,
            warmup_steps=0,
            evaluate_every=steps,
            checkpoint_every=steps,
            patience=None,
        ),
        device="cpu",
    )


def ours(config: RunConfig, out: Path) -> float:
    """Milliseconds of a step as the run itself measures it."""
    result = train_summary(train(config, out))["result"]
    assert isinstance(result, dict)
    return 1000 * config.optim.batch_size / float(result["images_per_second"])


def bare(config: RunConfig, cohort: Cohort) -> float:
    """Milliseconds of a step of the bare loop."""
    net = build(config.net, len(config.findings), seed=0).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.optim.learning_rate)
    rng = np.random.default_rng(0)
    with flushing_denormals():
        start = time.perf_counter()
        for step in range(config.optim.steps):
            rows = torch.from_numpy(rng.choice(len(cohort), config.optim.batch_size, replace=False))
            pixels = augment(torch.from_numpy(cohort.pixels(rows.numpy())), rows, step, 0, config.augment)
            labels = torch.from_numpy(cohort.labels[rows.numpy()])
            logits = net(normalise_tensor(pixels, config.preprocess)).logits
            known = ~labels.isnan()
            loss = functional.binary_cross_entropy_with_logits(logits[known], labels[known])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return 1000 * (time.perf_counter() - start) / config.optim.steps


def measure(options: Options, folder: Path) -> dict[str, object]:
    """Medians of both, and of their ratio."""
    root = simulate(PhantomConfig(images=NUM_IMAGES, size=options.size, prevalence_scale=3.0), folder / "phantoms", 2)
    prepare(Chestxray14Config(), root, folder / "m.parquet")
    config = run_config(folder / "m.parquet", options)
    cohort = open_cohorts(config, folder / "cache").training
    bare(config.model_copy(update={"optim": config.optim.model_copy(update={"steps": 3})}), cohort)  # warms up
    pairs = [(bare(config, cohort), ours(config, folder / f"run{turn}")) for turn in range(options.rounds)]
    return {
        "net": options.net,
        "size": options.size,
        "batch_size": options.batch_size,
        "steps": options.steps,
        "rounds": options.rounds,
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "bare_ms": round(statistics.median(bare for bare, _ in pairs), 1),
        "ours_ms": round(statistics.median(ours for _, ours in pairs), 1),
        "ratio": round(statistics.median(ours / bare for bare, ours in pairs), 3),
        "ratios": [round(ours / bare, 3) for bare, ours in pairs],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--net", default="eeea-net-c2")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    options = Options(arguments.net, arguments.size, arguments.steps, arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options, Path(folder))
    print(f"{result['net']}, {result['size']} px, batches of {result['batch_size']}, {result['threads']} threads")
    print(f"bare torch loop {result['bare_ms']:8} ms a step")
    print(f"pocketcxr train {result['ours_ms']:8} ms a step, {result['ratio']} x (rounds: {result['ratios']})")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
