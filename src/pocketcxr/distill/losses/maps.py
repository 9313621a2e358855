"""Losses on class maps: the student is taught where each finding's evidence lies, not only how much there is."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

_SOFT_ZERO = 1e-3
"""Added (squared) under the root of a map's norm, in logit units: a blank map then has a bounded gradient."""


class MapShape(NamedTuple):
    """How maps are compared: the form of the distance, the side they are pooled to, whether their mean is removed."""

    form: Literal["cat-kd", "cosine"] = "cat-kd"
    grid: int | None = None
    is_centred: bool = False


def class_map_distance(
    student: Float[Tensor, "b finding h w"], teacher: Float[Tensor, "b finding h2 w2"], shape: MapShape
) -> Float[Tensor, ""]:
    """How different the maps' shapes are, mean over the (image, finding) pairs whose teacher map is known.

    'cat-kd' is the mean squared error between L2-normalised maps on a common grid (Guo et al., CVPR 2023); 'cosine' is
    1 - their cosine, the explanation term of e2KD (Parchami-Araghi et al., ECCV 2024). Zero for equal shapes. Maps
    with a NaN are unknown and left out before the loss.
    """
    known = ~teacher.flatten(2).isnan().any(dim=2)
    grid = shape.grid or min(*student.shape[2:], *teacher.shape[2:])
    of_student = _unit(_pool(student[known], grid), shape.is_centred)
    of_teacher = _unit(_pool(teacher[known], grid), shape.is_centred)
    squared = (of_student - of_teacher).square()
    # For unit vectors 1 - cosine is half the squared distance; this form is zero, with zero gradient, at equality.
    distances = squared.mean(dim=1) if shape.form == "cat-kd" else squared.sum(dim=1) / 2
    return distances.sum() / max(distances.numel(), 1)


def _pool(maps: Float[Tensor, "n h w"], grid: int) -> Float[Tensor, "n cell"]:
    """Each map averaged onto grid x grid cells."""
    if maps.shape[1:] == (grid, grid):
        return maps.flatten(1)
    return functional.adaptive_avg_pool2d(maps[:, None], grid).flatten(1)


def _unit(maps: Float[Tensor, "n cell"], is_centred: bool) -> Float[Tensor, "n cell"]:
    """Each map with L2 norm 1 (less for a nearly blank one)."""
    values = maps - maps.mean(dim=1, keepdim=True) if is_centred else maps
    return values * torch.rsqrt(values.square().sum(dim=1, keepdim=True) + _SOFT_ZERO**2)
