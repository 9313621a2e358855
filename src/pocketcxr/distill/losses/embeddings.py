"""Losses on label-wise embeddings: what the features say where the net looks for one finding."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from pocketcxr.distill.distances import relative_distances


def label_embeddings(
    class_maps: Float[Tensor, "b finding h w"], features: Float[Tensor, "b channel h2 w2"]
) -> Float[Tensor, "b finding channel"]:
    """One vector an (image, finding): the features averaged with softmax(class map) over the cells as weights.

    Both are averaged onto the coarser of their grids first. No parameters, whereas L2D's embeddings are the output
    tokens of an ML-Decoder head with one query a label. Where a class map is NaN, so is its embedding.
    """
    grid = (min(class_maps.shape[2], features.shape[2]), min(class_maps.shape[3], features.shape[3]))
    weights = torch.softmax(_pool(class_maps, grid).flatten(2), dim=2)
    return torch.einsum("bfp,bcp->bfc", weights, _pool(features, grid).flatten(2))


def class_aware(
    student: Float[Tensor, "b finding channel"],
    teacher: Float[Tensor, "b finding channel2"],
    is_present: Bool[Tensor, "b finding"],
) -> Float[Tensor, ""]:
    """How differently the two nets arrange the images that have a finding, mean over the findings.

    L_CD of L2D (Yang et al., ICCV 2023, arXiv 2308.06453): for each finding, Huber loss between the relative distances
    of its positives' embeddings. L2D divides a finding's sum by its number of positives and adds the findings up; here
    both are means. Findings with less than three positives are left out, because the relative distance of two is always
    1; with none left the loss is zero.
    """
    return _arrangement(student.transpose(0, 1), teacher.transpose(0, 1), is_present.T)


def instance_aware(
    student: Float[Tensor, "b finding channel"],
    teacher: Float[Tensor, "b finding channel2"],
    is_present: Bool[Tensor, "b finding"],
) -> Float[Tensor, ""]:
    """How differently the two nets arrange the findings that an image has, mean over the images.

    L_ID of L2D (as `class_aware`, with images and findings changed over). Images with less than three positives are
    left out; with none left the loss is zero.
    """
    return _arrangement(student, teacher, is_present)


def _arrangement(
    student: Float[Tensor, "group one channel"],
    teacher: Float[Tensor, "group one channel2"],
    is_member: Bool[Tensor, "group one"],
) -> Float[Tensor, ""]:
    """Mean over the groups that have three members or more."""
    pairs = [(student[row, ones], teacher[row, ones]) for row, ones in enumerate(is_member) if ones.sum() > 2]
    losses = [functional.smooth_l1_loss(relative_distances(s), relative_distances(t)) for s, t in pairs]
    # The sum of nothing, taken of the student: a zero that has a graph.
    return torch.stack(losses).mean() if losses else student[:, :0].sum()


def _pool(maps: Float[Tensor, "b channel h w"], grid: tuple[int, int]) -> Float[Tensor, "b channel h2 w2"]:
    return maps if maps.shape[2:] == grid else functional.adaptive_avg_pool2d(maps, grid)
