"""Losses on logits. Every one is a mean over the known entries; unknown (NaN) ones are left out before the loss.

Left out before, not masked after: 0 * NaN is NaN, in the backward pass too. Without any known entry a loss is zero and
still has a graph.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


class Sides(NamedTuple):
    """Weights of `decoupled`'s two sides."""

    present: float = 1.0
    absent: float = 1.0


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
    return _mean(_divergence(student[known], teacher[known]))


def soft_bce(
    student: Float[Tensor, "b finding"], teacher: Float[Tensor, "b finding"], temperature: float
) -> Float[Tensor, ""]:
    """T^2 * binary cross-entropy of sigmoid(student / T) against sigmoid(teacher / T), mean over known ones."""
    known = ~teacher.isnan()
    s, t = student[known] / temperature, teacher[known] / temperature
    return temperature**2 * _mean(
        -torch.sigmoid(t) * functional.logsigmoid(s) - torch.sigmoid(-t) * functional.logsigmoid(-s)
    )


def decoupled(
    student: Float[Tensor, "b finding"],
    teacher: Float[Tensor, "b finding"],
    presence: Float[Tensor, "b finding"],
    temperature: float,
    sides: Sides,
) -> Float[Tensor, ""]:
    """T^2 (alpha * mean of KL over what is present + beta * mean of KL over what is absent).

    Decoupled distillation (Zhao et al., CVPR 2022, arXiv 2203.08679: DKD = alpha TCKD + beta NCKD) carried over to
    labels that do not exclude each other. There, the softmax divergence splits into the target class against the rest
    and the rest among themselves. Here every finding is a target of its own, KL(Bernoulli(sigmoid(teacher / T)) ||
    Bernoulli(sigmoid(student / T))), and nothing is left among the rest; what is decoupled are the findings an image
    has, few, from those it has not, many. `presence` is the label, or a probability where nobody labelled: an entry
    counts with it on the first side and with 1 - presence on the second. Each side's mean is over at least one whole
    entry, so that a batch in which next to nothing is present cannot be ruled by what little there is.
    """
    known = ~(teacher.isnan() | presence.isnan())
    divergence = _divergence(student[known] / temperature, teacher[known] / temperature)
    present = presence[known]
    return temperature**2 * (
        sides.present * _weighted_mean(divergence, present) + sides.absent * _weighted_mean(divergence, 1 - present)
    )


def partial_softmax(
    student: Float[Tensor, "b finding"], teacher: Float[Tensor, "b finding"], presence: Float[Tensor, "b finding"]
) -> Float[Tensor, ""]:
    """KL(teacher || student) between softmaxes over {one present finding, all absent ones}, mean over the present.

    PS of the L2D repository (Yang et al., ICCV 2023), which divides by the number of images instead: present findings
    do not compete with each other. Present is what has a presence (`decoupled`) over 0.5, absent under 0.5.
    """
    known = ~(teacher.isnan() | presence.isnan())
    image, finding = (known & (presence > 0.5)).nonzero(as_tuple=True)
    own = functional.one_hot(finding, student.shape[1]).bool()
    compared = own | (known & (presence < 0.5))[image]
    log_student = torch.log_softmax(torch.where(compared, student[image], -torch.inf), dim=1)[compared]
    log_teacher = torch.log_softmax(torch.where(compared, teacher[image], -torch.inf), dim=1)[compared]
    return (log_teacher.exp() * (log_teacher - log_student)).sum() / max(len(image), 1)


def _divergence(student: Float[Tensor, " n"], teacher: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """KL(Bernoulli(sigmoid(teacher)) || Bernoulli(sigmoid(student)))."""
    if_present = torch.sigmoid(teacher) * (functional.logsigmoid(teacher) - functional.logsigmoid(student))
    if_absent = torch.sigmoid(-teacher) * (functional.logsigmoid(-teacher) - functional.logsigmoid(-student))
    return if_present + if_absent


def _weighted_mean(values: Float[Tensor, " n"], weights: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """The weighted mean; where the weights come to less than 1, the weighted sum."""
    return (weights * values).sum() / weights.sum().clamp(min=1)


def _softmax_of_known(logits: Float[Tensor, "b finding"], known: Tensor) -> Float[Tensor, "b finding"]:
    """Softmax over each row's known entries; the others are 0. A row must have a known entry."""
    return torch.softmax(torch.where(known, logits, -torch.inf), dim=1)


def _mean(values: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """The mean; of nothing, a zero that has a graph."""
    return values.sum() / max(values.numel(), 1)
