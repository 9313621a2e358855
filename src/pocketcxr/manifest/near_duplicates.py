"""Images that show the same exposure: found by perceptual hash, verified by the fine detail of the two pictures.

Chest X-rays all look alike, so a hash alone either misses copies or accuses strangers. Here the hash only proposes:
every pair within MAX_DISTANCE bits is laid over each other and kept when its fine detail (edges of ribs, vessels,
devices; nothing larger) agrees too. How both limits were chosen: docs/explanation/leakage.md.
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.optimize import minimize

from pocketcxr.domain.errors import ImageRefusedError, RefusalCode
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.imaging.load import load
from pocketcxr.imaging.preprocess import PreprocessSpec, square

HASH_SIDE = 16
"""A hash has HASH_SIDE squared = 256 bits."""
MAX_DISTANCE = 44
"""Bits in which the hashes of one exposure may differ."""
CLOSE_DISTANCE = 16
"""So near in their hashes come copies whose detail was lost to compression, and hardly ever strangers."""
MIN_SIMILARITY, MIN_SIMILARITY_CLOSE = 0.92, 0.75
"""Least correlation of fine detail of one exposure; the second within CLOSE_DISTANCE."""

_SPEC = PreprocessSpec(size=64)
"""phash looks at 4 x HASH_SIDE pixels a side: at this size it does not resize again."""
_WORDS = HASH_SIDE**2 // 64
_MAX_THREADS = 8
_NUM_REPORTS = 200
_TILE = (64, 4096)
"""Hashes compared at once: the distances of a tile stay in the processor's cache."""
_MARGIN = 6
"""Pixels at each edge that are not compared: room to lay a cropped copy over its original."""
_DETAIL_SIGMA, _ALIGN_SIGMA = 2.0, 1.0
_MAX_STRETCH_PERCENT, _MAX_SHIFT_PX = 8.0, 3.0


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """What the readable files look like.

    rows: int64 [n], which of the files, ascending. hashes: uint64 [n, 4], 256 bits. digests: SHA-256 of each file.
    refused: the other files, each with its reason.
    """

    rows: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    digests: tuple[bytes, ...]
    refused: tuple[Refusal, ...]


@dataclass(frozen=True)
class SimilarPair:
    """Two rows that show one exposure, first < second; distance in bits, similarity of fine detail -1..1."""

    first: int
    second: int
    distance: int
    similarity: float
    is_same_file: bool


def fingerprint_files(files: Sequence[Path], progress: Progress = silent) -> Fingerprints:
    """The fingerprint of every file that can be read."""
    rows: list[int] = []
    hashes: list[NDArray[np.uint64]] = []
    digests: list[bytes] = []
    refused: list[Refusal] = []
    every = max(len(files) // _NUM_REPORTS, 1)
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        for row, answer in enumerate(pool.map(_fingerprint, files)):
            if isinstance(answer, Refusal):
                refused.append(answer)
            else:
                rows.append(row)
                hashes.append(answer[0])
                digests.append(answer[1])
            if (row + 1) % every == 0 or row + 1 == len(files):
                progress("fingerprints of images", row + 1, len(files))
    stacked = np.array(hashes, dtype=np.uint64).reshape(len(hashes), _WORDS)
    return Fingerprints(np.array(rows, dtype=np.int64), stacked, tuple(digests), tuple(refused))


def perceptual_hash(picture: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """256 bits, uint64 [4], of a squared image: the signs of its coarse cosine transform (ImageHash's phash)."""
    bits = imagehash.phash(Image.fromarray(picture), hash_size=HASH_SIDE).hash
    return np.packbits(bits.ravel()).view(np.uint64)


def thumbnail(file: Path) -> NDArray[np.uint8]:
    """The file squared to 64 x 64 pixels. Raises ImageRefusedError."""
    return square(load(file).image, _SPEC)


def close_hashes(
    hashes: NDArray[np.uint64], max_distance: int = MAX_DISTANCE, progress: Progress = silent
) -> NDArray[np.int64]:
    """All pairs within `max_distance` bits, int64 [pair, 3]: row, a later row, distance; `hashes` [n, words].

    Every pair is looked at: at 44 of 256 bits an index by parts of the hash would have to cut it into 45 parts of
    five bits, and would look at nearly every pair as well.
    """
    num, height, width = len(hashes), *_TILE
    found = [np.zeros((0, 3), dtype=np.int64)]
    every = max(num // height // _NUM_REPORTS, 1) * height
    for top in range(0, num, height):
        rows = hashes[top : top + height]
        for left in range(top, num, width):
            distance = _distances(rows, hashes[left : left + width])
            is_close = distance <= max_distance
            if is_close.any():
                first, second = np.nonzero(is_close)
                pairs = np.column_stack((first + top, second + left, distance[first, second].astype(np.int64)))
                found.append(pairs[pairs[:, 0] < pairs[:, 1]])
        if top % every == 0:
            progress("comparing images", top, num)
    progress("comparing images", num, num)
    return np.concatenate(found)


def similarity(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """How well the fine detail of two thumbnails agrees where they are laid over each other best, -1..1.

    The second is stretched by up to 8 % and shifted by up to 3 pixels along each axis, so that a copy whose margin was
    cut off finds its place. Another exposure of the same chest never fits in its detail.
    """
    smooth, target = (gaussian_filter(picture.astype(np.float64), _ALIGN_SIGMA) for picture in (second, first))
    inner = slice(_MARGIN, _SPEC.size - _MARGIN)
    axis_bounds = [(-_MAX_STRETCH_PERCENT, _MAX_STRETCH_PERCENT), (-_MAX_SHIFT_PX, _MAX_SHIFT_PX)]

    def disagreement(place: NDArray[np.float64]) -> float:
        return -_correlation(_placed(smooth, place), target[inner, inner])

    fit = minimize(
        disagreement,
        np.zeros(4),
        method="Powell",
        bounds=axis_bounds * 2,
        options={"maxiter": 4, "xtol": 0.05, "ftol": 1e-4},
    )
    return _correlation(_placed(_detail(second), fit.x), _detail(first)[inner, inner])


def is_same_exposure(distance: int, agreement: float) -> bool:
    """Whether two images this far apart in bits and this similar in detail are copies of one exposure."""
    limit = MIN_SIMILARITY_CLOSE if distance <= CLOSE_DISTANCE else MIN_SIMILARITY
    return distance <= MAX_DISTANCE and agreement >= limit


def similar_pairs(
    files: Sequence[Path], owners: Sequence[str], fingerprints: Fingerprints, progress: Progress = silent
) -> tuple[SimilarPair, ...]:
    """The pairs of files of two owners that show one exposure, in order; rows are those of `files`.

    owners: one a file; pairs of one owner are not asked for: a patient's follow-ups are alike and no leak.
    Of files with equal bytes, and of images with equal hashes, each is paired with the first only: whatever spans two
    splits still does so in one of the pairs.
    """
    first_of: dict[bytes, int] = {}
    firsts = [first_of.setdefault(digest, place) for place, digest in enumerate(fingerprints.digests)]
    place_of_first = np.array(firsts, dtype=np.int64)
    is_first = place_of_first == np.arange(len(place_of_first))
    rows = fingerprints.rows
    equal = zip(rows[place_of_first[~is_first]].tolist(), rows[~is_first].tolist(), strict=True)
    pairs = [SimilarPair(one, other, 0, 1.0, True) for one, other in equal if owners[one] != owners[other]]
    kept = rows[is_first]
    close = _candidates(fingerprints.hashes[is_first], progress)
    candidates = [(int(kept[one]), int(kept[other]), distance) for one, other, distance in close.tolist()]
    candidates = [candidate for candidate in candidates if owners[candidate[0]] != owners[candidate[1]]]
    for done, (one, other, distance) in enumerate(candidates, start=1):
        agreement = similarity(thumbnail(files[one]), thumbnail(files[other]))
        if is_same_exposure(distance, agreement):
            pairs.append(SimilarPair(one, other, distance, agreement, False))
        progress("verifying pairs", done, len(candidates))
    return tuple(sorted(pairs, key=lambda pair: (pair.first, pair.second)))


def _candidates(hashes: NDArray[np.uint64], progress: Progress) -> NDArray[np.int64]:
    """Pairs worth a look, int64 [pair, 3] as `close_hashes` gives them; equal hashes are paired with the first."""
    _, firsts, group = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    original = firsts[group.ravel()]
    repeats = np.flatnonzero(original != np.arange(len(hashes)))
    equal = np.column_stack((original[repeats], repeats, np.zeros_like(repeats)))
    kept = np.sort(firsts)
    close = close_hashes(hashes[kept], progress=progress)
    close[:, :2] = kept[close[:, :2]]
    return np.concatenate((equal, close)).astype(np.int64)


def _fingerprint(file: Path) -> tuple[NDArray[np.uint64], bytes] | Refusal:
    try:
        picture = thumbnail(file)
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").digest()
    except ImageRefusedError as error:
        return Refusal(path=str(file), code=error.code, message=str(error))
    except OSError as error:
        return Refusal(str(file), RefusalCode.CORRUPT, f"{file}: cannot be read ({error}) - copy it again")
    return perceptual_hash(picture), digest


def _distances(rows: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """Bits that differ, [row, other]."""
    # A negative differs in all 256 bits: one more than uint8 can count.
    total = np.zeros((len(rows), len(others)), dtype=np.uint16)
    for word in range(rows.shape[1]):
        total += np.bitwise_count(rows[:, None, word] ^ others[None, :, word])
    return total


def _detail(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    values = picture.astype(np.float64)
    detail: NDArray[np.float64] = values - gaussian_filter(values, _DETAIL_SIGMA)
    return detail


def _placed(picture: NDArray[np.float64], place: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inner part of the picture, stretched (percent) and shifted (pixels): down by place[:2], across by [2:]."""
    centre = (_SPEC.size - 1) / 2
    steps = np.arange(_MARGIN, _SPEC.size - _MARGIN) - centre
    down, across = (steps * (1 + place[axis] / 100) + centre + place[axis + 1] for axis in (0, 2))
    placed: NDArray[np.float64] = map_coordinates(
        picture, np.meshgrid(down, across, indexing="ij"), order=1, mode="nearest"
    )
    return placed


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Pearson's; 0 where either is flat."""
    one, other = first - first.mean(), second - second.mean()
    norm = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / norm if norm > 0 else 0.0
