"""Heatmaps from the forward pass: every finding at once, no gradient, whatever the head."""

import torch
from jaxtyping import Float
from torch import Tensor

from pocketcxr.models.outputs import ModelOutput, Net, evaluating


def one_pass(net: Net, images: Float[Tensor, "b c s s"]) -> ModelOutput:
    """What `net` says of normalised images in evaluation mode; `class_maps` are the heatmaps of all findings.

    No gradient is kept, and every module's mode is left as found.
    """
    with evaluating(net), torch.no_grad():
        return net(images)
