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


def attention(student: Float[Tensor, "b channel h w"], teacher: Float[Tensor, "b channel2 h2 w2"]) -> Float[Tensor, ""]:
    """Mean over images and cells of (q / |q| - r / |r|)^2; q, r are the nets' squared features, mean over channels.

    Attention transfer (Zagoruyko & Komodakis, ICLR 2017, arXiv 1612.03928) as in the authors' code; their Eq. (2) has
    the norm instead of its mean square, which has no gradient at equality. Both maps are averaged onto the coarser
    grid. No channel is compared, so no adapter is needed.
    """
    of_student, of_teacher = student.square().mean(dim=1, keepdim=True), teacher.square().mean(dim=1, keepdim=True)
    grid = (min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]))
    ours, theirs = (functional.normalize(_pool(maps, grid).flatten(1)) for maps in (of_student, of_teacher))
    return functional.mse_loss(ours, theirs)


def _pool(features: Float[Tensor, "b channel h w"], grid: tuple[int, int]) -> Float[Tensor, "b channel h2 w2"]:
    return features if features.shape[2:] == grid else functional.adaptive_avg_pool2d(features, grid)
