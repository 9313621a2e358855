"""Calibration never changes the order, agrees with scikit-learn, and never invents where images are few."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.calibration import _SigmoidCalibration
from sklearn.linear_model import LogisticRegression

from pocketcxr.domain.errors import EmptyCohortError, ManifestError
from pocketcxr.evaluate.calibration import (
    MAX_SLOPE,
    FittedLine,
    NotFitted,
    cross_fitted,
    fit,
    fit_each,
    platt_targets,
)
from pocketcxr.evaluate.labelled_logits import LabelledLogits, OneFinding
from pocketcxr.evaluate.ranking import auroc


def made(seed: int = 0, num: int = 400, slope: float = 0.5, offset: float = -1.0, spread: float = 2.0) -> OneFinding:
    """Images whose true probability is sigmoid(slope * logit + offset), two a patient."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=spread, size=num)
    is_present = rng.random(num) < expit(slope * logits + offset)
    return OneFinding("Mass", np.arange(num), tuple(f"p{row // 2}" for row in range(num)), logits, is_present)


def fitted(images: OneFinding, method: str = "platt") -> FittedLine:
    line = fit(images, method)  # type: ignore[arg-type]
    assert isinstance(line, FittedLine)
    return line


def cross_entropy(line: FittedLine, images: OneFinding) -> float:
    values = line.slope * images.logits + line.offset
    return float((np.logaddexp(0, values) - images.is_present * values).mean())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 3), st.floats(-3, 1), st.floats(0.01, 30))
def test_platt_scaling_is_scikit_learns(seed: int, slope: float, offset: float, spread: float) -> None:
    images = made(seed, 300, slope / spread, offset, spread)
    line = fit(images)
    assume(isinstance(line, FittedLine) and line.method == "platt")
    assert isinstance(line, FittedLine)
    oracle = _SigmoidCalibration().fit(images.logits, images.is_present.astype(float))
    # It writes the probability as 1 / (1 + exp(a x + b)) and stops a little earlier.
    np.testing.assert_allclose(line.probabilities(images.logits), oracle.predict(images.logits), atol=2e-4)
    assert -oracle.a_ == pytest.approx(line.slope, rel=2e-3)


def test_platt_scaling_is_an_unpenalised_logistic_regression_on_platts_targets() -> None:
    images = made()
    targets = platt_targets(images.is_present)
    twice = np.concatenate([images.logits, images.logits])[:, None]
    regression = LogisticRegression(C=1e12, tol=1e-10, max_iter=1000)
    labels = np.repeat([1, 0], len(targets))
    regression.fit(twice, labels, sample_weight=np.concatenate([targets, 1 - targets]))
    line = fitted(images)
    assert line.slope == pytest.approx(regression.coef_[0, 0], rel=1e-4)
    assert line.offset == pytest.approx(regression.intercept_[0], rel=1e-4)


def test_temperature_scaling_is_a_logistic_regression_without_intercept() -> None:
    images = made(offset=0.0)
    line = fitted(images, "temperature")
    regression = LogisticRegression(C=1e12, fit_intercept=False, tol=1e-10, max_iter=1000)
    regression.fit(images.logits[:, None], images.is_present)
    assert line.slope == pytest.approx(regression.coef_[0, 0], rel=1e-5)
    assert line.offset == 0


def test_a_known_distortion_is_undone_given_many_images() -> None:
    line = fitted(made(num=40_000, slope=0.4, offset=-1.3))
    assert line.slope == pytest.approx(0.4, abs=0.02)
    assert line.offset == pytest.approx(-1.3, abs=0.04)
    assert fitted(made(num=40_000, slope=0.4, offset=0), "temperature").slope == pytest.approx(0.4, abs=0.02)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(-2, 2), st.sampled_from(["platt", "temperature"]))
def test_auroc_stays_and_the_fit_is_no_worse_than_none(seed: int, slope: float, method: str) -> None:
    images = made(seed, 120, slope, -0.5)
    line = fit(images, method)  # type: ignore[arg-type]
    assume(isinstance(line, FittedLine))
    assert isinstance(line, FittedLine)
    assert line.slope > 0
    labels = images.is_present.astype(float)
    assert auroc(labels, line.probabilities(images.logits)) == auroc(labels, images.logits)
    unchanged = line.model_copy(update={"slope": 1.0, "offset": 0.0})
    # Platt's targets cost up to about a label's weight each.
    slack = 1e-9 if line.method == "temperature" else 2 / min(images.num_present, images.num_absent)
    assert cross_entropy(line, images) <= cross_entropy(unchanged, images) + slack


@pytest.mark.parametrize(
    ("num_present", "num_absent", "expected"),
    [
        (0, 50, None),
        (50, 0, None),
        (9, 50, None),
        (50, 9, None),
        (10, 50, "temperature"),
        (50, 19, "temperature"),
        (20, 20, "platt"),
    ],
)
def test_few_images_get_a_simpler_line_or_none(num_present: int, num_absent: int, expected: str | None) -> None:
    rng = np.random.default_rng(0)
    is_present = np.arange(num_present + num_absent) < num_present
    logits = rng.normal(size=len(is_present)) + 1.5 * is_present - 0.5
    patients = tuple(str(row) for row in range(len(is_present)))
    line = fit(OneFinding("Mass", np.arange(len(is_present)), patients, logits, is_present))
    if expected is None:
        assert isinstance(line, NotFitted)
        assert f"{num_present} images with it and {num_absent} without it" in line.why
    else:
        assert isinstance(line, FittedLine)
        assert line.method == expected


def test_logits_that_rank_the_wrong_way_round_are_refused_not_turned_round() -> None:
    images = made(slope=-0.5)
    for method in ("platt", "temperature"):
        line = fit(images, method)  # type: ignore[arg-type]
        assert isinstance(line, NotFitted)
        assert "higher logits" in line.why


def test_equal_logits_and_perfect_separation_are_no_fit_of_infinite_slope() -> None:
    is_present = np.arange(60) < 30
    patients = tuple(str(row) for row in range(60))
    equal = fit(OneFinding("Mass", np.arange(60), patients, np.full(60, -1.0), is_present))
    assert isinstance(equal, NotFitted)
    assert "equal" in equal.why
    apart = OneFinding("Mass", np.arange(60), patients, np.where(is_present, 1.0, -1.0), is_present)
    assert isinstance(fit(apart, "temperature"), NotFitted)
    line = fit(apart)
    assert isinstance(line, FittedLine)
    assert line.slope < MAX_SLOPE
    assert line.probabilities(np.array([1.0]))[0] == pytest.approx(31 / 32, abs=1e-6)


def test_out_of_fold_probabilities_never_come_from_the_patients_own_fit() -> None:
    images = made(num=200)
    before = cross_fitted(images, "platt")
    flipped = images.is_present.copy()
    flipped[:2] = ~flipped[:2]  # both images of p0
    after = cross_fitted(OneFinding("Mass", images.rows, images.patient_ids, images.logits, flipped), "platt")
    assert (before[:2] == after[:2]).all()
    assert (before[2:] != after[2:]).any()


def test_each_finding_is_fitted_alone_and_what_was_never_learnt_stays_so() -> None:
    images = made()
    labels = np.stack([images.is_present, images.is_present, images.is_present], axis=1).astype(np.float32)
    labels[::3, 1] = np.nan
    logits = np.stack([images.logits, images.logits, np.full(400, np.nan)], axis=1)
    lines = fit_each(LabelledLogits(("Mass", "Nodule", "Hernia"), images.patient_ids, logits, labels))
    assert lines["Mass"] == fitted(images)
    nodule, hernia = lines["Nodule"], lines["Hernia"]
    assert isinstance(nodule, FittedLine)
    assert nodule.num_images == int((~np.isnan(labels[:, 1])).sum())
    assert hernia == NotFitted(why="the model never learnt the finding")


@pytest.mark.parametrize(
    ("logit", "label", "message"),
    [(np.nan, 1, "1 of 40 logits of Mass are NaN"), (np.inf, 1, "infinite"), (0, 2, "neither 1, 0 nor NaN")],
)
def test_values_that_make_no_sense_are_refused(logit: float, label: float, message: str) -> None:
    logits, labels = np.zeros((40, 1)), np.zeros((40, 1), np.float32)
    logits[7], labels[7] = logit, label
    with pytest.raises(ManifestError, match=message):
        LabelledLogits(("Mass",), tuple(map(str, range(40))), logits, labels)


def test_no_images_and_wrong_shapes_are_refused() -> None:
    with pytest.raises(EmptyCohortError, match="zero images"):
        LabelledLogits(("Mass",), (), np.zeros((0, 1)), np.zeros((0, 1), np.float32))
    with pytest.raises(ManifestError, match=r"logits are \(2, 2\)"):
        LabelledLogits(("Mass",), ("a", "b"), np.zeros((2, 2)), np.zeros((2, 1), np.float32))
