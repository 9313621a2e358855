"""Prints what loading costs: image cache, decoding each time, torchvision's ImageFolder; waiting while training.

Simulated radiographs are made in --folder once and used again; all ratios come from one run. Files are warm in the
page cache for everybody. Every way gives float batches of 32 in a shuffled order.

    python benchmarks/loading.py --folder /tmp/loading [--images 2000] [--size 1024] [--out OUT.json]
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from pocketcxr.data.augment import NO_AUGMENTATION, AugmentConfig
from pocketcxr.data.batches import BatchConfig, batch_at
from pocketcxr.data.cache import cache_images
from pocketcxr.data.dataset import Cohort
from pocketcxr.data.loaders import LoaderConfig
from pocketcxr.distill.config import ObjectiveConfig
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.imaging.load import load
from pocketcxr.imaging.preprocess import PreprocessSpec, square
from pocketcxr.manifest.schema import Manifest, ManifestHeader
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.write import simulate
from pocketcxr.train.devices import flushing_denormals
from pocketcxr.train.job import FitJob
from pocketcxr.train.log import read_metrics
from pocketcxr.train.loop import fit
from pocketcxr.train.optim import OptimConfig
from pocketcxr.train.run_dir import RunDir
from pocketcxr.train.team import Team, open_team
from pocketcxr.train.weights import ModelHeader, TrainingSummary

BATCH = 32
NUM_WORKERS = 2
NUM_WARM_UPS = 2
LEAST_SECONDS = 1.0
"""Reading the cache takes milliseconds: epochs are repeated for so long."""

Figures = dict[str, float]


@dataclass(frozen=True)
class Data:
    """The files and where results of this run may be kept."""

    manifest: Manifest
    folder: Path

    @property
    def files(self) -> list[Path]:
        """Every image's file."""
        return [self.manifest.file_of(path) for path in self.manifest.table["path"]]


def simulated(folder: Path, images: int, size: int) -> Data:
    """So many simulated radiographs, made if they are not there yet."""
    config = PhantomConfig(images=images, size=size, seed=7)
    root = simulate(folder / f"phantom-{images}-{size}px", config, workers=os.cpu_count() or 1)
    paths = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    table = pd.DataFrame({"path": paths})
    return Data(Manifest(table, pd.DataFrame(), ManifestHeader(source="phantom", root=str(root))), folder)


def seconds_of(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def building(data: Data, spec: PreprocessSpec, rounds: int) -> Figures:
    """Milliseconds an image to fill the cache, by number of threads, and to open it again; medians over rounds."""
    cache = data.folder / "building"

    def fill(threads: int) -> None:
        cache_images(data.manifest, spec, cache, num_threads=threads)

    times: dict[str, list[float]] = {"1 thread": [], "2 threads": [], "known by content": [], "known by state": []}
    for _ in range(rounds):
        for threads, name in ((1, "1 thread"), (2, "2 threads")):
            shutil.rmtree(cache, ignore_errors=True)
            times[name].append(seconds_of(lambda threads=threads: fill(threads)))
        for file in data.files:
            file.touch()
        time.sleep(2.1)  # times this young are not trusted yet
        times["known by content"].append(seconds_of(lambda: fill(2)))
        times["known by state"].append(seconds_of(lambda: fill(2)))
    shutil.rmtree(cache)
    return {name: 1000 * statistics.median(values) / len(data.files) for name, values in times.items()}


def cohort_of(data: Data, spec: PreprocessSpec) -> Cohort:
    """All images from the cache, with labels drawn by lot."""
    cache = cache_images(data.manifest, spec, data.folder / "cache")
    labels = np.random.default_rng(0).integers(0, 2, (len(cache.rows), len(CHESTXRAY14))).astype(np.float32)
    names = tuple(str(row) for row in cache.rows)
    return Cohort(cache.images, labels, names, names, CHESTXRAY14, spec)


def from_cache(cohort: Cohort, augment: AugmentConfig) -> Callable[[], None]:
    """One epoch, in one thread."""
    config = BatchConfig(batch_size=BATCH, augment=augment)

    def epoch() -> None:
        for step in range(len(cohort) // BATCH):
            batch_at(cohort, config, step)

    return epoch


def decoding(data: Data, spec: PreprocessSpec) -> Callable[[], None]:
    """One epoch that reads and squares each file anew, on as many threads as ImageFolder has processes."""
    files = data.files

    def batches(pool: ThreadPoolExecutor) -> Iterator[torch.Tensor]:
        order = np.random.default_rng(0).permutation(len(files))
        for first in range(0, len(files) - BATCH + 1, BATCH):
            images = pool.map(lambda row: square(load(files[row]).image, spec), order[first : first + BATCH].tolist())
            yield torch.from_numpy(np.stack(list(images))).to(torch.float32).div_(255)[:, None]

    def epoch() -> None:
        with ThreadPoolExecutor(NUM_WORKERS) as pool:
            for _ in batches(pool):
                pass

    return epoch


def image_folder(data: Data, spec: PreprocessSpec) -> Callable[[], None]:
    """One epoch as torchvision's users load: ImageFolder, Resize, ToTensor, DataLoader with worker processes."""
    steps = [transforms.Grayscale(), transforms.Resize((spec.size, spec.size)), transforms.ToTensor()]
    dataset = ImageFolder(data.manifest.header.root, transforms.Compose(steps))
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=NUM_WORKERS, drop_last=True)

    def epoch() -> None:
        for _ in loader:
            pass

    return epoch


def epochs(data: Data, cohort: Cohort) -> Figures:
    """Images/s of an epoch, by way of loading."""
    ways = {
        "cache": from_cache(cohort, NO_AUGMENTATION),
        "cache, augmented": from_cache(cohort, AugmentConfig()),
        f"decoding, {NUM_WORKERS} threads": decoding(data, cohort.spec),
        f"ImageFolder, {NUM_WORKERS} processes": image_folder(data, cohort.spec),
    }
    rates = {}
    for name, epoch in ways.items():
        num, seconds = 0, 0.0
        while seconds < LEAST_SECONDS:
            seconds += seconds_of(epoch)
            num += 1
        rates[name] = num * (len(cohort) // BATCH) * BATCH / seconds
    return rates


def training(data: Data, cohort: Cohort, steps: int) -> dict[str, Figures]:
    """Share of EEEA-Net-C2's training time spent waiting for batches, and images/s, by number of workers."""
    answer = {}
    for workers in (0, 1, 2):
        run = RunDir(data.folder / f"run-{workers}")
        shutil.rmtree(run.root, ignore_errors=True)
        run.root.mkdir()
        with flushing_denormals(), open_team("cpu") as team:
            fit(training_job(cohort, steps, workers, team), run)
        records = [record for record in read_metrics(run.metrics) if "loss" in record][NUM_WARM_UPS:]
        seconds = np.array([BATCH / (record["images_per_second"] or 1) for record in records])
        waited = np.array([record["waiting_share"] or 0.0 for record in records]) * seconds
        answer[f"{workers} workers"] = {
            "waiting_share": float(waited.sum() / seconds.sum()),
            "images_per_second": BATCH / float(np.median(seconds)),
        }
    return answer


def training_job(cohort: Cohort, steps: int, workers: int, team: Team) -> FitJob:
    """EEEA-Net-C2 from scratch on the CPU, augmented as by default."""
    net = NetConfig(name="eeea-net-c2")
    summary = TrainingSummary(
        source="phantom",
        is_simulated=True,
        num_images=len(cohort),
        num_labelled=len(cohort),
        num_patients=len(cohort),
        objective=("bce",),
        teacher=None,
        seed=0,
        steps=steps,
        batch_size=BATCH,
    )
    return FitJob(
        net=build(net, num_findings=len(CHESTXRAY14)),
        training=cohort,
        validation=cohort.take(np.arange(4)),
        objective=ObjectiveConfig(),
        optim=OptimConfig(steps=steps, batch_size=BATCH, warmup_steps=1, evaluate_every=steps, checkpoint_every=steps),
        batches=BatchConfig(batch_size=BATCH),
        header=ModelHeader(net=net, findings=CHESTXRAY14, preprocess=cohort.spec, training=summary),
        inputs_digest="0",
        team=team,
        loader=LoaderConfig(num_workers=workers),
    )


def report(building_ms: Figures, rates: Figures, shares: dict[str, Figures]) -> None:
    """Print what was measured at one model size."""
    for name, value in building_ms.items():
        print(f"  cache, {name:22} {value:9.2f} ms an image")
    print(f"  2 threads against 1 {building_ms['1 thread'] / building_ms['2 threads']:16.2f} times as fast")
    for name, value in rates.items():
        print(f"  epoch, {name:22} {value:9.0f} images/s   cache {rates['cache'] / value:.1f} times as fast")
    for name, both in shares.items():
        rate, share = both["images_per_second"], both["waiting_share"]
        print(f"  EEEA-Net-C2, {name:16} {rate:9.1f} images/s   waiting {share:.1%}")


def main() -> None:
    """Measure, print, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--model-sizes", type=int, nargs="+", default=[64, 224])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.folder is None:
        print("skipped: no folder is given; needs --folder, for some 2 GB of simulated PNGs")
        return
    data = simulated(arguments.folder, arguments.images, arguments.size)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} torch threads"
    print(f"{arguments.images} PNGs of {arguments.size} px, {machine}, torch {torch.__version__}; read ratios")
    result: dict[str, object] = {"images": arguments.images, "size": arguments.size, "machine": machine}
    for size in arguments.model_sizes:
        spec = PreprocessSpec(size=size)
        building_ms = building(data, spec, arguments.rounds)
        cohort = cohort_of(data, spec)
        rates, shares = epochs(data, cohort), training(data, cohort, arguments.steps)
        print(f"\nmodel input {size} px")
        report(building_ms, rates, shares)
        result[f"{size} px"] = {"building_ms": building_ms, "epoch_images_per_second": rates, "training": shares}
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
