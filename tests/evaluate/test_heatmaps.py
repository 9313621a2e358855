"""Does a heatmap point at its box? The measures of one heatmap and their laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.study import Box
from pocketcxr.evaluate.heatmaps import LocalisationSample, as_mask, energy_in_box, hottest, inside, near, pointing_game
from pocketcxr.imaging.geometry import place_heatmap

HEIGHT, WIDTH = 24, 32
LAW = settings(deadline=None, max_examples=60)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    """A box of at least a pixel on the image, with fractional sides."""
    x, y = draw(st.floats(0, WIDTH - 2)), draw(st.floats(0, HEIGHT - 2))
    return Box(x, y, draw(st.floats(1.01, WIDTH - x)), draw(st.floats(1.01, HEIGHT - y)))


@LAW
@given(boxes())
def test_a_heatmap_equal_to_the_box_scores_one(box: Box) -> None:
    heatmap = inside([box], HEIGHT, WIDTH).astype(np.float32)
    assert pointing_game(heatmap, [box])
    assert energy_in_box(heatmap, [box]) == 1.0


@LAW
@given(boxes())
def test_a_heatmap_that_avoids_the_box_scores_zero(box: Box) -> None:
    heatmap = 1 - inside([box], HEIGHT, WIDTH).astype(np.float32)
    if heatmap.any():
        assert not pointing_game(heatmap, [box])
        assert energy_in_box(heatmap, [box]) == 0.0


@LAW
@given(boxes(), st.floats(0.01, 100))
def test_a_flat_heatmap_has_the_energy_share_of_the_area(box: Box, height: float) -> None:
    heatmap = np.full((HEIGHT, WIDTH), height, dtype=np.float32)
    assert energy_in_box(heatmap, [box]) == pytest.approx(inside([box], HEIGHT, WIDTH).mean(), rel=1e-5)


@LAW
@given(st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 1), boxes())
def test_pointing_and_energy_of_one_hot_pixel_agree(row: int, column: int, box: Box) -> None:
    heatmap = np.full((HEIGHT, WIDTH), -1, dtype=np.float32)
    heatmap[row, column] = 5
    assert energy_in_box(heatmap, [box]) == float(pointing_game(heatmap, [box]))


def test_any_of_several_boxes_counts_and_overlap_counts_once() -> None:
    heatmap = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    heatmap[3, 4] = 1
    assert pointing_game(heatmap, [Box(20, 20, 2, 2), Box(4, 3, 1, 1)])
    assert energy_in_box(heatmap, [Box(4, 3, 2, 2), Box(4, 3, 1, 1)]) == 1.0


def test_of_equally_hot_pixels_the_one_nearest_to_the_middle_is_taken() -> None:
    heatmap = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    heatmap[5, 9] = heatmap[5, 2] = heatmap[9, 0] = 1
    assert pointing_game(heatmap, [Box(9, 5, 1, 1)])
    assert not pointing_game(heatmap, [Box(2, 5, 1, 1), Box(0, 9, 1, 1)])
    heatmap[5, 2] += 1e-3  # more than rounding
    assert hottest(heatmap) == (2.5, 5.5)


@LAW
@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.integers(40, 90))
def test_the_hottest_point_of_a_coarse_map_is_where_its_hottest_cell_is(seed: int, cells: int, side: int) -> None:
    rng = np.random.default_rng(seed)
    class_map = rng.random((cells, cells), dtype=np.float32)
    row, column = rng.integers(cells, size=2)
    class_map[row, column] = 9  # by far: between pixels, the peak of a cell is cut
    x, y = hottest(place_heatmap(class_map, side, side))
    assert x == pytest.approx((column + 0.5) * side / cells, abs=1)  # in a corner, too
    assert y == pytest.approx((row + 0.5) * side / cells, abs=1)


def test_negative_evidence_is_no_energy_and_nothing_positive_is_none() -> None:
    heatmap = np.full((HEIGHT, WIDTH), -3, dtype=np.float32)
    assert energy_in_box(heatmap, [Box(0, 0, 5, 5)]) is None
    heatmap[20, 20] = 1
    assert energy_in_box(heatmap, [Box(0, 0, 5, 5)]) == 0.0


def test_a_sample_must_have_a_box_and_a_finite_heatmap_of_the_image_size() -> None:
    heatmap = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    box = (Box(0, 0, 5, 5),)
    with pytest.raises(ManifestError, match="no box and no mask"):
        LocalisationSample("i", "p", "Mass", heatmap, (), HEIGHT, WIDTH)
    with pytest.raises(ManifestError, match="place the class map"):
        LocalisationSample("i", "p", "Mass", heatmap[::2, ::2], box, HEIGHT, WIDTH)
    with pytest.raises(ManifestError, match="NaN"):
        LocalisationSample("i", "p", "Mass", heatmap * np.nan, box, HEIGHT, WIDTH)


def test_a_sample_refuses_regions_that_mark_nothing_of_its_image() -> None:
    heatmap = np.zeros((HEIGHT, WIDTH), dtype=np.float32)

    def sample(box: Box | None = None, mask: np.ndarray | None = None) -> LocalisationSample:
        return LocalisationSample("i", "p", "Mass", heatmap, () if box is None else (box,), HEIGHT, WIDTH, mask)

    for box in (Box(3, 3, 0, 5), Box(3, 3, 5, -1), Box(3, 3, float("nan"), 2)):
        with pytest.raises(ManifestError, match="no area"):
            sample(box)
    for box in (Box(WIDTH - 3, 2, 6, 4), Box(-4, 2, 8, 4), Box(2, HEIGHT, 4, 0.9), Box(-0.9, 3, 0.8, 5)):
        with pytest.raises(ManifestError, match="outside the image"):
            sample(box)
    with pytest.raises(ManifestError, match="mask is"):
        sample(mask=np.ones((WIDTH, HEIGHT), dtype=bool))
    with pytest.raises(ManifestError, match="mask is empty"):
        sample(mask=np.zeros((HEIGHT, WIDTH), dtype=bool))
    assert sample(Box(-0.5, -0.5, WIDTH + 1, HEIGHT + 1)).region.all()


def test_a_region_is_where_either_box_or_mask_is() -> None:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[20, 30] = True
    box = Box(1, 2, 3, 4)
    sample = LocalisationSample("i", "p", "Mass", mask.astype(np.float32), (box,), HEIGHT, WIDTH, mask)
    assert (sample.region == (inside([box], HEIGHT, WIDTH) | mask)).all()
    assert pointing_game(sample.heatmap, sample.region)
    assert not pointing_game(sample.heatmap, sample.boxes)


@LAW
@given(st.floats(0, WIDTH - 0.6), st.floats(0, HEIGHT - 0.6), st.floats(0.01, 0.6), st.floats(0.01, 0.6))
def test_the_smallest_box_is_at_least_the_pixel_it_lies_on(x: float, y: float, w: float, h: float) -> None:
    mask = as_mask([Box(x, y, w, h)], HEIGHT, WIDTH)
    assert mask[int(y + h / 2), int(x + w / 2)]


@LAW
@given(boxes(), st.integers(0, 2**32 - 1), st.floats(0, 20), st.floats(0, 20))
def test_a_mask_of_the_box_scores_as_the_box(box: Box, seed: int, first: float, second: float) -> None:
    heatmap = np.random.default_rng(seed).normal(size=(HEIGHT, WIDTH)).astype(np.float32)
    mask = as_mask([box], HEIGHT, WIDTH)
    assert energy_in_box(heatmap, mask) == energy_in_box(heatmap, [box])
    hits = [pointing_game(heatmap, [box], tolerance) for tolerance in sorted((first, second))]
    assert hits == [pointing_game(heatmap, mask, tolerance) for tolerance in sorted((first, second))]
    assert hits == sorted(hits)  # more tolerance never loses a hit
    assert pointing_game(heatmap, [box]) <= hits[0]
    assert pointing_game(heatmap, [box], float(np.hypot(HEIGHT, WIDTH)))


@LAW
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.5), st.floats(0, 12))
def test_near_is_within_the_distance_of_some_pixel_of_the_mask(seed: int, share: float, tolerance: float) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((HEIGHT, WIDTH)) < share
    mask[rng.integers(HEIGHT), rng.integers(WIDTH)] = True
    points = np.stack([rng.integers(0, WIDTH, 30), rng.integers(0, HEIGHT, 30)], axis=1) + 0.5
    centres = np.argwhere(mask)[:, ::-1] + 0.5
    distances = np.hypot(*(points[:, None] - centres).transpose(2, 0, 1)).min(axis=1)
    assert near(points, mask, tolerance).tolist() == (distances <= tolerance).tolist()


def test_a_tolerance_counts_pixels_from_the_hottest_one() -> None:
    heatmap = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    heatmap[10, 10] = 1
    assert hottest(heatmap) == (10.5, 10.5)
    assert pointing_game(heatmap, [Box(13, 14, 4, 4)], 5.0)  # a triangle of 3, 4 and 5
    assert not pointing_game(heatmap, [Box(13, 14, 4, 4)], 4.99)
