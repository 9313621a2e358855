"""ECE, Brier score and reliability curve: their definitions, on examples worked by hand and as laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from pocketcxr.evaluate.labelled_logits import OneFinding
from pocketcxr.evaluate.reliability import (
    brier_parts,
    equal_mass,
    equal_width,
    expected_calibration_error,
    reliability,
)


def images_of(is_present: np.ndarray, patients: int | None = None) -> OneFinding:
    num = len(is_present)
    ids = tuple(f"p{row % (patients or num)}" for row in range(num))
    return OneFinding("Mass", np.arange(num), ids, np.zeros(num), is_present)


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, some of them equal, and labels of both kinds."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    num = draw(st.integers(2, 200))
    probabilities = np.round(rng.random(num), draw(st.integers(1, 6)))
    is_present = rng.random(num) < probabilities ** draw(st.floats(0.3, 3))
    is_present[0], is_present[-1] = True, False
    return probabilities, is_present


def test_the_error_of_an_example_worked_by_hand() -> None:
    probabilities = np.array([0.1, 0.1, 0.1, 0.1, 0.9, 0.9])
    is_present = np.array([False, False, False, True, True, False])
    # |1/4 - 0.1| of four images and |1/2 - 0.9| of two.
    expected = 4 / 6 * 0.15 + 2 / 6 * 0.4
    assert expected_calibration_error(probabilities, is_present, equal_width(probabilities, 2)) == pytest.approx(
        expected
    )


@settings(max_examples=60, deadline=None)
@given(scored())
def test_equal_width_bins_are_scikit_learns(pair: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, is_present = pair
    probabilities = np.clip(probabilities, 0.001, 0.999) + 1e-5  # off the bins' edges, which scikit-learn puts below
    observed, mean = calibration_curve(is_present, probabilities, n_bins=15)
    counts = np.bincount((probabilities * 15).astype(int), minlength=15)
    expected = (counts[counts > 0] * np.abs(observed - mean)).sum() / len(probabilities)
    error = expected_calibration_error(probabilities, is_present, equal_width(probabilities))
    assert error == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(scored())
def test_the_brier_score_is_the_sum_of_its_parts(pair: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, is_present = pair
    parts = brier_parts(probabilities, is_present)
    total = parts.miscalibration - parts.discrimination + parts.uncertainty
    assert total == pytest.approx(brier_score_loss(is_present, probabilities), abs=1e-12)
    assert parts.miscalibration >= -1e-12
    assert -1e-12 <= parts.discrimination <= parts.uncertainty + 1e-12


@settings(max_examples=60, deadline=None)
@given(scored())
def test_equal_mass_bins_rise_and_never_part_equals(pair: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, _ = pair
    bins = equal_mass(probabilities)
    order = np.argsort(probabilities)
    assert (np.diff(bins.of[order]) >= 0).all()
    for value in np.unique(probabilities):
        assert len(set(bins.of[probabilities == value])) == 1
    assert 0 <= bins.of.min() <= bins.of.max() < bins.num


def test_many_different_probabilities_fill_fifteen_bins_evenly() -> None:
    bins = equal_mass(np.random.default_rng(0).random(1500))
    assert bins.num == 15
    assert (np.bincount(bins.of) == 100).all()
    assert equal_mass(np.linspace(0, 1, 60)).num == 3


def test_told_as_they_are_probabilities_have_almost_no_error_and_shifted_ones_have_the_shift() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.1, 0.6, 50_000)
    is_present = rng.random(50_000) < truth
    right = reliability(images_of(is_present), truth, np.random.default_rng(0), 40)
    wrong = reliability(images_of(is_present), truth + 0.2, np.random.default_rng(0), 40)
    assert right.ece_equal_mass.value < 0.01
    assert wrong.ece_equal_mass.value == pytest.approx(0.2, abs=0.01)
    assert wrong.ece_equal_width.value == pytest.approx(0.2, abs=0.01)
    assert wrong.brier_parts.miscalibration == pytest.approx(0.04, abs=0.003)
    assert wrong.mean_probability - wrong.prevalence == pytest.approx(0.2, abs=0.01)


def test_the_curve_holds_every_image_once_and_its_intervals_hold_its_points() -> None:
    rng = np.random.default_rng(1)
    probabilities = rng.random(600)
    figures = reliability(images_of(rng.random(600) < probabilities), probabilities, np.random.default_rng(0), 200)
    assert sum(one.num_images for one in figures.curve) == 600
    means = [one.mean_probability for one in figures.curve]
    assert means == sorted(means)
    for one in figures.curve:
        assert one.observed.low is not None
        assert one.observed.high is not None
        assert one.observed.low <= one.observed.value <= one.observed.high
    assert figures.brier.low is not None
    assert figures.brier.low < figures.brier.value


def test_patients_of_many_like_images_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    is_present = np.tile(rng.random(40) < 0.5, 10)
    is_present[:2] = True, False
    probabilities = np.full(400, 0.5)
    apart = reliability(images_of(is_present), probabilities, np.random.default_rng(0), 300).curve[0].observed
    together = reliability(images_of(is_present, 40), probabilities, np.random.default_rng(0), 300).curve[0].observed
    assert apart.low is not None
    assert apart.high is not None
    assert together.low is not None
    assert together.high is not None
    assert together.high - together.low > 2 * (apart.high - apart.low)
