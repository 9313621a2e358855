"""How much a net weighs and works, by PyTorch's own flop counter."""

from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from pocketcxr.models.heads import GradCamMaps
from pocketcxr.models.outputs import Net, evaluating


class Complexity(NamedTuple):
    """Parameters, and multiply-accumulates for one image: of the logits, and of the paper head's heatmaps on top."""

    parameters: int
    macs: int
    heatmap_macs: int


def complexity(net: Net, size: int, in_channels: int) -> Complexity:
    """What `net` costs for one image of `size` x `size` pixels, on whatever device it lies ("meta" computes nothing).

    A multiply-accumulate is two of the counter's flops. Published counts leave explanations out, so those that are
    computed beside the logits are counted apart; class-map heads have none: their maps make the logits.
    """
    device = next(net.parameters()).device
    counter = FlopCounterMode(display=False)
    with evaluating(net), torch.no_grad(), counter:
        net(torch.zeros(1, in_channels, size, size, device=device))
    by_module = counter.get_flop_counts()
    root = type(net).__name__
    names = [f"{root}.{name}" for name, module in net.named_modules() if isinstance(module, GradCamMaps)]
    heatmap_flops = sum(sum(by_module[name].values()) for name in names)
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return Complexity(parameters, (counter.get_total_flops() - heatmap_flops) // 2, heatmap_flops // 2)
