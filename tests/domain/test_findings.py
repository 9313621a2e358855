"""Findings have one spelling and one order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketcxr.domain.errors import UnknownNameError
from pocketcxr.domain.findings import CHESTXRAY14, canonical, in_order


def test_the_box_lists_spelling_is_understood() -> None:
    assert canonical("Infiltrate") == "Infiltration"


def test_a_typo_names_the_nearest_finding() -> None:
    with pytest.raises(UnknownNameError, match=r"'Cardiomegali' is unknown; did you mean 'Cardiomegaly'\?"):
        canonical("Cardiomegali")


@given(st.lists(st.sampled_from(CHESTXRAY14)))
def test_order_is_that_of_the_data_set_whatever_is_given(names: list[str]) -> None:
    ordered = in_order(names)
    assert set(ordered) == set(names)
    assert list(ordered) == sorted(set(names), key=CHESTXRAY14.index)
