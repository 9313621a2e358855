"""Prints how well copies of chest X-rays are told from other chest X-rays, and how long the search takes.

Every image is copied in the ways images are passed on (JPEG, another size, other grey values, a cut margin, 16 bits)
and compared with its original; different images of one patient and of two patients are compared with each other. The
search is timed on as many hashes as ChestX-ray14 has images, some of them planted copies.

    python benchmarks/near_duplicates.py NAME=MANIFEST.parquet ... [--json OUT] [--machine TEXT]
"""

import argparse
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocketcxr.imaging.load import load
from pocketcxr.imaging.preprocess import PreprocessSpec, square
from pocketcxr.manifest.near_duplicates import (
    CLOSE_DISTANCE,
    MAX_DISTANCE,
    MIN_SIMILARITY,
    MIN_SIMILARITY_CLOSE,
    close_hashes,
    fingerprint_files,
    is_same_exposure,
    perceptual_hash,
    similarity,
    thumbnail,
)
from pocketcxr.manifest.schema import Manifest, read_manifest

NUM_COPIED, NUM_NEAREST, NUM_HASHES, NUM_PLANTED = 80, 60, 112_120, 1_000
Picture = NDArray[np.uint8]


def main() -> None:
    """Measure and print; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="*", metavar="NAME=MANIFEST", help="none: the search alone")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--machine", default="2 shared server cores, AMD EPYC")
    options = parser.parse_args()
    figures: dict[str, object] = {
        "machine": options.machine,
        "max_distance": MAX_DISTANCE,
        "close_distance": CLOSE_DISTANCE,
        "min_similarity": MIN_SIMILARITY,
        "min_similarity_close": MIN_SIMILARITY_CLOSE,
        "search": time_search(),
    }
    for named in options.manifests:
        name, path = named.split("=", 1)
        manifest = read_manifest(Path(path))
        figures[name] = {"copies": measure_copies(manifest), "others": measure_others(manifest)}
    text = json.dumps(figures, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


def time_search() -> dict[str, float]:
    """Seconds of processor time for the search through random hashes, and the share of planted copies it finds."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (NUM_HASHES, 256), dtype=np.uint8)
    copies, originals = np.arange(NUM_PLANTED), np.arange(NUM_PLANTED, 2 * NUM_PLANTED)
    for copy, original in zip(copies, originals, strict=True):
        changed = rng.choice(256, int(rng.integers(0, MAX_DISTANCE + 1)), replace=False)
        bits[copy] = bits[original]
        bits[copy, changed] ^= 1
    hashes = np.packbits(bits, axis=1).view(np.uint64)
    start = time.process_time()
    pairs = close_hashes(hashes)
    seconds = time.process_time() - start
    found = {(first, second) for first, second, _ in pairs.tolist()}
    share = np.mean([pair in found for pair in zip(copies.tolist(), originals.tolist(), strict=True)])
    return {"num_hashes": NUM_HASHES, "cpu_seconds": round(seconds, 1), "found": float(share), "pairs": len(pairs)}


def measure_copies(manifest: Manifest) -> dict[str, dict[str, float]]:
    """By alteration: how far copies are from their originals, and the share that is found."""
    rng = np.random.default_rng(0)
    rows = rng.choice(manifest.num_images, min(NUM_COPIED, manifest.num_images), replace=False)
    met: dict[str, list[tuple[int, float]]] = {}
    with TemporaryDirectory() as folder:
        for row in rows:
            image = load(manifest.file_of(manifest.table["path"].iloc[row])).image
            original = squared(image)
            for name, copy in altered(image, Path(folder)):
                picture = squared(copy)
                met.setdefault(name, []).append((distance(original, picture), similarity(original, picture)))
    return {name: _told(np.array(values)) for name, values in met.items()}


def _told(values: NDArray[np.float64]) -> dict[str, float]:
    return {
        "num": len(values),
        "distance_median": float(np.median(values[:, 0])),
        "distance_max": float(values[:, 0].max()),
        "similarity_min": round(float(values[:, 1].min()), 3),
        "found": round(float(np.mean([is_same_exposure(int(bits), agreement) for bits, agreement in values])), 3),
    }


def measure_others(manifest: Manifest) -> dict[str, dict[str, float]]:
    """Of different images: how near the nearest come, and how many would be taken for copies."""
    files = [manifest.file_of(path) for path in manifest.table["path"]]
    start = time.process_time()
    prints = fingerprint_files(files)
    seconds = time.process_time() - start
    pairs = close_hashes(prints.hashes, 256)
    patients = manifest.table["patient_id"].to_numpy()[prints.rows]
    is_same = patients[pairs[:, 0]] == patients[pairs[:, 1]]
    told: dict[str, dict[str, float]] = {"fingerprints": {"cpu_ms_an_image": round(1000 * seconds / len(files), 2)}}
    for name, chosen in (("one_patient", pairs[is_same]), ("two_patients", pairs[~is_same])):
        if not len(chosen):
            continue
        nearest = chosen[np.argsort(chosen[:, 2], kind="stable")[:NUM_NEAREST]]
        agreements = np.array([similarity(*(thumbnail(files[prints.rows[i]]) for i in pair[:2])) for pair in nearest])
        is_copy = np.array([is_same_exposure(*one) for one in zip(nearest[:, 2].tolist(), agreements, strict=True)])
        told[name] = {
            "pairs": len(chosen),
            "taken_for_copies": int(is_copy.sum()),
            "within_max_distance": int((chosen[:, 2] <= MAX_DISTANCE).sum()),
            "distance_min": int(nearest[~is_copy, 2].min()),
            "distance_1_percent": float(np.percentile(chosen[:, 2], 1)),
            "similarity_max_of_nearest": round(float(agreements[~is_copy].max()), 3),
        }
    return told


def altered(image: Picture, folder: Path) -> Iterator[tuple[str, Picture]]:
    """Copies of the image as they are passed on, each with its name; `folder` is for files of 16 bits."""
    height, width = image.shape
    picture, values = Image.fromarray(image), image.astype(np.float64)
    for quality in (95, 75, 50):
        yield f"JPEG quality {quality}", jpeg(picture, quality)
    yield "half the size", np.asarray(picture.resize((width // 2, height // 2), Image.Resampling.LANCZOS))
    yield (
        "half the size, nearest pixel",
        np.asarray(picture.resize((width // 2, height // 2), Image.Resampling.NEAREST)),
    )
    half = Image.fromarray(np.asarray(picture.resize((width // 2, height // 2), Image.Resampling.BILINEAR)))
    yield "half the size, JPEG quality 50", jpeg(half, 50)
    for name, changed in (
        ("brighter by 30", values + 30),
        ("contrast x 1.3", (values - 128) * 1.3 + 128),
        ("contrast x 0.7", (values - 128) * 0.7 + 128),
        ("gamma 1.5", 255 * (values / 255) ** 1.5),
    ):
        yield name, np.clip(changed, 0, 255).astype(np.uint8)
    down, across = max(round(height * 0.01), 1), max(round(width * 0.01), 1)
    yield "cut 1 % at each edge", image[down:-down, across:-across]
    down, across = max(round(height * 0.02), 1), max(round(width * 0.02), 1)
    yield "cut 2 % at each edge", image[down:-down, across:-across]
    yield "cut 2 % at the top", image[down:]
    Image.fromarray(image.astype(np.uint16) * 16 + 40).save(folder / "16.png")
    yield "12 of 16 bits", load(folder / "16.png").image
    yield "mirrored (no copy)", np.ascontiguousarray(image[:, ::-1])


def jpeg(picture: Image.Image, quality: int) -> Picture:
    """The picture after a round through JPEG."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def squared(image: Picture) -> Picture:
    """What `thumbnail` gives of a file with this image."""
    return square(np.ascontiguousarray(image), PreprocessSpec(size=64))


def distance(first: Picture, second: Picture) -> int:
    """Bits in which the hashes differ."""
    return int(np.bitwise_count(perceptual_hash(first) ^ perceptual_hash(second)).sum())


if __name__ == "__main__":
    main()
