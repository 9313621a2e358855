"""How good the weights are on the validation patients, and what their class maps are like without a finding.

The first is what early stopping and the choice of weights go by, the second the reference of the heatmaps.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call

from pocketcxr.data.batches import WHOLE, Share, normalise_tensor, plain_pixels
from pocketcxr.data.dataset import Cohort
from pocketcxr.models.outputs import ModelOutput, Net, evaluating


@dataclass(frozen=True, eq=False)
class Validation:
    """What the net says of a cohort, on the CPU. Each tensor of the whole cohort is the sum of those of all shares."""

    logits: Float[Tensor, "n finding"]
    maps_without: Float[Tensor, "finding h w"]
    """Sum of the class maps, each image counted as often as it is without the finding: 1 - its probability. float64."""
    times_without: Float[Tensor, " finding"]
    """How often that was. float64."""

    @property
    def reference(self) -> Float[Tensor, "finding h w"]:
        """The class maps to be expected of an image without the finding, float32. No label was looked at.

        All 0 for a finding that the net is sure of in every image.
        """
        times = self.times_without.clamp(min=torch.finfo(torch.float64).tiny)
        return (self.maps_without / times[:, None, None]).float()


@torch.no_grad()
def validate(
    net: Net, weights: Mapping[str, Tensor], cohort: Cohort, batch_size: int, share: Share = WHOLE
) -> Validation:
    """What the net says of every image of the cohort, unaugmented, with `weights` in place of its own.

    Of a share only every so-maniest batch is computed, the other rows are 0: each logit was computed in the same batch
    as without sharing.
    """
    device = next(iter(weights.values())).device

    def answer(rows: slice) -> ModelOutput:
        pixels = plain_pixels(cohort, rows).to(device)
        output: ModelOutput = functional_call(net, dict(weights), (normalise_tensor(pixels, cohort.spec),))
        return output

    logits = torch.zeros(cohort.labels.shape)
    with evaluating(net):
        # A share may have no batch at all, and still has to know the grid.
        maps = torch.zeros(answer(slice(1)).class_maps.shape[1:], dtype=torch.float64)
        times = torch.zeros(len(maps), dtype=torch.float64)
        for start in range(share.number * batch_size, len(cohort), share.of * batch_size):
            rows = slice(start, start + batch_size)
            output = answer(rows)
            logits[rows] = output.logits.float().cpu()
            without = torch.sigmoid(-logits[rows].double())
            maps += torch.einsum("bf,bfhw->fhw", without, output.class_maps.cpu().double())
            times += without.sum(dim=0)
    return Validation(logits, maps, times)
