"""Distances between the points of one batch, as relation losses compare them."""

import torch
from jaxtyping import Float
from torch import Tensor

_SMALLEST_SPREAD = 1e-2
"""Of the mean distance, in root-mean-square lengths of a point: below it points count as one, so that the differences
of a net which tells nothing apart are not blown up to a scale of 1."""


def relative_distances(points: Float[Tensor, "n channel"]) -> Float[Tensor, "n n"]:
    """Euclidean distances divided by the mean of those that are not zero: RKD's psi_D, L2D's phi.

    Zero, with zero gradient, between equal points; one point alone has the matrix [[0]]. For points whose mean
    distance is under a hundredth of their length, that hundredth divides instead.
    """
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    mean = distances.sum() / (distances > 0).sum().clamp(min=1)
    length = points.detach().square().sum(dim=1).mean().sqrt()
    return distances / mean.clamp(min=1e-12).maximum(_SMALLEST_SPREAD * length)
