"""Exponential moving average of weights: what is evaluated and kept."""

import torch
from torch import Tensor, nn


class Ema:
    """The running average of a net's state, batch-norm statistics included; whole-number state is copied.

    decay 0 is the net itself. The decay warms up as (1 + step) / (10 + step), so that short runs forget their start.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        # state_dict() holds the net's own tensors, so it is asked for once; training and loading change them in place.
        self._live = net.state_dict()
        self.tensors: dict[str, Tensor] = {name: value.detach().clone() for name, value in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the net's state after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in self._live.items():
            if value.is_floating_point():
                self.tensors[name].lerp_(value, 1 - decay)
            else:
                self.tensors[name].copy_(value)
