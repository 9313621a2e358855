"""Losses on inner features."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

_SMALLEST_VARIANCE = 1e-6


def hint(adapted: Float[Tensor, "b channel h w"], teacher: Float[Tensor, "b channel h2 w2"]) -> Float[Tensor, ""]:
    """The share of the teacher's feature variance that the adapted student features leave unexplained.

    Mean squared error (the hint of FitNets, Romero et al., ICLR 2015, arXiv 1412.6550) over the teacher's variance
    (per channel over the batch's images and places, then averaged), so that one weight fits every teacher: 1 is what
    guessing each channel's mean would give, 0 is equality. Both are averaged onto the coarser of their grids first.
    """
    grid = (min(adapted.shape[2], teacher.shape[2]), min(adapted.shape[3], teacher.shape[3]))
    of_student, of_teacher = _pool(adapted, grid), _pool(teacher, grid)
    variance = of_teacher.var(dim=(0, 2, 3), correction=0).mean().clamp(min=_SMALLEST_VARIANCE)
    return (of_student - of_teacher).square().mean() / variance


def _pool(features: Float[Tensor, "b channel h w"], grid: tuple[int, int]) -> Float[Tensor, "b channel h2 w2"]:
    return features if features.shape[2:] == grid else functional.adaptive_avg_pool2d(features, grid)
