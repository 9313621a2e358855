"""Resampling patients: whole patients, the right number, the same draw for every chunking; honest intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.evaluate.bootstrap import estimate, estimate_each, estimate_mean, patient_weights


def weights_of(patients: list[str], num_resamples: int, chunk_elements: int = 1_000_000) -> np.ndarray:
    return np.concatenate(list(patient_weights(patients, np.random.default_rng(5), num_resamples, chunk_elements)))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=20), st.integers(1, 30))
def test_images_of_one_patient_are_drawn_together_and_as_many_patients_as_there_are(
    patients: list[str], num_resamples: int
) -> None:
    weights = weights_of(patients, num_resamples)
    assert weights.shape == (num_resamples, len(patients))
    names = sorted(set(patients))
    first = [patients.index(name) for name in names]
    np.testing.assert_array_equal(weights, weights[:, [first[names.index(name)] for name in patients]])
    np.testing.assert_array_equal(weights[:, first].sum(axis=1), len(names))


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 400))
def test_the_draw_does_not_depend_on_how_much_is_held_at_once(chunk_elements: int) -> None:
    patients = [f"p{i // 2}" for i in range(14)]
    np.testing.assert_array_equal(weights_of(patients, 25, chunk_elements), weights_of(patients, 25))


def test_every_patient_is_drawn_once_on_average() -> None:
    weights = weights_of([f"p{i}" for i in range(10)], 4000)
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.08)
    np.testing.assert_allclose(weights.var(axis=0), 0.9, atol=0.08)


def test_the_interval_holds_the_middle_95_percent_and_counts_what_it_dropped() -> None:
    resampled = np.append(np.arange(1001.0), np.full(7, np.nan))
    found = estimate(500.0, resampled)
    assert (found.low, found.high) == (pytest.approx(25), pytest.approx(975))
    assert found.num_dropped == 7


def test_too_few_defined_resamples_give_no_interval() -> None:
    found = estimate(0.5, np.append(np.linspace(0, 1, 39), np.full(100, np.nan)))
    assert (found.low, found.high, found.num_dropped) == (None, None, 100)
    assert not found.excludes_zero


@pytest.mark.parametrize(("low", "high", "expected"), [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False)])
def test_an_interval_excludes_zero_when_it_lies_on_one_side(low: float, high: float, expected: bool) -> None:
    assert estimate(0.0, np.linspace(low, high, 1000)).excludes_zero is expected


def test_undefined_values_have_no_estimate() -> None:
    each = estimate_each(np.array([0.5, np.nan]), np.full((50, 2), 0.5))
    assert each[0] is not None
    assert each[1] is None
    assert estimate_mean(np.array([np.nan]), np.full((50, 1), np.nan)) is None


def test_with_every_finding_defined_the_mean_is_resampled_as_it_is() -> None:
    resampled = np.random.default_rng(0).random((500, 3))
    values = np.array([0.2, 0.5, 0.9])
    found, expected = estimate_mean(values, resampled), estimate(float(values.mean()), resampled.mean(axis=1))
    assert found is not None
    assert found.low == pytest.approx(expected.low)
    assert found.high == pytest.approx(expected.high)


def test_a_rare_finding_that_was_not_drawn_does_not_move_the_mean() -> None:
    values = np.array([0.9, 0.5])
    resampled = np.tile(values, (100, 1))
    resampled[:50, 1] = np.nan
    found = estimate_mean(values, resampled)
    assert found is not None
    assert found.low == pytest.approx(0.7)
    assert found.high == pytest.approx(0.7)
    assert found.num_dropped == 0
