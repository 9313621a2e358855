"""How good the weights are on the validation patients: what early stopping and the choice of weights go by."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from pocketcxr.data.batches import normalise_tensor, plain_pixels
from pocketcxr.data.dataset import Cohort
from pocketcxr.models.outputs import Net, evaluating


@torch.no_grad()
def predict_logits(net: Net, weights: Mapping[str, Tensor], cohort: Cohort, batch_size: int) -> NDArray[np.float32]:
    """Logits [n, finding] of every image of the cohort, unaugmented, with `weights` in place of the net's own."""
    device = next(iter(weights.values())).device
    rows: list[NDArray[np.float32]] = []
    with evaluating(net):
        for start in range(0, len(cohort), batch_size):
            pixels = plain_pixels(cohort, slice(start, start + batch_size)).to(device)
            output = functional_call(net, dict(weights), (normalise_tensor(pixels, cohort.spec),))
            rows.append(output.logits.float().cpu().numpy())
    return np.concatenate(rows)
