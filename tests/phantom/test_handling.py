"""What is done to a phantom is what its name says, reproducibly, and stays a picture."""

from collections.abc import Callable

import numpy as np
import pytest

from pocketcxr.phantom.handling import (
    View,
    cropped_view,
    developed,
    framed,
    inverted,
    screen_photograph,
    turned_view,
    usual_view,
)
from pocketcxr.phantom.not_chest import FAMILIES, no_radiograph
from pocketcxr.phantom.other_views import lateral, other_part
from pocketcxr.phantom.strokes import Pixels, as_gray

Make = Callable[[int, np.random.Generator], Pixels]


@pytest.fixture
def slope() -> Pixels:
    """Dark on the left, bright on the right, a white corner above left."""
    image = np.tile(np.linspace(20, 220, 96).astype(np.uint8), (96, 1))
    image[:12, :12] = 255
    return image


@pytest.mark.parametrize("make", [lateral, other_part, no_radiograph])
def test_pictures_depend_on_their_generator_alone(make: Make) -> None:
    first, again = (make(64, np.random.default_rng(4)) for _ in range(2))
    other = make(64, np.random.default_rng(5))
    assert first.shape == (64, 64)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("draw", dict.fromkeys(FAMILIES), ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("size", [48, 80])
def test_every_family_shows_something(draw: Callable[[int, np.random.Generator], np.ndarray], size: int) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        assert as_gray(draw(size, rng), rng).std() > 1


def test_inverting_twice_changes_nothing(slope: Pixels) -> None:
    np.testing.assert_array_equal(inverted(inverted(slope)), slope)


def test_the_whole_picture_unturned_is_the_picture(slope: Pixels) -> None:
    shown = framed(slope, View((0, 0, 1, 1), 0.0), 96, np.random.default_rng(0))
    step = shown.shape[1] / 96
    columns = np.linspace(10, 90, 9)
    np.testing.assert_allclose(
        shown[48, (columns * step).astype(int)].astype(int), slope[48, columns.astype(int)].astype(int), atol=5
    )


@pytest.mark.parametrize(("degrees", "corner"), [(90.0, (1, 0)), (180.0, (1, 1)), (270.0, (0, 1))])
def test_turning_moves_the_corner(degrees: float, corner: tuple[int, int], slope: Pixels) -> None:
    dark = np.where(slope == 255, 255, 0).astype(np.uint8)
    shown = framed(dark, View((0, 0, 1, 1), degrees), 96, np.random.default_rng(0))
    row, column = np.unravel_index(np.argmax(shown), shown.shape)
    assert (row > shown.shape[0] / 2, column > shown.shape[1] / 2) == (bool(corner[0]), bool(corner[1]))


def test_views_are_what_they_are_called() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        assert abs(usual_view(rng).degrees) <= 16
        assert 30 <= abs(turned_view(rng).degrees) <= 300
        left, top, width, height = cropped_view(rng).cut
        assert min(width, height) < 0.47
        assert left >= 0
        assert top >= 0
        assert max(left + width, top + height) <= 1 + 1e-9


@pytest.mark.parametrize("change", [developed, screen_photograph])
def test_what_is_redrawn_keeps_its_shape(
    change: Callable[[Pixels, np.random.Generator], Pixels], slope: Pixels
) -> None:
    for seed in range(10):
        shown = change(slope[:, :70], np.random.default_rng(seed))
        assert shown.shape == (96, 70)
        assert shown.dtype == np.uint8
