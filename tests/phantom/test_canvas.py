"""Laws of the grid: millimetres and pixels map onto one another, boxes stay inside, ink keeps its mass."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.phantom.canvas import TABLE_MM, Canvas, Ink, Pose, lattice_noise, ramp

UPRIGHT = Pose(field_mm=320.0, tilt_degrees=0.0, centre_x_mm=0.0, centre_y_mm=0.0)
poses = st.builds(
    Pose,
    field_mm=st.floats(280, 400),
    tilt_degrees=st.floats(-8, 8),
    centre_x_mm=st.floats(-20, 20),
    centre_y_mm=st.floats(-20, 20),
)


@settings(deadline=None, max_examples=30)
@given(pose=poses, size=st.sampled_from([32, 64, 97]), row=st.floats(0, 1), column=st.floats(0, 1))
def test_a_pixel_centre_taken_to_millimetres_and_back_is_itself(
    pose: Pose, size: int, row: float, column: float
) -> None:
    canvas = Canvas(size, pose)
    i, j = int(row * (size - 1)), int(column * (size - 1))
    back = canvas.to_pixels([(float(canvas.x[i, j]), float(canvas.y[i, j]))])[0]
    np.testing.assert_allclose(back, (j + 0.5, i + 0.5), atol=1e-3)


@settings(deadline=None, max_examples=20)
@given(pose=poses, x=st.floats(-100, 100), y=st.floats(-100, 100))
def test_the_same_place_is_at_the_same_share_of_every_image_size(pose: Pose, x: float, y: float) -> None:
    small, large = Canvas(64, pose), Canvas(256, pose)
    np.testing.assert_allclose(small.to_pixels([(x, y)]) / 64, large.to_pixels([(x, y)]) / 256, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(pose=poses, x=st.floats(-150, 150), y=st.floats(-150, 150), half=st.floats(5, 60))
def test_a_window_holds_every_pixel_of_its_rectangle(pose: Pose, x: float, y: float, half: float) -> None:
    canvas = Canvas(64, pose)
    inside = (np.abs(canvas.x - x) < half) & (np.abs(canvas.y - y) < half)
    window = canvas.around(x, y, half, half)
    outside = inside.copy()
    outside[window.rows, window.columns] = False
    assert not outside.any()


@settings(deadline=None, max_examples=30)
@given(pose=poses, x=st.floats(-300, 300), y=st.floats(-300, 300), radius=st.floats(1, 80))
def test_the_box_of_a_disc_lies_in_the_image_or_is_none(pose: Pose, x: float, y: float, radius: float) -> None:
    box = Canvas(64, pose).disc_box(x, y, radius)
    if box is not None:
        assert 0 <= box.x < box.x + box.w <= 64
        assert 0 <= box.y < box.y + box.h <= 64


def test_the_box_of_a_change_is_tight() -> None:
    canvas = Canvas(64, UPRIGHT)
    window = canvas.around(0, 0, 100, 100)
    change = np.zeros_like(canvas.x[window.rows, window.columns])
    change[5:9, 3:13] = 1.0
    box = canvas.change_box(change, window)
    assert box is not None
    assert (box.x, box.y, box.w, box.h) == (3 + window.columns.start, 5 + window.rows.start, 10, 4)


def test_no_change_has_no_box() -> None:
    canvas = Canvas(64, UPRIGHT)
    window = canvas.around(0, 0, 50, 50)
    assert canvas.change_box(np.zeros_like(canvas.x[window.rows, window.columns]), window) is None
    far = canvas.around(1000, 1000, 5, 5)
    assert canvas.change_box(np.zeros_like(canvas.x[far.rows, far.columns]), far) is None


def test_a_table_of_y_gives_back_y() -> None:
    canvas = Canvas(64, UPRIGHT)
    assert np.abs(canvas.by_y(TABLE_MM) - canvas.y).max() <= 0.5


def test_a_ramp_goes_from_outside_to_inside_through_one_half() -> None:
    assert ramp(np.float32([-2, -1, 0, 1, 2]), 1.0).tolist() == [0, 0, 0.5, 1, 1]


@pytest.mark.parametrize("size", [64, 256])
def test_thin_ink_keeps_its_mass_at_every_size(size: int) -> None:
    canvas = Canvas(size, UPRIGHT)
    ink = Ink(canvas)
    ink.line([(-50.0, 3.0), (50.0, 3.0)], 2.0, 0.8)
    mass = float(ink.coverage().sum()) * canvas.pixel_mm**2
    assert mass == pytest.approx(100 * 2.0 * 0.8, rel=0.25)


def test_strokes_at_once_are_the_strokes_one_by_one() -> None:
    canvas = Canvas(64, UPRIGHT)
    ends = np.array([[(-60.0, -40.0), (30.0, 10.0)], [(0.0, 0.0), (20.0, 90.0)]])
    together, single = Ink(canvas), Ink(canvas)
    together.segments(ends, np.array([6.0, 9.0]), np.array([0.5, 0.9]))
    single.line(ends[0], 6.0, 0.5)
    single.line(ends[1], 9.0, 0.9)
    np.testing.assert_allclose(together.coverage(), single.coverage(), atol=0.03)


def test_texture_is_about_zero_with_about_unit_spread() -> None:
    canvas = Canvas(128, UPRIGHT)
    window = canvas.around(0, 0, 150, 150)
    texture = lattice_noise(canvas, window, 8.0, np.random.default_rng(3))
    assert abs(float(texture.mean())) < 0.15
    assert 0.6 < float(texture.std()) < 1.3
