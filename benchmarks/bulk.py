"""Prints how fast `pocketcxr score` is beside a one-at-a-time PyTorch loop and decoding alone, on the same files.

The loop is what torchxrayvision's example scripts do: read with scikit-image, normalise to -1024..1024, centre crop,
resize to 224 with its own transforms, DenseNet121 forward at batch 1 (random weights: the time does not depend on
them), no heatmaps. Decoding alone is Pillow over the same files on as many processes as `score` has. Rounds take turns
and medians are printed.

    python benchmarks/bulk.py BUNDLE [--json OUT] [--files 500] [--loop-files 40] [--workers 2] [--rounds 3]
        [--memory]

--memory instead scores very many tiny files and prints the resident memory of all processes as it goes on.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from multiprocessing import active_children, get_context
from pathlib import Path

import numpy as np
from PIL import Image

from _inputs import QUICKSTART, is_missing
from pocketcxr.domain.progress import NO_FIGURES
from pocketcxr.runtime.bench import processor_name
from pocketcxr.runtime.bulk import BulkSettings, score_files
from pocketcxr.runtime.bulk_files import Source
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.session import Engine, open_engine

SIDE_PX, NUM_DIFFERENT = 1024, 40


def write_pictures(folder: Path, num: int) -> list[Path]:
    """PNG files of 1024 x 1024 with the noise of an X-ray; every 40th is a hard link to the first, to save disk."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    paths = []
    for number in range(num):
        path = folder / f"{number:06}.png"
        if number < NUM_DIFFERENT:
            coarse = Image.fromarray(rng.integers(20, 230, (32, 32), dtype=np.uint8))
            smooth = np.asarray(coarse.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC), dtype=np.float32)
            noisy = smooth + rng.normal(0, 3, smooth.shape)
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
        else:
            os.link(paths[number % NUM_DIFFERENT], path)
        paths.append(path)
    return paths


def write_tiny(folder: Path, num: int) -> None:
    """Tiny PNG files, a thousand a folder."""
    data = []
    for number in range(10):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (32, 32), dtype=np.uint8)).save(folder / "x.png")
        data.append((folder / "x.png").read_bytes())
    (folder / "x.png").unlink()
    for number in range(num):
        path = folder / f"{number // 1000:04}" / f"{number:07}.png"
        if number % 1000 == 0:
            path.parent.mkdir()
        path.write_bytes(data[number % 10])


def decode(paths: list[Path]) -> int:
    """Pixels of the files, to have decoded them."""
    total = 0
    for path in paths:
        with Image.open(path) as picture:
            total += np.asarray(picture.convert("L")).size
    return total


def decode_only(paths: list[Path], workers: int) -> float:
    """Files a second when nothing but decoding is done."""
    with get_context("spawn").Pool(workers) as pool:
        pool.map(decode, [paths[:1]] * workers)
        began = time.perf_counter()
        pool.map(decode, [paths[start : start + 16] for start in range(0, len(paths), 16)], chunksize=1)
        return len(paths) / (time.perf_counter() - began)


def settings_of(workers: int) -> BulkSettings:
    """How the bulk run scores: without the input gate, which would refuse pictures that are no chests."""
    return BulkSettings(workers=workers, checks_input=False)


def ours(engine: Engine, folder: Path, workers: int) -> float:
    """Files a second of a whole bulk run, starting the workers included."""
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        summary = score_files(engine, Source(folder), Path(out) / "scores.csv", settings_of(workers))
        return summary.counts["scored"] / (time.perf_counter() - began)


def loop(paths: list[Path]) -> float:
    """Files a second of the usual loop, on one thread of PyTorch a processor."""
    warnings.simplefilter("ignore")
    import skimage.io
    import torch
    import torchxrayvision
    from torchvision.transforms import Compose

    net = torchxrayvision.models.DenseNet(weights=None, num_classes=18).eval()
    transform = Compose([torchxrayvision.datasets.XRayCenterCrop(), torchxrayvision.datasets.XRayResizer(224)])

    def one(path: Path) -> object:
        image = torchxrayvision.datasets.normalize(skimage.io.imread(path), 255)
        with torch.no_grad():
            return net(torch.from_numpy(transform(image[None]))[None])

    one(paths[0])
    began = time.perf_counter()
    for path in paths:
        one(path)
    return len(paths) / (time.perf_counter() - began)


def resident_mb() -> float:
    """Memory of this process and its workers, MiB."""
    pages = 0
    for pid in (os.getpid(), *(child.pid for child in active_children())):
        pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def memory(engine: Engine, num: int, workers: int) -> dict[str, float]:
    """Resident memory by files done."""
    seen: dict[str, float] = {}

    def listen(stage: str, done: int, total: int, figures: Mapping[str, float] = NO_FIGURES) -> None:
        del stage, figures
        if done and (done % (total // 10 // 16 * 16) == 0 or done == total):
            seen[str(done)] = round(resident_mb(), 1)
            print(f"{done:9,} files {resident_mb():8.1f} MB", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        write_tiny(Path(folder), num)
        began = time.perf_counter()
        score_files(engine, Source(Path(folder)), Path(folder) / "s.csv", settings_of(workers), listen)
        seen["files_per_second"] = num / (time.perf_counter() - began)
    return seen


def speeds(engine: Engine, arguments: argparse.Namespace) -> dict[str, float]:
    """Files a second of each, medians."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "x"
        paths = write_pictures(folder, arguments.files)
        runs: dict[str, Callable[[], float]] = {
            "pocketcxr score": lambda: ours(engine, folder, arguments.workers),
            "decoding alone": lambda: decode_only(paths, arguments.workers),
            "PyTorch loop": lambda: loop(paths[: arguments.loop_files]),
        }
        rates: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(arguments.rounds):
            for name, run in runs.items():
                rates[name].append(run())
    return {name: statistics.median(values) for name, values in rates.items()}


def main() -> None:
    """Measure, print, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=QUICKSTART / "bundle.zip")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--loop-files", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    arguments = parser.parse_args()
    if is_missing("a bundle, as `make quickstart` leaves one", arguments.bundle):
        return
    engine = open_engine(open_bundle(arguments.bundle), 1)
    size = engine.bundle.card.preprocess.size
    print(
        f"{processor_name()}, {os.cpu_count()} processors, {platform.machine()}; {arguments.workers} workers; {size} px"
    )
    document: dict[str, object] = {"processor": processor_name(), "num_files": arguments.files, "size": size}
    if arguments.memory:
        document["resident_mb"] = memory(engine, arguments.files, arguments.workers)
    else:
        rates = speeds(engine, arguments)
        for name, rate in rates.items():
            print(f"{name:20} {rate:8.1f} files/s")
        times = rates["pocketcxr score"] / rates["PyTorch loop"]
        share = rates["pocketcxr score"] / rates["decoding alone"]
        print(f"score is {times:.1f} times as fast as the loop and reaches {share:.0%} of decoding alone")
        document |= {"files_per_second": rates, "times_the_loop": times, "share_of_decoding": share}
    if arguments.json:
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
