"""How good the weights are on the validation patients: what early stopping and the choice of weights go by."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from pocketcxr.data.batches import WHOLE, Share, normalise_tensor, plain_pixels
from pocketcxr.data.dataset import Cohort
from pocketcxr.models.outputs import Net, evaluating


@torch.no_grad()
def predict_logits(
    net: Net, weights: Mapping[str, Tensor], cohort: Cohort, batch_size: int, share: Share = WHOLE
) -> NDArray[np.float32]:
    """Logits [n, finding] of every image of the cohort, unaugmented, with `weights` in place of the net's own.

    Of a share only every so-maniest batch is computed, the other rows are 0: the sum over all shares is the whole, and
    each logit was computed in the same batch as without sharing.
    """
    device = next(iter(weights.values())).device
    logits = np.zeros(cohort.labels.shape, dtype=np.float32)
    with evaluating(net):
        for start in range(share.number * batch_size, len(cohort), share.of * batch_size):
            rows = slice(start, start + batch_size)
            pixels = plain_pixels(cohort, rows).to(device)
            output = functional_call(net, dict(weights), (normalise_tensor(pixels, cohort.spec),))
            logits[rows] = output.logits.float().cpu().numpy()
    return logits
