"""Prints what an epoch costs: the student alone, distilled with a teacher cache, and distilled without.

The teacher is asked once for every image and view, which is timed apart and paid once; afterwards an epoch of the
distilled student looks answers up. All in one process, in turns; medians are printed. The teacher's weights do not
matter for time: it is trained for one step.

    python benchmarks/teacher_cache.py [--teacher NAME] [--student NAME] [--size PX] [--images N] [--json OUT]
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from pocketcxr.data.augment import AugmentConfig
from pocketcxr.distill.config import OBJECTIVES
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.manifest.sources.chestxray14 import Chestxray14Config
from pocketcxr.models.config import NetConfig
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.recipes.prepare import prepare
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.runs import train_summary
from pocketcxr.recipes.simulate import simulate
from pocketcxr.recipes.teacher_config import RunTeacher
from pocketcxr.recipes.train import train
from pocketcxr.train.optim import OptimConfig

ALONE, CACHED, ASKED = "student alone", "distilled, cached", "distilled, teacher asked"


@dataclass(frozen=True)
class Options:
    """What is measured."""

    teacher: str
    student: str
    size: int
    images: int
    rounds: int
    objective: str
    batch_size: int = 16


def run_config(manifest: Path, options: Options, net: str, steps: int) -> RunConfig:
    """A short training without validation and checkpoints on the way; one view, as the quickstart has it."""
    return RunConfig(
        manifest=manifest,
        net=NetConfig(name=net),
        preprocess=PreprocessSpec(size=options.size),
        augment=AugmentConfig(num_views=1),
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


def seconds_an_image(config: RunConfig, out: Path) -> float:
    """Seconds of the training steps for one image."""
    result = train_summary(train(config, out))["result"]
    assert isinstance(result, dict)
    return 1 / float(result["images_per_second"])


def kept(run: Path) -> object:
    """What the run says of its teacher cache: bytes a view, and how many views."""
    notes = train_summary(run)["teacher"]
    assert isinstance(notes, dict)
    return notes["cache"]


def measure(options: Options, folder: Path) -> dict[str, object]:
    """Medians in seconds an epoch, and what filling the cache takes."""
    phantoms = PhantomConfig(images=options.images, size=options.size, prevalence_scale=3.0)
    prepare(Chestxray14Config(), simulate(phantoms, folder / "phantoms", 2), folder / "m.parquet")
    steps = max(2, options.images // (2 * options.batch_size))
    teacher = train(run_config(folder / "m.parquet", options, options.teacher, 1), folder / "teacher")
    alone = run_config(folder / "m.parquet", options, options.student, steps)
    objective = OBJECTIVES[options.objective]
    cached = alone.model_copy(update={"objective": objective, "teacher": RunTeacher(run=teacher)})
    asked = alone.model_copy(update={"objective": objective, "teacher": RunTeacher(run=teacher, cache=False)})
    started = time.perf_counter()
    short = cached.optim.model_copy(update={"steps": 1, "evaluate_every": 1, "checkpoint_every": 1})
    filled = train(cached.model_copy(update={"optim": short}), folder / "fill")
    filling = time.perf_counter() - started
    arms = {ALONE: alone, CACHED: cached, ASKED: asked}
    taken: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(options.rounds):
        for name, config in arms.items():
            taken[name].append(seconds_an_image(config, folder / f"{name}-{turn}"))
    # An epoch of all simulated images: the share of them in training does not change the ratios.
    epochs = {name: statistics.median(values) * options.images for name, values in taken.items()}
    return {
        **asdict(options),
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "teacher_cache": kept(filled),
        "seconds_to_fill_once": round(filling, 1),
        "seconds_an_epoch": {name: round(value, 1) for name, value in epochs.items()},
        "ratio_to_alone": {name: round(value / epochs[ALONE], 3) for name, value in epochs.items()},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="densenet161")
    parser.add_argument("--student", default="eeea-net-c2")
    parser.add_argument("--objective", default="soft-bce", help=f"one of {', '.join(OBJECTIVES)}")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    options = Options(given.teacher, given.student, given.size, given.images, given.rounds, given.objective)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options, Path(folder))
    epochs, ratios = result["seconds_an_epoch"], result["ratio_to_alone"]
    assert isinstance(epochs, dict)
    assert isinstance(ratios, dict)
    print(f"{options.teacher} -> {options.student}, {options.objective}, {options.size} px, {options.images} images")
    print(f"filling the cache, once: {result['seconds_to_fill_once']} s; {result['teacher_cache']}")
    for name, seconds in epochs.items():
        print(f"{name:26} {seconds:8} s an epoch   {ratios[name]} x")
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
