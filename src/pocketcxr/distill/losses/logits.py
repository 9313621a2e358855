"""Losses on logits. Every one is a mean over the known entries; unknown (NaN) ones are left out before the loss.

Left out before, not masked after: 0 * NaN is NaN, in the backward pass too. Without any known entry a loss is zero and
still has a graph.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def bce(
    logits: Float[Tensor, "b finding"],
    labels: Float[Tensor, "b finding"],
    positive_weights: Float[Tensor, " finding"] | None = None,
) -> Float[Tensor, ""]:
    """Binary cross-entropy -w y log p - (1 - y) log(1 - p), mean over the known labels."""
    return focal_bce(logits, labels, gamma=0.0, positive_weights=positive_weights)


def focal_bce(
    logits: Float[Tensor, "b finding"],
    labels: Float[Tensor, "b finding"],
    gamma: float,
    positive_weights: Float[Tensor, " finding"] | None = None,
) -> Float[Tensor, ""]:
    """Focal binary cross-entropy -w (1 - p)^gamma y log p - p^gamma (1 - y) log(1 - p), mean over the known labels.

    Lin et al., ICCV 2017 (arXiv 1708.02002), in the form of the paper. Powers and logarithms are taken of
    log-sigmoids, so nothing overflows or turns NaN for any finite logit.
    """
    known = ~labels.isnan()
    label, logit = labels[known], logits[known]
    log_present, log_absent = functional.logsigmoid(logit), functional.logsigmoid(-logit)
    present, absent = -label * log_present, -(1 - label) * log_absent
    if gamma != 0:
        present = present * torch.exp(gamma * log_absent)
        absent = absent * torch.exp(gamma * log_present)
    if positive_weights is not None:
        present = present * positive_weights.expand_as(labels)[known]
    return _mean(present + absent)


def xkd(
    student: Float[Tensor, "b finding"], teacher: Float[Tensor, "b finding"], temperature: float
) -> Float[Tensor, ""]:
    """T^2 * mean squared error between softmax(student / T) and softmax(teacher / T) over the findings.

    The distillation part of XKD (arXiv 2305.06244) as a re-implementation states it. The softmax runs over the
    findings the teacher knows.
    """
    known = ~teacher.isnan()
    is_taught = known.any(dim=1)
    known = known[is_taught]
    soft_student = _softmax_of_known(student[is_taught] / temperature, known)
    soft_teacher = _softmax_of_known(teacher[is_taught] / temperature, known)
    return temperature**2 * _mean((soft_student[known] - soft_teacher[known]).square())


def xkd_sigmoid(
    student: Float[Tensor, "b finding"], teacher: Float[Tensor, "b finding"], temperature: float
) -> Float[Tensor, ""]:
    """T^2 * mean squared error between sigmoid(student / T) and sigmoid(teacher / T): findings are not exclusive."""
    known = ~teacher.isnan()
    difference = torch.sigmoid(student[known] / temperature) - torch.sigmoid(teacher[known] / temperature)
    return temperature**2 * _mean(difference.square())


def mld(student: Float[Tensor, "b finding"], teacher: Float[Tensor, "b finding"]) -> Float[Tensor, ""]:
    """KL(Bernoulli(sigmoid(teacher)) || Bernoulli(sigmoid(student))), mean over the findings the teacher knows.

    The multi-label logits distillation of L2D (Yang et al., ICCV 2023), which sums over the findings: that is this
    mean times their number.
    """
    known = ~teacher.isnan()
    s, t = student[known], teacher[known]
    if_present = torch.sigmoid(t) * (functional.logsigmoid(t) - functional.logsigmoid(s))
    if_absent = torch.sigmoid(-t) * (functional.logsigmoid(-t) - functional.logsigmoid(-s))
    return _mean(if_present + if_absent)


def soft_bce(
    student: Float[Tensor, "b finding"], teacher: Float[Tensor, "b finding"], temperature: float
) -> Float[Tensor, ""]:
    """T^2 * binary cross-entropy of sigmoid(student / T) against sigmoid(teacher / T), mean over known ones."""
    known = ~teacher.isnan()
    s, t = student[known] / temperature, teacher[known] / temperature
    return temperature**2 * _mean(
        -torch.sigmoid(t) * functional.logsigmoid(s) - torch.sigmoid(-t) * functional.logsigmoid(-s)
    )


def _softmax_of_known(logits: Float[Tensor, "b finding"], known: Tensor) -> Float[Tensor, "b finding"]:
    """Softmax over each row's known entries; the others are 0. A row must have a known entry."""
    return torch.softmax(torch.where(known, logits, -torch.inf), dim=1)


def _mean(values: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """The mean; of nothing, a zero that has a graph."""
    return values.sum() / max(values.numel(), 1)
