"""Losses on relations: how images stand to each other, or findings to each other, instead of each number for itself.

None needs an adapter, because student and teacher are never compared channel by channel.
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from pocketcxr.distill.distances import relative_distances

_SMALLEST_DEVIATION = 1e-4
"""Length of a row's deviations from its mean, in probability, up to which the row counts as constant."""
_SAME_POINT = 1e-6
"""Distance of two points, in root-mean-square lengths of a point, up to which they count as one."""
_TINY = 1e-12


class CorrelationShape(NamedTuple):
    """What is correlated, and how the two directions are weighed."""

    over: Literal["sigmoid", "softmax"] = "sigmoid"
    temperature: float = 1.0
    within_image: float = 1.0
    """Weight of the correlation over findings: DIST's inter-class relation, beta."""
    within_finding: float = 1.0
    """Weight of the correlation over the batch: DIST's intra-class relation, gamma."""


def correlation(
    student: Float[Tensor, "b finding"], teacher: Float[Tensor, "b finding"], shape: CorrelationShape
) -> Float[Tensor, ""]:
    """T^2 (beta * mean over images of 1 - rho + gamma * mean over findings of 1 - rho); rho is Pearson's correlation.

    DIST (Huang et al., NeurIPS 2022, arXiv 2205.10536): L_inter and L_intra over softmax(z / T); over 'sigmoid', our
    default, findings do not compete. rho runs over the entries that the teacher knows; an image or finding with less
    than two of them, or of which the teacher says the same everywhere, has no correlation and is left out of the mean.
    """
    known = ~teacher.isnan()
    of_student = _probabilities(student, known, shape)
    of_teacher = _probabilities(teacher, known, shape)
    within_image = _decorrelation(of_student, of_teacher, known)
    within_finding = _decorrelation(of_student.T, of_teacher.T, known.T)
    return shape.temperature**2 * (shape.within_image * within_image + shape.within_finding * within_finding)


def rkd_distance(student: Float[Tensor, "b channel"], teacher: Float[Tensor, "b channel2"]) -> Float[Tensor, ""]:
    """Huber loss between the two nets' relative distances of all pairs of images, mean over the b x b matrix.

    L_RKD-D of Park et al., CVPR 2019 (arXiv 1904.05068), averaged as in the authors' code: the zero diagonal counts.
    """
    return functional.smooth_l1_loss(relative_distances(student), relative_distances(teacher))


def rkd_angle(student: Float[Tensor, "b channel"], teacher: Float[Tensor, "b channel2"]) -> Float[Tensor, ""]:
    """Huber loss between the cosines of the angles in all triples of images, mean over the b x b x b array.

    L_RKD-A of Park et al., CVPR 2019 (arXiv 1904.05068), averaged as in the authors' code. Takes memory for
    b^2 * channel + b^3 numbers.
    """
    return functional.smooth_l1_loss(_cosines(student), _cosines(teacher))


def similarity(
    student: Float[Tensor, "b channel h w"], teacher: Float[Tensor, "b channel2 h2 w2"]
) -> Float[Tensor, ""]:
    """|G_student - G_teacher|_F^2 / b^2, where G are the b x b products of flattened features, each row of length 1.

    Similarity-preserving distillation, L_SP of Tung & Mori, ICCV 2019 (arXiv 1907.09682).
    """
    return (_similarities(student) - _similarities(teacher)).square().mean()


def _probabilities(
    logits: Float[Tensor, "b finding"], known: Bool[Tensor, "b finding"], shape: CorrelationShape
) -> Float[Tensor, "b finding"]:
    """Over the known entries; what stands elsewhere is not looked at."""
    tempered = logits / shape.temperature
    if shape.over == "sigmoid":
        return torch.sigmoid(tempered)
    # The lowest number, not minus infinity: an image of which nothing is known must not turn NaN.
    return torch.softmax(torch.where(known, tempered, torch.finfo(tempered.dtype).min), dim=1)


def _decorrelation(
    student: Float[Tensor, "row entry"], teacher: Float[Tensor, "row entry"], known: Bool[Tensor, "row entry"]
) -> Float[Tensor, ""]:
    """Mean of 1 - rho over the rows that have a correlation to teach."""
    of_student, of_teacher = _deviations(student, known), _deviations(teacher, known)
    is_taught = of_teacher.square().sum(dim=1) > _SMALLEST_DEVIATION**2
    # For unit vectors 1 - rho is half the squared distance; this form is zero, with zero gradient, at equality.
    apart = (_unit(of_student[is_taught]) - _unit(of_teacher[is_taught])).square().sum(dim=1) / 2
    return apart.sum() / max(apart.numel(), 1)


def _deviations(values: Float[Tensor, "row entry"], known: Bool[Tensor, "row entry"]) -> Float[Tensor, "row entry"]:
    """Each known entry minus the mean of its row's known ones; zero elsewhere."""
    sums = torch.where(known, values, 0.0).sum(dim=1, keepdim=True)
    return torch.where(known, values - sums / known.sum(dim=1, keepdim=True).clamp(min=1), 0.0)


def _unit(rows: Float[Tensor, "row entry"]) -> Float[Tensor, "row entry"]:
    """Each row with length 1 (less for a nearly constant one, whose gradient is thereby bounded)."""
    return rows * torch.rsqrt(rows.square().sum(dim=1, keepdim=True) + (0.1 * _SMALLEST_DEVIATION) ** 2)


def _cosines(points: Float[Tensor, "b channel"]) -> Float[Tensor, "b b b"]:
    """[i, j, k] is the cosine of the angle at point i between j and k; 0 where two of them are one."""
    scaled = points / points.detach().square().sum(dim=1).mean().sqrt().clamp(min=_TINY)
    sides = scaled[None] - scaled[:, None]
    # Of equal points the norm's gradient is zero, and dividing by 1 instead of 0 keeps it so.
    lengths = torch.linalg.vector_norm(sides, dim=2, keepdim=True)
    directions = sides / torch.where(lengths > _SAME_POINT, lengths, 1.0)
    return torch.bmm(directions, directions.transpose(1, 2))


def _similarities(features: Float[Tensor, "b channel h w"]) -> Float[Tensor, "b b"]:
    flat = features.flatten(1)
    # Rows are scaled to length 1 anyway: scaling first only keeps squares of squares within float32.
    flat = flat / flat.detach().square().mean().sqrt().clamp(min=_TINY)
    products = flat @ flat.T
    return products * torch.rsqrt(products.square().sum(dim=1, keepdim=True) + _TINY)
