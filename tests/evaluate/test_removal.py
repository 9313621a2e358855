"""What leaves an image first, and what takes its place; ROAD's filling in is held to pytorch-grad-cam's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_grad_cam.metrics.road import NoisyLinearImputer, neighbors_weights
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import spsolve

from pocketcxr.evaluate.removal import blurred, imputed, on_pixels, random_squares, removal_order, transition

laws = settings(deadline=None, max_examples=30)
seeds = st.integers(0, 2**32 - 1)
SIDE = 12


def ties(seed: int = 0, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).random((side, side))


def random_map(seed: int, cells: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(cells, cells)).astype(np.float32)


@laws
@given(seeds, st.sampled_from([1, 2, 5, SIDE, 17]))
def test_every_pixel_leaves_once_the_hottest_first(seed: int, cells: int) -> None:
    order = removal_order(random_map(seed, cells), ties(seed))
    assert sorted(order) == list(range(SIDE * SIDE))
    assert (np.diff(on_pixels(random_map(seed, cells), SIDE).ravel()[order]) <= 0).all()


@laws
@given(seeds, st.sampled_from([2, 4, SIDE]), st.floats(0.01, 100), st.floats(-5, 5))
def test_units_and_offset_change_the_order_of_rounding_only(seed: int, cells: int, gain: float, offset: float) -> None:
    heatmap = random_map(seed, cells)
    values = on_pixels(heatmap, SIDE).ravel()
    order = removal_order(heatmap * np.float32(gain) + np.float32(offset), ties())
    assert (np.diff(values[order]) <= 1e-4).all()


@laws
@given(seeds)
def test_on_the_pixel_grid_any_rising_curve_keeps_the_order(seed: int) -> None:
    values = np.random.default_rng(seed).permutation(SIDE * SIDE).reshape(SIDE, SIDE).astype(np.float32) / SIDE**2
    expected = removal_order(values, ties())
    for curve in (np.exp, np.sqrt, np.arctan, lambda value: 100 * value - 7):
        assert np.array_equal(removal_order(curve(values), ties()), expected)


def test_a_flat_heatmap_is_a_random_order_by_seed_and_never_reading_order() -> None:
    # 0.1 in a coarse grid is interpolated with rounding errors: they must not decide.
    for flat in (np.full((4, 4), 0.1, np.float32), np.zeros((SIDE, SIDE), np.float32)):
        order = removal_order(flat, ties(1))
        assert np.array_equal(order, np.argsort(ties(1), axis=None))
        assert not np.array_equal(order, removal_order(flat, ties(2)))
        assert abs(np.corrcoef(order, np.arange(SIDE * SIDE))[0, 1]) < 0.3


def test_equal_regions_leave_in_random_order_after_what_is_hotter() -> None:
    heatmap = np.zeros((SIDE, SIDE), np.float32)
    heatmap[3, 4] = 1
    order = removal_order(heatmap, ties())
    assert order[0] == 3 * SIDE + 4
    assert not np.array_equal(order[1:], np.sort(order[1:]))


def test_a_coarse_map_lies_on_the_pixels_as_its_picture_does() -> None:
    corner = np.zeros((2, 2), np.float32)
    corner[0, 0] = 3
    values = on_pixels(corner, 8)
    assert values[:2, :2] == pytest.approx(1)
    assert values[-2:, :].max() == 0
    assert values[0, 3] == pytest.approx(0.625)  # a pixel centre 3/8 of the way between the cells' centres


@laws
@given(seeds)
def test_a_transition_goes_from_start_to_end_and_moves_what_it_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start, end = rng.normal(size=(2, 3, SIDE, SIDE)).astype(np.float32)
    order = removal_order(random_map(seed, 3), ties(seed))
    first, half, last = transition(start, end, order, [0, 0.5, 1])
    assert np.array_equal(first, start)
    assert np.array_equal(last, end)
    assert ((half == end).all(axis=0).ravel()[order[: SIDE**2 // 2]]).all()
    assert ((half == start).all(axis=0).ravel()[order[SIDE**2 // 2 :]]).all()


def test_the_blur_keeps_what_is_flat_and_the_channels_apart() -> None:
    image = np.stack([np.full((SIDE, SIDE), 0.7, np.float32), random_map(0, SIDE)])
    smooth = blurred(image)
    assert smooth[0] == pytest.approx(image[0], abs=1e-6)
    assert smooth[1].std() < 0.2 * image[1].std()
    assert smooth.dtype == np.float32


@laws
@given(seeds, st.floats(0.02, 0.95), st.integers(1, 3))
def test_filling_in_is_pytorch_grad_cams(seed: int, fraction: float, channels: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(channels, SIDE, SIDE)).astype(np.float32)
    removed = removal_order(random_map(seed, 4), ties(seed))[: max(1, round(fraction * SIDE**2))]
    mask = np.ones(SIDE * SIDE, np.float32)
    mask[removed] = 0
    # Their __call__ hands tensors to numpy, which numpy 2 warns of; the equations are theirs all the same.
    matrix, right = NoisyLinearImputer.setup_sparse_system(mask.reshape(SIDE, SIDE), image, neighbors_weights)
    expected = spsolve(csc_matrix(matrix), right).reshape(-1, channels).T
    filled = imputed(image, removed, np.zeros_like(image))
    assert filled.reshape(channels, -1)[:, mask == 0] == pytest.approx(expected, abs=1e-3)
    assert filled.reshape(channels, -1)[:, mask == 1] == pytest.approx(image.reshape(channels, -1)[:, mask == 1])


def test_noise_falls_on_filled_pixels_only_and_is_the_one_given() -> None:
    image, noise = np.zeros((1, SIDE, SIDE), np.float32), random_map(3, SIDE)[None]
    removed = np.array([0, 17, 143])
    filled = imputed(image, removed, noise).ravel()
    assert filled[removed] == pytest.approx(noise.ravel()[removed])
    assert np.count_nonzero(filled) == 3


@laws
@given(seeds, st.sampled_from([4, 16, 64]))
def test_squares_cover_something_of_every_size_they_may_have(seed: int, side: int) -> None:
    masks = random_squares(side, 40, np.random.default_rng(seed))
    assert masks.shape == (40, side, side)
    areas = masks.sum(axis=(1, 2))
    assert areas.min() >= 1
    assert areas.max() <= (side // 2) ** 2
