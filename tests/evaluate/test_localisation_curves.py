"""IoU and average precision of one heatmap: laws, hand-made cases, and scikit-learn's word."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, jaccard_score

from pocketcxr.evaluate.localisation_curves import LEVELS, average_precision, ious, ranked

SHAPE = (7, 9)
LAW = settings(deadline=None, max_examples=60)
MASKS = arrays(np.bool_, SHAPE).filter(lambda mask: bool(mask.any()))
# Few different values, so that many pixels are equally hot.
HEATMAPS = arrays(np.float32, SHAPE, elements=st.integers(-4, 8).map(float)) | arrays(
    np.float32, SHAPE, elements=st.floats(-5, 5, width=32, allow_subnormal=False)
)


@LAW
@given(HEATMAPS, MASKS)
def test_average_precision_is_scikit_learns(heatmap: np.ndarray, mask: np.ndarray) -> None:
    found = average_precision(ranked(heatmap, mask))
    assert found == pytest.approx(average_precision_score(mask.ravel(), heatmap.ravel()), abs=1e-12)
    assert 0 < found <= 1


@LAW
@given(HEATMAPS, MASKS)
def test_iou_is_scikit_learns_jaccard_score_at_every_level(heatmap: np.ndarray, mask: np.ndarray) -> None:
    found = ious(ranked(heatmap, mask))
    assert ((found >= 0) & (found <= 1)).all()
    for level, iou in zip(LEVELS, found, strict=True):
        threshold = np.float32(level * float(heatmap.max()))
        outline = (heatmap >= threshold) & (heatmap.max() > 0)
        assert iou == pytest.approx(jaccard_score(mask.ravel(), outline.ravel()), abs=1e-12)


@LAW
@given(MASKS, st.floats(0.015625, 100, width=32))
def test_a_heatmap_of_the_region_itself_is_perfect_at_any_height(mask: np.ndarray, height: float) -> None:
    values = ranked(mask.astype(np.float32) * np.float32(height), mask)
    assert average_precision(values) == 1
    assert (ious(values) == 1).all()


@LAW
@given(MASKS, st.floats(0.015625, 100, width=32))
def test_a_flat_heatmap_has_the_share_of_the_region(mask: np.ndarray, height: float) -> None:
    values = ranked(np.full(SHAPE, height, dtype=np.float32), mask)
    assert average_precision(values) == pytest.approx(mask.mean())
    assert ious(values) == pytest.approx(mask.mean())


@LAW
@given(HEATMAPS, MASKS, st.sampled_from([0.125, 2.0, 64.0]))
def test_neither_asks_for_the_unit_of_the_heatmap(heatmap: np.ndarray, mask: np.ndarray, unit: float) -> None:
    values, scaled = ranked(heatmap, mask), ranked(heatmap * np.float32(unit), mask)
    assert average_precision(values) == average_precision(scaled)
    # Values around 1e-38 lose digits when multiplied.
    if heatmap.max() > 1e-30 or heatmap.max() <= 0:
        assert ious(values).tolist() == ious(scaled).tolist()


def test_by_hand() -> None:
    heatmap = np.array([[1.0, 0.5], [0.2, -3.0]], dtype=np.float32)
    values = ranked(heatmap, np.array([[True, False], [True, False]]))
    assert average_precision(values) == pytest.approx((1 / 1 + 2 / 3) / 2)
    at = dict(zip(LEVELS, ious(values), strict=True))
    assert (at[0.1], at[0.2], at[0.3], at[0.5]) == (pytest.approx(2 / 3), pytest.approx(2 / 3), 1 / 3, 1 / 3)
    assert (at[0.55], at[0.95]) == (0.5, 0.5)


def test_nothing_positive_outlines_nothing() -> None:
    assert not ious(ranked(np.full(SHAPE, -1, dtype=np.float32), np.eye(*SHAPE, dtype=bool))).any()
