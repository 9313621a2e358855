"""Operating points: scikit-learn's ROC curve as oracle, the criteria as laws, Bayes' rule, and honest gaps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from pocketcxr.evaluate.labelled_logits import OneFinding
from pocketcxr.evaluate.operating_points import (
    CRITERIA,
    OperatingPointReport,
    Undefined,
    choose,
    operating_points,
    predictive_values,
    rates,
)


def images_of(is_present: np.ndarray) -> OneFinding:
    num = len(is_present)
    return OneFinding("Mass", np.arange(num), tuple(map(str, range(num))), np.zeros(num), is_present)


def points_of(
    probabilities: np.ndarray, is_present: np.ndarray, prevalence: float | None = None
) -> dict[str, OperatingPointReport | Undefined]:
    rng = np.random.default_rng(0)
    found = operating_points(images_of(is_present), probabilities, rng, prevalence, num_resamples=60)
    return {point.criterion: point for point in found}


@st.composite
def scored(draw: st.DrawFn, least: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, many of them equal, and at least `least` labels of each kind."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    num = draw(st.integers(2 * least, 2 * least + 80))
    probabilities = np.round(rng.random(num), draw(st.integers(1, 8)))
    is_present = rng.random(num) < probabilities
    is_present[:least], is_present[-least:] = True, False
    return probabilities, is_present


@settings(max_examples=100, deadline=None)
@given(scored())
def test_every_threshold_is_one_of_scikit_learns(pair: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, is_present = pair
    curve = rates(probabilities, is_present)
    false_positive, true_positive, thresholds = roc_curve(is_present, probabilities, drop_intermediate=False)
    np.testing.assert_allclose(curve.sensitivity, true_positive[1:])
    np.testing.assert_allclose(1 - curve.specificity, false_positive[1:], atol=1e-12)
    # Ours lie halfway to the next lower probability, and call the same images.
    assert (curve.thresholds <= thresholds[1:]).all()
    assert (curve.thresholds[:-1] > thresholds[2:]).all()


@settings(max_examples=100, deadline=None)
@given(scored())
def test_calling_from_the_threshold_on_achieves_what_is_said(pair: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, is_present = pair
    curve = rates(probabilities, is_present)
    for threshold, sensitivity, specificity in zip(*curve, strict=True):
        called = probabilities >= threshold
        assert called[is_present].mean() == pytest.approx(sensitivity)
        assert (~called[~is_present]).mean() == pytest.approx(specificity)
        assert 0 <= threshold <= 1


@settings(max_examples=100, deadline=None)
@given(scored())
def test_no_other_threshold_meets_a_criterion_better(pair: tuple[np.ndarray, np.ndarray]) -> None:
    curve = rates(*pair)
    for criterion, least in (("sensitivity-90", 0.9), ("sensitivity-95", 0.95)):
        place = choose(curve, criterion)  # type: ignore[arg-type]
        assert place is not None
        assert curve.sensitivity[place] >= least - 1e-9
        meets = curve.sensitivity >= least - 1e-9
        assert curve.specificity[place] == curve.specificity[meets].max()
    place = choose(curve, "specificity-90")
    meets = curve.specificity >= 0.9 - 1e-9
    if place is None:
        assert not meets.any()
    else:
        assert curve.specificity[place] >= 0.9 - 1e-9
        assert curve.sensitivity[place] == curve.sensitivity[meets].max()
    place = choose(curve, "youden")
    assert place is not None
    gain = curve.sensitivity + curve.specificity
    assert gain[place] == pytest.approx(gain.max())


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 1), st.floats(0, 0.99), st.floats(0.01, 0.99))
def test_predictive_values_are_bayes_rule(sensitivity: float, specificity: float, prevalence: float) -> None:
    ppv, npv = predictive_values(np.array(sensitivity), np.array(specificity), prevalence)
    called = sensitivity * prevalence + (1 - specificity) * (1 - prevalence)
    assert float(ppv) == pytest.approx(sensitivity * prevalence / called)
    if called < 1:
        assert float(npv) == pytest.approx(specificity * (1 - prevalence) / (1 - called), abs=1e-9)


def test_predictive_values_at_the_images_own_prevalence_are_counted_ones() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random(300)
    is_present = rng.random(300) < probabilities
    for point in points_of(probabilities, is_present).values():
        assert isinstance(point, OperatingPointReport)
        called = probabilities >= point.threshold
        assert point.ppv is not None
        assert point.npv is not None
        assert point.ppv.value == pytest.approx(is_present[called].mean())
        assert point.npv.value == pytest.approx((~is_present[~called]).mean())
        assert point.prevalence == is_present.mean()


def test_a_stated_prevalence_moves_predictive_values_alone() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random(300)
    is_present = rng.random(300) < probabilities
    own, rare = points_of(probabilities, is_present)["youden"], points_of(probabilities, is_present, 0.02)["youden"]
    assert isinstance(own, OperatingPointReport)
    assert isinstance(rare, OperatingPointReport)
    assert rare.prevalence == 0.02
    assert (rare.threshold, rare.sensitivity) == (own.threshold, own.sensitivity)
    assert rare.ppv is not None
    assert own.ppv is not None
    assert rare.ppv.value < own.ppv.value


@settings(max_examples=15, deadline=None)
@given(scored(least=20))
def test_an_interval_holds_its_figure_and_stays_a_share(pair: tuple[np.ndarray, np.ndarray]) -> None:
    for point in points_of(*pair).values():
        if isinstance(point, Undefined):
            continue
        for one in (point.sensitivity, point.specificity):
            assert one.low is not None
            assert one.high is not None
            assert 0 <= one.low <= one.value <= one.high <= 1


@pytest.mark.parametrize(("num_present", "num_absent"), [(19, 100), (100, 19), (0, 50), (50, 0)])
def test_too_few_images_have_no_operating_point(num_present: int, num_absent: int) -> None:
    is_present = np.arange(num_present + num_absent) < num_present
    points = points_of(np.linspace(1, 0, len(is_present)), is_present)
    assert set(points) == set(CRITERIA)
    for point in points.values():
        assert isinstance(point, Undefined)
        assert "20 of each are needed" in point.why


def test_a_specificity_that_no_threshold_reaches_is_undefined() -> None:
    is_present = np.arange(100) < 50
    points = points_of(np.where(np.arange(100) % 2 == 0, 0.5, 0.4), is_present)
    assert isinstance(points["specificity-90"], Undefined)
    assert isinstance(points["sensitivity-90"], OperatingPointReport)


def test_a_perfect_ranking_gets_a_threshold_between_the_kinds() -> None:
    is_present = np.arange(60) < 30
    for point in points_of(np.where(is_present, 0.8, 0.2), is_present).values():
        assert isinstance(point, OperatingPointReport)
        assert point.threshold == pytest.approx(0.5)
        assert point.sensitivity.value == point.specificity.value == 1
        assert point.ppv is not None
        assert point.ppv.value == 1
