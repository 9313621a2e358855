"""Relations are what the papers say, and do not depend on what they should not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from torch import Tensor

from pocketcxr.distill.distances import relative_distances
from pocketcxr.distill.losses.relations import CorrelationShape, correlation, rkd_angle, rkd_distance, similarity

logit_arrays = hnp.arrays(np.float32, (5, 3), elements=st.floats(-8, 8, width=32))
known_arrays = hnp.arrays(np.bool_, (5, 3))


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_relative_distances_are_distances_over_their_mean() -> None:
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 10.0]])
    mean = (5 + 10 + 45**0.5) / 3
    expected = torch.tensor([[0.0, 5.0, 10.0], [5.0, 0.0, 45**0.5], [10.0, 45**0.5, 0.0]]) / mean
    torch.testing.assert_close(relative_distances(points), expected)


def test_points_that_are_nearly_one_are_not_blown_apart() -> None:
    points = 1 + 1e-6 * _random(5, 3)
    assert relative_distances(points).max() < 1e-3


@settings(deadline=None, max_examples=40)
@given(student=logit_arrays, teacher=logit_arrays, known=known_arrays)
def test_correlation_is_numpys_over_the_known_entries(
    student: NDArray[np.float32], teacher: NDArray[np.float32], known: NDArray[np.bool_]
) -> None:
    p, q = (1 / (1 + np.exp(-logits.astype(np.float64))) for logits in (student, teacher))
    expected = 0.0
    for of_student, of_teacher, is_known in ((p, q, known), (p.T, q.T, known.T)):
        apart = [
            1 - np.corrcoef(s[k], t[k])[0, 1]
            for s, t, k in zip(of_student, of_teacher, is_known, strict=True)
            if k.sum() > 1 and t[k].std() > 3e-4 and s[k].std() > 1e-3
        ]
        skipped = [
            k.sum() > 1 and (t[k].std() <= 3e-4 or s[k].std() <= 1e-3)
            for s, t, k in zip(of_student, of_teacher, is_known, strict=True)
        ]
        if any(skipped):
            return
        expected += float(np.mean(apart)) if apart else 0.0
    masked = torch.from_numpy(np.where(known, teacher, np.float32(np.nan)))
    value = float(correlation(torch.from_numpy(student), masked, CorrelationShape()))
    assert value == pytest.approx(expected, abs=2e-3)


def test_a_correlation_does_not_see_level_and_slope_of_the_probabilities() -> None:
    """What the student says of a finding may be half of the teacher's probability plus a tenth."""
    probabilities = 0.1 + 0.8 * torch.rand(6, 3, generator=torch.Generator().manual_seed(0))
    student = torch.logit(0.5 * probabilities + 0.1)
    assert correlation(student, torch.logit(probabilities), CorrelationShape()) < 1e-6


def test_an_image_with_one_known_finding_has_no_correlation() -> None:
    teacher = torch.tensor([[1.0, torch.nan, torch.nan]])
    assert correlation(torch.tensor([[0.3, 5.0, -5.0]]), teacher, CorrelationShape()) == 0


@pytest.mark.parametrize("loss", [rkd_distance, rkd_angle])
def test_relations_of_moved_turned_and_scaled_points_are_the_same(loss: object) -> None:
    points = _random(6, 4)
    turn, _ = torch.linalg.qr(_random(4, 4, seed=1))
    assert callable(loss)
    assert loss(points, 7 * points @ turn + 3) < 1e-9
    assert loss(points, _random(6, 4, seed=2)) > 1e-2


def test_an_angle_worked_out_by_hand() -> None:
    """A right angle with equal legs against three points on a line: at the corner 0 and -1, at the others r and 1."""
    corner, line = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0], [1.0], [-1.0]])
    r = 0.5**0.5
    # Ordered pairs j, k at each of three points; equal j and k have cosine 1 in both nets.
    expected = 2 * (0.5 * 1**2 + 2 * 0.5 * (1 - r) ** 2) / 27
    torch.testing.assert_close(rkd_angle(corner, line), torch.tensor(expected))


def test_equal_points_have_no_angle() -> None:
    points = torch.tensor([[1.0, 2.0], [1.0, 2.0], [3.0, 1.0]], requires_grad=True)
    loss = rkd_angle(points, _random(3, 2))
    loss.backward()
    assert points.grad is not None
    assert points.grad.isfinite().all()
    assert points.grad.abs().max() < 10


def test_similarity_is_the_papers_formula() -> None:
    student, teacher = _random(5, 3, 4, 4), _random(5, 2, 2, 2, seed=1)
    grams = []
    for features in (student, teacher):
        flat = features.reshape(5, -1)
        gram = flat @ flat.T
        grams.append(gram / gram.norm(dim=1, keepdim=True))
    torch.testing.assert_close(similarity(student, teacher), (grams[0] - grams[1]).norm() ** 2 / 25)


def test_similarity_does_not_depend_on_the_scale() -> None:
    student, teacher = _random(5, 3, 4, 4), _random(5, 2, 2, 2, seed=1)
    torch.testing.assert_close(similarity(1e-5 * student, 1e5 * teacher), similarity(student, teacher))
