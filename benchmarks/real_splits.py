"""Teacher, student alone and distilled student on real X-rays, each on several patient splits.

For a small collection in the layout of ChestX-ray14, whose official test part may hold only a few patients: every seed
parts the patients anew, trains the three and tests on its own test patients. What comes out is descriptive.

    python benchmarks/real_splits.py ROOT OUT_FOLDER [--seeds N] [--steps N] [--size PX] [--json OUT]
"""

import argparse
import json
import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from _inputs import is_missing
from pocketcxr.apps.cli.console import progress_bars
from pocketcxr.distill.config import OBJECTIVES
from pocketcxr.domain.progress import Progress
from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.differences import compare
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.manifest.sources.chestxray14 import Chestxray14Config
from pocketcxr.manifest.splits import SplitConfig
from pocketcxr.models.config import NetConfig
from pocketcxr.recipes.environment import describe_environment
from pocketcxr.recipes.evaluate import EvaluateOptions, EvaluationResult, evaluate
from pocketcxr.recipes.prepare import prepare
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.teacher_config import RunTeacher
from pocketcxr.recipes.train import train
from pocketcxr.train.devices import pick_device
from pocketcxr.train.optim import OptimConfig

TEACHER, ALONE, DISTILLED = "teacher", "alone", "distilled"
RESAMPLES = 1000


@dataclass(frozen=True)
class Options:
    """What is trained, and on how many splits."""

    root: Path
    out: Path
    seeds: int
    steps: int
    size: int


def optim(options: Options, learning_rate: float) -> OptimConfig:
    """A short training, validated four times."""
    return OptimConfig(
        steps=options.steps,
        learning_rate=learning_rate,
        warmup_steps=min(50, options.steps // 4),
        weight_decay=0.02,
        ema_decay=0.99,
        evaluate_every=max(1, options.steps // 4),
        checkpoint_every=max(1, options.steps // 4),
        patience=None,
    )


def configs(options: Options, seed: int, manifest: Path, teacher: Path) -> dict[str, RunConfig]:
    """The three trainings: recipes of the quickstart, which were not tuned on these images."""
    student = RunConfig(
        manifest=manifest,
        net=NetConfig(name="eeea-net-c2-map", output_stride=16),
        preprocess=PreprocessSpec(size=options.size),
        optim=optim(options, 5e-3),
        seed=seed,
    )
    first = student.model_copy(
        update={
            "net": NetConfig(name="tf_efficientnet_lite0", weights="imagenet"),
            "preprocess": PreprocessSpec(size=options.size, mean=0.5, std=0.5),
            "optim": optim(options, 1e-3),
        }
    )
    taught = student.model_copy(
        update={
            "objective": OBJECTIVES["soft-bce+hint"],
            "teacher": RunTeacher(run=teacher),
            "augment": student.augment.model_copy(update={"num_views": 4}),
        }
    )
    return {TEACHER: first, ALONE: student, DISTILLED: taught}


def one_split(options: Options, seed: int, progress: Progress) -> dict[str, list[float | None]]:
    """The figures of one split: [value, low, high] of each model and of the difference, and its counts."""
    folder = options.out / f"split-{seed}"
    manifest = folder / "m.parquet"
    source = Chestxray14Config(split=SplitConfig(method="patients", seed=seed))
    counts = prepare(source, options.root, manifest)
    scored: dict[str, EvaluationResult] = {}
    for name, config in configs(options, seed, manifest, folder / TEACHER).items():
        run = train(config, folder / name, progress)
        scored[name] = evaluate(run, EvaluateOptions(manifest, num_resamples=RESAMPLES))
    difference = compare(
        scored[DISTILLED].scores, scored[ALONE].scores, np.random.default_rng(seed), num_resamples=RESAMPLES
    )
    return {
        "seed_images_patients_findings": [
            seed,
            counts.splits["test"].num_images,
            counts.splits["test"].num_patients,
            len(difference.mean_over),
        ],
        **{name: shown(result.ranking.mean_auroc) for name, result in scored.items()},
        "distilled_minus_alone": shown(difference.mean_auroc),
    }


def shown(estimate: Estimate | None) -> list[float | None]:
    """[value, low, high], None where undefined."""
    if estimate is None:
        return [None, None, None]
    return [None if x is None else round(x, 4) for x in (estimate.value, estimate.low, estimate.high)]


def main() -> None:
    """Train, test and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, nargs="?")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if is_missing("a folder in the layout of ChestX-ray14, and one for the runs", given.root):
        return
    if given.out is None:
        parser.error("name a folder for the runs after the data")
    options = Options(given.root, given.out, given.seeds, given.steps, given.size)
    with progress_bars() as progress:
        splits = [one_split(options, seed, progress) for seed in range(options.seeds)]
    means = {}
    for name in (TEACHER, ALONE, DISTILLED, "distilled_minus_alone"):
        values = [value for split in splits if (value := split[name][0]) is not None]
        means[name] = [round(statistics.mean(values), 4), round(statistics.stdev(values), 4)]
        print(f"{name:22} mean {means[name][0]:+.3f} ± {means[name][1]:.3f} over {len(values)} splits")
    for split in splits:
        print(json.dumps(split))
    if given.json:
        environment = describe_environment(pick_device("auto"))
        result = {"steps": options.steps, "size": options.size, "mean_and_sd": means, "splits": splits}
        given.json.write_text(json.dumps({**result, "environment": environment}, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
