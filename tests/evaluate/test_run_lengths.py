"""COCO's run lengths: what pycocotools writes is read back, what it would crash on is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from pocketcxr.evaluate.run_lengths import drawn, run_lengths

LAW = settings(deadline=None, max_examples=60)
MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))


@LAW
@given(MASKS, st.integers(1, 200), st.integers(1, 200))
def test_masks_of_pycocotools_come_back(small: np.ndarray, rows: int, columns: int) -> None:
    mask = np.repeat(np.repeat(small, rows, axis=0), columns, axis=1)
    text = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    runs = run_lengths(text, mask.size)
    assert (drawn(runs, *mask.shape) == mask).all()
    assert int(runs[1::2].sum()) == mask.sum()
    assert (run_lengths(runs.tolist(), mask.size) == runs).all()


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ("", "add up to 0 pixels, not 25"),
        ("5", "add up to 5 pixels"),
        ("é", "counts hold 'é'"),
        ("5 5", "counts hold ' '"),
        ("PPPPPPPP", "counts hold"),
        ("5P", "middle of a number"),
        ("O0", "not all 0 or more"),
        ([-3, 28], "not all 0 or more"),
        ([10, 10], "add up to 20"),
    ],
)
def test_counts_that_do_not_make_the_mask_are_refused(counts: str | list[int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        run_lengths(counts, 25)


@LAW
@given(st.text(max_size=30))
def test_any_other_text_is_refused_or_fills_the_mask(text: str) -> None:
    try:
        runs = run_lengths(text, 600)
    except ValueError:
        return
    assert drawn(runs, 20, 30).shape == (20, 30)
