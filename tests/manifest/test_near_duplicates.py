"""Copies of an exposure are found however they were passed on; other exposures are not."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from pocketcxr.domain.errors import RefusalCode
from pocketcxr.imaging.preprocess import PreprocessSpec, square
from pocketcxr.manifest.near_duplicates import (
    CLOSE_DISTANCE,
    MAX_DISTANCE,
    close_hashes,
    fingerprint_files,
    is_same_exposure,
    perceptual_hash,
    similar_pairs,
    similarity,
)

Picture = NDArray[np.uint8]
SIDE = 192


def picture(seed: int) -> Picture:
    """Something with coarse and fine structure, another one for every seed."""
    rng = np.random.default_rng(seed)
    field = sum(gaussian_filter(rng.standard_normal((SIDE, SIDE)), scale) * scale for scale in (2, 6, 20))
    field = np.asarray(field)
    return ((field - field.min()) / (field.max() - field.min()) * 215 + 20).astype(np.uint8)


def jpeg(image: Picture, quality: int) -> Picture:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def squared(image: Picture) -> Picture:
    return square(np.ascontiguousarray(image), PreprocessSpec(size=64))


def compared(first: Picture, second: Picture) -> tuple[int, float]:
    one, other = squared(first), squared(second)
    distance = int(np.bitwise_count(perceptual_hash(one) ^ perceptual_hash(other)).sum())
    return distance, similarity(one, other)


COPIES = {
    "the image itself": lambda image: image,
    "JPEG 95": lambda image: jpeg(image, 95),
    "JPEG 50": lambda image: jpeg(image, 50),
    "half the size": lambda image: np.asarray(Image.fromarray(image).resize((SIDE // 2, SIDE // 2))),
    "brighter": lambda image: np.clip(image.astype(int) + 20, 0, 255).astype(np.uint8),
    "more contrast": lambda image: np.clip((image.astype(float) - 128) * 1.2 + 128, 0, 255).astype(np.uint8),
    "a cut margin": lambda image: image[2:-2, 2:-2],
}


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_copy_is_the_same_exposure(name: str, seed: int) -> None:
    image = picture(seed)
    assert is_same_exposure(*compared(image, COPIES[name](image)))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_another_picture_and_a_mirrored_one_are_none(seed: int) -> None:
    image = picture(seed)
    assert not is_same_exposure(*compared(image, picture(seed + 10)))
    assert not is_same_exposure(*compared(image, image[:, ::-1]))


def test_a_shared_coarse_shape_is_not_enough() -> None:
    """Two chests differ in their detail, however alike their outlines are."""
    coarse = gaussian_filter(picture(0).astype(float), 24)
    one, other = (
        np.clip(coarse + 40 * gaussian_filter(np.random.default_rng(seed).standard_normal((SIDE, SIDE)), 3), 0, 255)
        for seed in (1, 2)
    )
    distance, agreement = compared(one.astype(np.uint8), other.astype(np.uint8))
    assert agreement < 0.75
    assert not is_same_exposure(distance, agreement)


def test_a_negative_is_as_far_as_can_be_and_does_not_wrap_around_to_near() -> None:
    hashes = np.array([[0, 0, 0, 0], [2**64 - 1] * 4, [1, 0, 0, 0]], dtype=np.uint64)
    assert close_hashes(hashes, 255).tolist() == [[0, 2, 1], [1, 2, 255]]
    assert close_hashes(hashes, 256).tolist() == [[0, 1, 256], [0, 2, 1], [1, 2, 255]]


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.integers(0, 64))
def test_close_hashes_are_all_pairs_within_the_distance_and_no_others(words: list[int], limit: int) -> None:
    hashes = np.array(words, dtype=np.uint64).reshape(-1, 1)
    expected = {
        (first, second, (words[first] ^ words[second]).bit_count())
        for first in range(len(words))
        for second in range(first + 1, len(words))
        if (words[first] ^ words[second]).bit_count() <= limit
    }
    assert {tuple(pair) for pair in close_hashes(hashes, limit).tolist()} == expected


def test_pairs_are_found_across_the_tiles_of_the_search() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (4500, 256), dtype=np.uint8)
    bits[4400] = bits[70]
    bits[4400, :MAX_DISTANCE] ^= 1
    assert close_hashes(np.packbits(bits, axis=1).view(np.uint64)).tolist() == [[70, 4400, MAX_DISTANCE]]


def save(image: Picture, path: Path) -> Path:
    Image.fromarray(image).save(path)
    return path


def test_files_are_paired_across_owners_only_and_equal_files_are_told_apart_from_near_ones(tmp_path: Path) -> None:
    original = save(picture(0), tmp_path / "a.png")
    same = tmp_path / "b.png"
    same.write_bytes(original.read_bytes())
    near = save(jpeg(picture(0), 80), tmp_path / "c.png")
    other = save(picture(1), tmp_path / "d.png")
    files = [original, same, near, other]
    prints = fingerprint_files(files)
    found = similar_pairs(files, ["p", "q", "r", "s"], prints)
    assert [(pair.first, pair.second, pair.is_same_file) for pair in found] == [(0, 1, True), (0, 2, False)]
    assert found[0].similarity == 1
    assert 0.9 < found[1].similarity <= 1
    assert found[1].distance <= CLOSE_DISTANCE
    assert similar_pairs(files, ["p", "p", "p", "p"], prints) == ()


def test_unreadable_files_are_named_and_the_others_keep_their_rows(tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.touch()
    files = [
        empty,
        save(picture(0), tmp_path / "a.png"),
        tmp_path / "missing.png",
        save(picture(0), tmp_path / "b.png"),
    ]
    prints = fingerprint_files(files)
    assert prints.rows.tolist() == [1, 3]
    assert [refusal.code for refusal in prints.refused] == [RefusalCode.EMPTY_FILE, RefusalCode.NOT_FOUND]
    assert [(pair.first, pair.second) for pair in similar_pairs(files, list("pqrs"), prints)] == [(1, 3)]


def test_no_file_at_all_is_no_pair() -> None:
    prints = fingerprint_files([])
    assert similar_pairs([], [], prints) == ()


def test_real_follow_ups_and_strangers_are_no_copies(shared_data: Path) -> None:
    """Strangers and, told apart as if they were, follow-ups of one patient."""
    files = sorted((shared_data / "nih14_hires512" / "images").iterdir())
    prints = fingerprint_files(files)
    assert len(prints.rows) == 37
    assert similar_pairs(files, [file.name for file in files], prints) == ()


def test_the_four_exposures_that_two_patients_of_the_covid_collection_share_are_found(shared_data: Path) -> None:
    names = ("admission", "day-1", "day-2", "day-3")
    folder = shared_data / "covid_chestxray_256px" / "images"
    stem = "covid-19-rapidly-progressive-acute-respiratory-distress-syndrome-ards"
    files = [folder / f"{stem}-{name}.jpg" for name in names] + [folder / f"16660_{n}_1.jpg" for n in (2, 3, 4, 5)]
    found = similar_pairs(files, ["97"] * 4 + ["178"] * 4, fingerprint_files(files))
    assert [(pair.first, pair.second) for pair in found] == [(0, 4), (1, 5), (2, 6), (3, 7)]
