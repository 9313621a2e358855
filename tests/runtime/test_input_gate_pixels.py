"""What the gate measures does not depend on contrast, borders or size; grids are found, plain noise is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pocketcxr.phantom.strokes import Pixels, fractal_noise
from pocketcxr.runtime.input_gate_pixels import NET_SIZE, gray_scale, grid_peak, look, net_input


@pytest.fixture(scope="module")
def cloud() -> Pixels:
    """A smooth picture, 160 x 120."""
    noise = fractal_noise(160, 1.8, np.random.default_rng(1))[:, :120]
    return np.clip(128 + 35 * noise, 20, 235).astype(np.uint8)


@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_any_picture_becomes_net_input(height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    values = net_input(look(image))
    assert values.shape == (1, 1, NET_SIZE, NET_SIZE)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert np.abs(values).max() <= 3


def test_contrast_and_brightness_change_nothing(cloud: Pixels) -> None:
    dim = (cloud // 2 + 60).astype(np.uint8)
    np.testing.assert_allclose(net_input(look(cloud)), net_input(look(dim)), atol=0.06)


@pytest.mark.parametrize("shade", [0, 255])
def test_plain_borders_are_left_out(shade: int, cloud: Pixels) -> None:
    framed = np.pad(cloud, ((30, 20), (0, 40)), constant_values=shade)
    assert look(framed).shape == cloud.shape
    np.testing.assert_array_equal(net_input(look(framed)), net_input(look(cloud)))


def test_a_flat_picture_is_not_all_border() -> None:
    assert look(np.full((90, 70), 7, dtype=np.uint8)).shape == (90, 70)


def test_size_hardly_matters(cloud: Pixels) -> None:
    large = np.asarray(Image.fromarray(cloud).resize((960, 1280), Image.Resampling.BICUBIC))
    difference = np.abs(net_input(look(large)) - net_input(look(cloud)))
    assert difference.mean() < 0.05


def test_shares_of_black_and_white_are_counted() -> None:
    image = np.tile(np.array([0, 255, 255, 100], dtype=np.uint8), (40, 10))
    assert gray_scale(image) == (255.0, 0.25, 0.5)


def test_a_slanting_grid_stands_out_and_noise_does_not() -> None:
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[0:300, 0:300]
    ground = 120 + 15 * fractal_noise(300, 1.0, rng)
    grid = 15 * np.sin(2 * np.pi * (0.27 * rows + 0.05 * columns))
    assert grid_peak(np.clip(ground + grid, 0, 255).astype(np.uint8)) > grid_peak(ground.astype(np.uint8)) + 1


def test_a_small_image_has_no_grid() -> None:
    assert grid_peak(np.tile(np.array([0, 255], dtype=np.uint8), (255, 100))) == 0.0
