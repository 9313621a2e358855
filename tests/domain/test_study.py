"""Boxes know what lies inside them."""

from hypothesis import given
from hypothesis import strategies as st

from pocketcxr.domain.study import Box

numbers = st.floats(0, 1e4)


@given(numbers, numbers, st.floats(1, 1e4), st.floats(1, 1e4))
def test_a_box_contains_its_middle_and_not_its_far_corner(x: float, y: float, w: float, h: float) -> None:
    box = Box(x, y, w, h)
    assert box.contains(x + w / 2, y + h / 2)
    assert not box.contains(x + w, y + h)
