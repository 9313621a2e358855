"""Means of pairs of image and finding: against plain numpy, and under what must not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.domain.errors import EmptyCohortError
from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.explanation_means import PairMeans, pair_means

FINDINGS = ["Mass", "Effusion", "Mass", "Nodule", "Effusion", "Mass"]
PATIENTS = ["1", "1", "2", "3", "3", "4"]


def means(columns: np.ndarray, seed: int = 0) -> PairMeans:
    return pair_means(columns, FINDINGS, PATIENTS, np.random.default_rng(seed), 200)


def value(estimate: Estimate | None) -> float:
    assert estimate is not None
    return estimate.value


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_values_are_plain_means_and_the_mean_weighs_findings_alike(seed: int) -> None:
    columns = np.random.default_rng(seed).random((6, 2))
    found = means(columns)
    assert list(found.by_finding) == ["Effusion", "Mass", "Nodule"]
    expected = {name: columns[np.array(FINDINGS) == name].mean(axis=0) for name in found.by_finding}
    for name, of_finding in found.by_finding.items():
        assert [value(one) for one in of_finding] == pytest.approx(expected[name])
    assert [value(one) for one in found.mean] == pytest.approx(np.mean(list(expected.values()), axis=0))


@given(st.integers(0, 1000), st.floats(-2, 2))
@settings(max_examples=25, deadline=None)
def test_a_constant_difference_is_certain(seed: int, shift: float) -> None:
    first = np.random.default_rng(seed).random(6)
    found = means(np.stack([first, first + shift, np.full(6, shift)], axis=1))
    assert found.mean[2] is not None
    assert (found.mean[2].low, found.mean[2].high) == pytest.approx((shift, shift))
    assert value(found.mean[1]) - value(found.mean[0]) == pytest.approx(shift)


def test_what_a_pair_does_not_define_is_left_out() -> None:
    columns = np.array([[1.0], [np.nan], [3.0], [np.nan], [np.nan], [2.0]])
    found = means(columns)
    assert value(found.by_finding["Mass"][0]) == 2.0
    assert found.by_finding["Effusion"][0] is None
    assert value(found.mean[0]) == 2.0


def test_the_order_of_pairs_does_not_matter() -> None:
    columns = np.random.default_rng(1).random((6, 2))
    turned = pair_means(columns[::-1], FINDINGS[::-1], PATIENTS[::-1], np.random.default_rng(0), 200)
    there = means(columns)
    for name, of_finding in there.by_finding.items():
        for one, other in zip(of_finding, turned.by_finding[name], strict=True):
            assert one is not None
            assert other is not None
            assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))


def test_no_pair_is_an_error() -> None:
    with pytest.raises(EmptyCohortError, match="no pair"):
        pair_means(np.empty((0, 1)), [], [], np.random.default_rng(0))
