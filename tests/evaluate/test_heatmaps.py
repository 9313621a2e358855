"""Does a heatmap point at its box? The measures of one heatmap and their laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.study import Box
from pocketcxr.evaluate.heatmaps import LocalisationSample, energy_in_box, inside, pointing_game

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


def test_of_equally_hot_pixels_the_first_in_reading_order_is_taken() -> None:
    heatmap = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    heatmap[5, 9] = heatmap[5, 2] = heatmap[9, 0] = 1
    assert pointing_game(heatmap, [Box(2, 5, 1, 1)])
    assert not pointing_game(heatmap, [Box(9, 5, 1, 1), Box(0, 9, 1, 1)])


def test_negative_evidence_is_no_energy_and_nothing_positive_is_none() -> None:
    heatmap = np.full((HEIGHT, WIDTH), -3, dtype=np.float32)
    assert energy_in_box(heatmap, [Box(0, 0, 5, 5)]) is None
    heatmap[20, 20] = 1
    assert energy_in_box(heatmap, [Box(0, 0, 5, 5)]) == 0.0


def test_a_sample_must_have_a_box_and_a_finite_heatmap_of_the_image_size() -> None:
    heatmap = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    box = (Box(0, 0, 5, 5),)
    with pytest.raises(ManifestError, match="has no box"):
        LocalisationSample("i", "p", "Mass", heatmap, (), HEIGHT, WIDTH)
    with pytest.raises(ManifestError, match="place the class map"):
        LocalisationSample("i", "p", "Mass", heatmap[::2, ::2], box, HEIGHT, WIDTH)
    with pytest.raises(ManifestError, match="NaN"):
        LocalisationSample("i", "p", "Mass", heatmap * np.nan, box, HEIGHT, WIDTH)
