"""Placement between original and model pixels, and heatmaps put back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketcxr.domain.study import Box
from pocketcxr.imaging.geometry import Placement, place_heatmap, scale_box
from pocketcxr.imaging.preprocess import PreprocessSpec, square

SIDES = st.integers(16, 3000)
placements = st.builds(Placement, SIDES, SIDES, st.integers(16, 512))


@given(placements, st.floats(0, 1), st.floats(0, 1))
@settings(deadline=None, max_examples=200)
def test_a_point_goes_to_the_model_and_back(placement: Placement, u: float, v: float) -> None:
    x, y = u * placement.width, v * placement.height
    model_x, model_y = placement.to_model(x, y)
    assert 0 <= model_x <= placement.size * (1 + 1e-9)
    assert 0 <= model_y <= placement.size * (1 + 1e-9)
    back_x, back_y = placement.to_original(model_x, model_y)
    assert abs(back_x - x) < 1e-6
    assert abs(back_y - y) < 1e-6


@given(placements, st.floats(0, 1), st.floats(0, 1))
@settings(deadline=None, max_examples=200)
def test_a_box_goes_to_the_model_and_back(placement: Placement, u: float, v: float) -> None:
    box = Box(u * placement.width / 2, v * placement.height / 2, placement.width / 3, placement.height / 3)
    back = placement.box_to_original(placement.box_to_model(box))
    assert np.allclose((back.x, back.y, back.w, back.h), (box.x, box.y, box.w, box.h), atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(120, 80), (80, 120), (97, 64), (64, 64), (63, 100)])
def test_placement_is_where_the_preprocessing_puts_a_block(height: int, width: int) -> None:
    box = Box(0.5 * width, 0.25 * height, 0.25 * width, 0.25 * height)
    image = np.zeros((height, width), dtype=np.uint8)
    image[int(box.y) : int(box.y + box.h), int(box.x) : int(box.x + box.w)] = 255
    centre_x = (int(box.x) + int(box.x + box.w)) / 2
    centre_y = (int(box.y) + int(box.y + box.h)) / 2
    spec = PreprocessSpec(size=48)
    pixels = square(image, spec).astype(float)
    rows, columns = np.indices(pixels.shape) + 0.5
    found = (columns * pixels).sum() / pixels.sum(), (rows * pixels).sum() / pixels.sum()
    expected = Placement(height, width, spec.size).to_model(centre_x, centre_y)
    assert np.allclose(found, expected, atol=0.5)


@given(SIDES, SIDES, st.integers(1, 14), st.integers(1, 14), st.floats(-20, 20))
@settings(deadline=None, max_examples=40)
def test_a_constant_map_gives_a_constant_heatmap(
    height: int, width: int, grid_height: int, grid_width: int, value: float
) -> None:
    heatmap = place_heatmap(np.full((grid_height, grid_width), value, dtype=np.float32), height, width)
    assert heatmap.shape == (height, width)
    assert heatmap.dtype == np.float32
    assert np.allclose(heatmap, value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(100, 300), (300, 100), (200, 200)])
@pytest.mark.parametrize("cell", [(3, 3), (2, 4), (4, 2)])
def test_a_hot_cell_lands_on_its_place(height: int, width: int, cell: tuple[int, int]) -> None:
    class_map = np.zeros((7, 7), dtype=np.float32)
    class_map[cell] = 1.0
    heatmap = place_heatmap(class_map, height, width)
    placement = Placement(height, width, size=7)
    x, y = placement.to_original(cell[1] + 0.5, cell[0] + 0.5)
    if not (0 <= x < width and 0 <= y < height):
        assert heatmap.max() < 0.5, "the cell lies in the padding"
        return
    row, column = np.unravel_index(int(heatmap.argmax()), heatmap.shape)
    assert abs(row + 0.5 - y) <= 1
    assert abs(column + 0.5 - x) <= 1


def test_a_heatmap_is_the_class_map_resized_over_the_square() -> None:
    class_map = np.random.default_rng(0).normal(size=(7, 7)).astype(np.float32)
    heatmap = place_heatmap(class_map, 63, 91)
    whole = np.asarray(Image.fromarray(class_map).resize((91, 91), Image.Resampling.BILINEAR))
    assert np.allclose(heatmap, whole[14:77], atol=1e-5)


def test_a_heatmap_keeps_its_range() -> None:
    class_map = np.random.default_rng(1).normal(size=(14, 14)).astype(np.float32)
    heatmap = place_heatmap(class_map, 256, 256)
    assert heatmap.max() <= class_map.max() + 1e-6
    assert heatmap.min() >= class_map.min() - 1e-6


def test_scaling_a_box_scales_its_corner_and_sides() -> None:
    assert scale_box(Box(10, 20, 30, 40), x=0.5, y=0.25) == Box(5, 5, 15, 10)
