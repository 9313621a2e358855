"""Losses on logits: published formulas, exact zeros, no NaN whatever is unknown."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pocketcxr.distill.losses.logits import (
    Sides,
    bce,
    decoupled,
    focal_bce,
    mld,
    partial_softmax,
    soft_bce,
    xkd,
    xkd_sigmoid,
)

Loss = Callable[[Tensor, Tensor], Tensor]
Array = NDArray[np.float32]

PRESENCE = torch.tensor([1.0, 0.0, 0.2]).expand(4, 3)
FROM_TEACHER: dict[str, Loss] = {
    "xkd": lambda s, t: xkd(s, t, 2.0),
    "xkd-sigmoid": lambda s, t: xkd_sigmoid(s, t, 2.0),
    "mld": mld,
    "soft-bce": lambda s, t: soft_bce(s, t, 3.0),
    "decoupled": lambda s, t: decoupled(s, t, PRESENCE, 2.0, Sides(1.0, 0.5)),
    "partial-softmax": lambda s, t: partial_softmax(s, t, PRESENCE),
}
FROM_LABELS: dict[str, Loss] = {
    "bce": bce,
    "focal-bce": lambda s, y: focal_bce(s, y, 2.0),
    "balanced": lambda s, y: focal_bce(s, y, 2.0, torch.tensor([0.1, 1.0, 20.0])),
}
logit_arrays = hnp.arrays(np.float32, (4, 3), elements=st.floats(-50, 50, width=32))
label_arrays = hnp.arrays(np.float32, (4, 3), elements=st.sampled_from([0.0, 1.0, float("nan")]))
known_arrays = hnp.arrays(np.bool_, (4, 3))


def _graded(loss: Loss, student: Array, other: Array) -> tuple[Tensor, Tensor]:
    """The loss and its gradient with respect to the student."""
    leaf = torch.from_numpy(student.copy()).requires_grad_()
    value = loss(leaf, torch.from_numpy(other))
    value.backward()
    assert leaf.grad is not None
    return value.detach(), leaf.grad


@pytest.mark.parametrize("name", FROM_TEACHER)
@settings(deadline=None, max_examples=40)
@given(student=logit_arrays, teacher=logit_arrays, known=known_arrays)
def test_any_logits_give_a_finite_loss_and_unknown_ones_no_gradient(
    name: str, student: Array, teacher: Array, known: NDArray[np.bool_]
) -> None:
    value, gradient = _graded(FROM_TEACHER[name], student, np.where(known, teacher, np.float32(np.nan)))
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert (gradient[~torch.from_numpy(known)] == 0).all()
    assert value >= -1e-6


@pytest.mark.parametrize("name", FROM_LABELS)
@settings(deadline=None, max_examples=40)
@given(student=logit_arrays, labels=label_arrays)
def test_any_labels_give_a_finite_loss_and_unknown_ones_no_gradient(name: str, student: Array, labels: Array) -> None:
    value, gradient = _graded(FROM_LABELS[name], student, labels)
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert (gradient[torch.from_numpy(labels).isnan()] == 0).all()
    assert value >= 0


@pytest.mark.parametrize("loss", [*FROM_TEACHER.values(), *FROM_LABELS.values()])
def test_nothing_known_is_a_zero_that_can_be_differentiated(loss: Loss) -> None:
    value, gradient = _graded(loss, np.full((4, 3), 7, np.float32), np.full((4, 3), np.nan, np.float32))
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("name", FROM_TEACHER)
@settings(deadline=None, max_examples=40)
@given(logits=logit_arrays)
def test_a_student_like_its_teacher_has_zero_gradient(name: str, logits: Array) -> None:
    value, gradient = _graded(FROM_TEACHER[name], logits, logits)
    assert gradient.abs().max() < 1e-6
    if name != "soft-bce":  # whose smallest value is the teacher's own entropy
        assert value.abs() < 1e-6


@pytest.mark.parametrize("name", FROM_TEACHER)
@settings(deadline=None, max_examples=20)
@given(student=logit_arrays, teacher=logit_arrays, order=st.permutations(range(4)))
def test_the_order_of_the_batch_does_not_matter(name: str, student: Array, teacher: Array, order: list[int]) -> None:
    value, gradient = _graded(FROM_TEACHER[name], student, teacher)
    shuffled, shuffled_gradient = _graded(FROM_TEACHER[name], student[order], teacher[order])
    torch.testing.assert_close(shuffled, value, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(shuffled_gradient, gradient[order], rtol=1e-5, atol=1e-7)


@settings(deadline=None, max_examples=40)
@given(student=logit_arrays, labels=label_arrays)
def test_bce_and_focal_bce_at_gamma_0_are_torchs(student: Array, labels: Array) -> None:
    logits, truth = torch.from_numpy(student), torch.from_numpy(labels)
    known = ~truth.isnan()
    weights = torch.tensor([0.5, 1.0, 7.0])
    if known.any():
        expected = functional.binary_cross_entropy_with_logits(logits[known], truth[known])
        of_each = weights.expand_as(logits)[known]
        balanced = functional.binary_cross_entropy_with_logits(logits[known], truth[known], pos_weight=of_each)
        torch.testing.assert_close(bce(logits, truth), expected)
        torch.testing.assert_close(focal_bce(logits, truth, 0.0), expected)
        torch.testing.assert_close(bce(logits, truth, weights), balanced)


def test_focal_bce_is_the_papers_formula() -> None:
    logits, labels = torch.tensor([[0.3, -1.2, 2.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    p, gamma = torch.sigmoid(logits), 2.0
    formula = -((1 - p) ** gamma) * labels * p.log() - p**gamma * (1 - labels) * (1 - p).log()
    torch.testing.assert_close(focal_bce(logits, labels, gamma), formula.mean())


def test_xkd_equals_numbers_worked_out_by_hand() -> None:
    """softmax((ln 4, 0)) = (0.8, 0.2) and softmax((0, 0)) = (0.5, 0.5): 2^2 * mean(0.3^2, 0.3^2) = 0.36."""
    student = torch.tensor([[2 * np.log(4), 0.0]], dtype=torch.float32)
    torch.testing.assert_close(xkd(student, torch.zeros(1, 2), 2.0), torch.tensor(0.36))


def test_xkd_sigmoid_equals_numbers_worked_out_by_hand() -> None:
    """sigmoid(ln 4) = 0.8 and sigmoid(0) = 0.5: 2^2 * mean(0.3^2, 0) = 0.18."""
    student = torch.tensor([[2 * np.log(4), 0.0]], dtype=torch.float32)
    torch.testing.assert_close(xkd_sigmoid(student, torch.zeros(1, 2), 2.0), torch.tensor(0.18))


def test_xkd_compares_softmax_outputs_over_the_known_findings_only() -> None:
    student, teacher = torch.tensor([[1.0, 9.0, -1.0]]), torch.tensor([[0.5, float("nan"), 2.0]])
    known = [0, 2]
    torch.testing.assert_close(xkd(student, teacher, 2.0), xkd(student[:, known], teacher[:, known], 2.0))


def test_mld_is_torchs_bernoulli_divergence() -> None:
    student, teacher = torch.tensor([[0.3, -4.0, 2.0]]), torch.tensor([[1.0, 0.5, 2.5]])
    expected = torch.distributions.kl_divergence(
        torch.distributions.Bernoulli(logits=teacher), torch.distributions.Bernoulli(logits=student)
    )
    torch.testing.assert_close(mld(student, teacher), expected.mean())


def test_soft_bce_at_certain_probabilities_is_bce() -> None:
    student, labels = torch.tensor([[0.3, -4.0, 2.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    torch.testing.assert_close(soft_bce(student, (labels * 2 - 1) * 80, 1.0), bce(student, labels))


def test_decoupled_averages_present_and_absent_findings_apart() -> None:
    student, teacher = torch.tensor([[0.3, -4.0, 2.0, 1.0]]), torch.tensor([[1.0, 0.5, 2.5, -1.0]])
    presence = torch.tensor([[1.0, 0.0, 0.0, torch.nan]])
    expected = 2 * mld(student[:, :1], teacher[:, :1]) + 0.5 * mld(student[:, 1:3], teacher[:, 1:3])
    torch.testing.assert_close(decoupled(student, teacher, presence, 1.0, Sides(2.0, 0.5)), expected)
    warm = decoupled(student, teacher, presence, 2.0, Sides(2.0, 0.5))
    torch.testing.assert_close(warm, 4 * decoupled(student / 2, teacher / 2, presence, 1.0, Sides(2.0, 0.5)))


def test_decoupled_counts_an_uncertain_finding_on_both_sides() -> None:
    student, teacher = torch.zeros(1, 4), torch.tensor([[2.0, -1.0, 0.5, 3.0]])
    presence = torch.tensor([[0.8, 0.7, 0.4, 0.9]])
    each = torch.stack([mld(student[:, i : i + 1], teacher[:, i : i + 1]) for i in range(4)])
    expected = (presence[0] @ each) / presence.sum() + ((1 - presence[0]) @ each) / (1 - presence).sum()
    torch.testing.assert_close(decoupled(student, teacher, presence, 1.0, Sides()), expected)


def test_what_is_hardly_present_does_not_rule_decoupled() -> None:
    student, teacher, hardly = torch.zeros(1, 2), torch.tensor([[2.0, -1.0]]), torch.full((1, 2), 1e-3)
    assert decoupled(student, teacher, hardly, 1.0, Sides(absent=0.0)) < 2e-3


def test_partial_softmax_is_l2ds_formula() -> None:
    """Each present finding against all absent ones, with torch's KL divergence."""
    student, teacher = torch.tensor([[0.3, -4.0, 2.0, 1.0]]), torch.tensor([[1.0, 0.5, 2.5, -1.0]])
    presence = torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    expected = []
    for present in (0, 2):
        compared = [present, 1, 3]
        log_student, log_teacher = (torch.log_softmax(logits[0, compared], dim=0) for logits in (student, teacher))
        expected.append(functional.kl_div(log_student, log_teacher, log_target=True, reduction="sum"))
    torch.testing.assert_close(partial_softmax(student, teacher, presence), torch.stack(expected).mean())


def test_partial_softmax_needs_a_present_and_an_absent_finding() -> None:
    student, teacher = torch.tensor([[0.3, -4.0]]), torch.tensor([[1.0, 0.5]])
    for presence in ([[1.0, 1.0]], [[0.0, 0.0]], [[0.5, 0.5]], [[1.0, float("nan")]]):
        assert partial_softmax(student, teacher, torch.tensor(presence)) == 0
