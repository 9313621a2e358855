"""Several teachers as one: the mean of their probabilities, weighted by finding, and of their class maps."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pocketcxr.distill.teacher import TeacherSource
from pocketcxr.models.outputs import ModelOutput


def equal_weights(members: Sequence[Sequence[str]], findings: Sequence[str]) -> NDArray[np.float64]:
    """Weights [member, finding]: equal among those who know the finding, 0 for the others and where nobody does.

    `members` are the findings each member knows.
    """
    knows = np.array([[finding in known for finding in findings] for known in members], dtype=np.float64)
    return _shares(knows)


def validated_weights(
    aurocs: NDArray[np.float64], members: Sequence[Sequence[str]], findings: Sequence[str]
) -> NDArray[np.float64]:
    """Weights [member, finding] in proportion to max(AUROC - 0.5, 0), what a member ranks better than chance.

    `aurocs` [member, finding] are NaN where validation images could not tell: there all who know the finding count
    alike. Where nobody is better than chance all weights are 0, and the ensemble says nothing of the finding.
    """
    knows = np.array([[finding in known for finding in findings] for known in members])
    gains = np.where(knows, np.clip(np.nan_to_num(aurocs) - 0.5, 0, None), 0.0)
    is_measured = (~np.isnan(aurocs) & knows).any(axis=0)
    return np.where(is_measured, _shares(gains), equal_weights(members, findings))


def combine(answers: Sequence[ModelOutput], weights: Float[Tensor, "member finding"]) -> ModelOutput:
    """One answer of the members' answers on the same findings; weights of a finding need not sum to 1.

    The logit is that of the weighted mean of the probabilities. Class maps are averaged with the same weights, in
    logit units, on the finest grid among the members'. A member's NaN takes no part; where no member with a weight
    above 0 knows a finding the answer is NaN. There are no features.
    """
    logits = torch.stack([answer.logits.float() for answer in answers])
    shares = weights.to(logits)[:, None] * ~logits.isnan()
    total = shares.sum(0)
    shares = shares / torch.where(total > 0, total, torch.nan)
    known = torch.where(shares > 0, logits, 0)
    # log of sum(w p) and of sum(w (1 - p)): their difference is the logit of the mean without leaving the logarithm.
    log_shares = shares.log()
    present = torch.logsumexp(log_shares + functional.logsigmoid(known), dim=0)
    absent = torch.logsumexp(log_shares + functional.logsigmoid(-known), dim=0)
    features = logits.new_zeros(logits.shape[1], 0, 1, 1)
    return ModelOutput(present - absent, _mean_maps([answer.class_maps for answer in answers], shares), features)


def ensemble(sources: Sequence[TeacherSource], weights: NDArray[np.float64]) -> TeacherSource:
    """All sources asked, each live or from its cache, and combined with `weights` [member, finding]."""
    shares = torch.from_numpy(weights).float()

    def ask(pixels: Tensor, indices: Tensor, view: int) -> ModelOutput:
        return combine([source(pixels, indices, view) for source in sources], shares)

    return ask


def _shares(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every finding's weights divided by their sum; 0 where the sum is."""
    total = weights.sum(axis=0, keepdims=True)
    shares: NDArray[np.float64] = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return shares


def _mean_maps(maps: Sequence[Tensor], shares: Float[Tensor, "member b finding"]) -> Float[Tensor, "b finding h w"]:
    """The weighted mean on the finest grid; no channels where a member's maps were not kept."""
    if any(one.shape[1] == 0 for one in maps):
        return shares.new_zeros(shares.shape[1], 0, 1, 1)
    grid = (max(one.shape[2] for one in maps), max(one.shape[3] for one in maps))
    mean = shares.new_zeros(*shares.shape[1:], *grid)
    for one, share in zip(maps, shares, strict=True):
        placed = functional.interpolate(one.float(), size=grid, mode="bilinear", align_corners=False)
        weight = share[:, :, None, None]
        # A member without a share has NaN maps where it knows nothing: left out, not multiplied by 0. An unknown share
        # (NaN) is a finding that nobody knows, and stays one.
        mean = mean + torch.where(weight == 0, 0, weight * placed)
    return mean
