"""The areas against scikit-learn, ties and weights included, and the laws any ranking measure keeps."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from pocketcxr.evaluate.curves import areas, by_score, roc_points
from pocketcxr.evaluate.ranking import auroc, average_precision, mean_auroc

LAW = settings(deadline=None, max_examples=80)


@st.composite
def labelled_scores(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Labels of both classes and scores with many ties."""
    num_images = draw(st.integers(2, 40))
    labels = draw(hnp.arrays(np.float64, num_images, elements=st.sampled_from([0.0, 1.0])))
    assume(0 < labels.sum() < num_images)
    scores = draw(hnp.arrays(np.float64, num_images, elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 1.0])))
    return labels, scores


@LAW
@given(labelled_scores(), st.randoms(use_true_random=False))
def test_every_weighting_gives_the_areas_of_scikit_learn(data, random) -> None:
    labels, scores = data
    weights = np.array([[random.randint(0, 3) for _ in labels] for _ in range(3)], dtype=float)
    weights[0] = [random.random() + 0.1 for _ in labels]
    ranked = by_score(labels, scores)
    assert ranked is not None
    found = areas(ranked, weights)
    for row, weight in enumerate(weights):
        if weight[labels == 1].sum() == 0 or weight[labels == 0].sum() == 0:
            assert np.isnan(found.auroc[row])
            assert np.isnan(found.auprc[row])
            continue
        assert found.auroc[row] == pytest.approx(roc_auc_score(labels, scores, sample_weight=weight), abs=1e-9)
        expected = average_precision_score(labels, scores, sample_weight=weight)
        assert found.auprc[row] == pytest.approx(expected, abs=1e-9)


@LAW
@given(labelled_scores())
def test_the_areas_do_not_change_under_a_monotone_map(data) -> None:
    labels, scores = data
    logits = 3 * scores**3 - 7
    assert auroc(labels, logits) == auroc(labels, scores)
    assert average_precision(labels, logits) == average_precision(labels, scores)


@LAW
@given(labelled_scores())
def test_auroc_is_mirrored_by_negating_the_scores_or_the_labels(data) -> None:
    labels, scores = data
    value = auroc(labels, scores)
    assert value is not None
    assert auroc(labels, -scores) == pytest.approx(1 - value)
    assert auroc(1 - labels, scores) == pytest.approx(1 - value)


@LAW
@given(labelled_scores(), st.integers(0, 5))
def test_images_with_an_unknown_label_change_nothing(data, num_unknown: int) -> None:
    labels, scores = data
    more_labels = np.append(labels, np.full(num_unknown, np.nan))
    more_scores = np.append(scores, np.linspace(0, 1, num_unknown))
    assert auroc(more_labels, more_scores) == auroc(labels, scores)
    assert average_precision(more_labels, more_scores) == average_precision(labels, scores)


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], [1, np.nan, np.nan], [np.nan] * 3])
def test_without_both_classes_there_is_no_area(labels: list[float]) -> None:
    scores = np.array([0.1, 0.2, 0.3])
    assert auroc(np.array(labels, dtype=float), scores) is None
    assert average_precision(np.array(labels, dtype=float), scores) is None
    assert roc_points(np.array(labels, dtype=float), scores) is None


def test_a_finding_never_learnt_has_no_area_and_leaves_the_mean_alone() -> None:
    labels = np.array([[0, 0], [1, 1], [0, 1]], dtype=np.float32)
    scores = np.array([[0.1, np.nan], [0.9, np.nan], [0.2, np.nan]], dtype=np.float32)
    assert auroc(labels[:, 1], scores[:, 1]) is None
    assert mean_auroc(labels, scores) == 1.0
    assert mean_auroc(labels[:, 1:], scores[:, 1:]) is None


@LAW
@given(labelled_scores())
def test_the_roc_curve_is_scikit_learns_and_encloses_the_auroc(data) -> None:
    labels, scores = data
    points = roc_points(labels, scores)
    assert points is not None
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(points, np.stack([false, true], axis=1))
    assert np.trapezoid(points[:, 1], points[:, 0]) == pytest.approx(auroc(labels, scores))
