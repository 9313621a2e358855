"""Reading a net's inner features without changing the net."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pocketcxr.models.outputs import ModelOutput, Net, evaluating


class Tapped(nn.Module):
    """A net that answers with the features of its last map at `stride` instead of those its head pools.

    With stride None it answers as the net does. The net is used as it is: it gains no layer and, outside of a call, no
    hook; its parameters are reached as `net`.
    """

    def __init__(self, net: Net, stride: int | None) -> None:
        super().__init__()
        self.net = net
        self.stride = stride

    def forward(self, x: Float[Tensor, "b channel size size"]) -> ModelOutput:
        """The net's output; `features` [b, channel, h, w] are the tap's where a stride was given."""
        if self.stride is None:
            return self.net(x)
        seen: list[Tensor] = []
        hook = self.net.tap(self.stride).register_forward_hook(lambda _module, _arguments, output: seen.append(output))
        try:
            output = self.net(x)
        finally:
            hook.remove()
        return output._replace(features=seen[-1])


@torch.no_grad()
def num_channels(tapped: Tapped, size: int, in_channels: int = 1) -> int:
    """Channels of the features at the tap: what an adapter has to fit. Modes are left as found."""
    device = next(tapped.parameters()).device
    with evaluating(tapped):
        output = tapped(torch.zeros(1, in_channels, size, size, device=device))
    assert isinstance(output, ModelOutput)
    return output.features.shape[1]
