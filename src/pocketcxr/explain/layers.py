"""The feature map a CAM looks at: by default what the head pools, else a stride or a module of the net by its path.

Every Net answers with the features that its head pools as [b, channel, h, w], whatever the trunk is: the default needs
no table of families. A named module may lie inside, where transformers keep tokens and Swin keeps its channels last.
"""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from math import isqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pocketcxr.domain.errors import ConfigError, UnknownNameError
from pocketcxr.models.outputs import Net
from pocketcxr.models.timm_net import TimmNet

_LISTED_DEPTH = 2


@dataclass(frozen=True, eq=False)
class Captured:
    """One forward pass and what a layer gave in it."""

    logits: Float[Tensor, "b finding"]
    values: Tensor
    """The layer's output in the layer's own layout, a part of the graph of `logits`."""
    to_grid: Callable[[Tensor], Float[Tensor, "b channel h w"]]
    """Turns the output, or a gradient of its shape, into a grid over the image."""

    def gradient(self, finding: int) -> Float[Tensor, "b channel h w"]:
        """Of each image's logit of `finding` by the layer's output, as a grid. Raises ConfigError where there is none.

        Taken without touching any parameter's `.grad`; images do not mix in evaluation mode, so their sum will do.
        """
        found = None
        if self.values.requires_grad:
            target = self.logits[:, finding].sum()
            (found,) = torch.autograd.grad(target, self.values, retain_graph=True, allow_unused=True)
        if found is None:
            raise ConfigError("method layer: the logits do not depend on this layer; choose another")
        return self.to_grid(found)


def capture(net: Net, images: Float[Tensor, "b c s s"], layer: int | str | None) -> Captured:
    """A forward pass of `net` with the output of `layer`: None, a stride in pixels, or a module's path.

    The hook is gone afterwards, also after an error. Raises UnknownNameError for a layer there is not, ConfigError for
    one that gives no map, or for an image size the net cannot take.
    """
    if layer is None:
        output = net(images)
        return Captured(output.logits, output.features, lambda features: features)
    module = find_layer(net, layer)
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _arguments: object, output: object) -> Tensor | None:
        if not isinstance(output, Tensor):
            return None
        seen.append(output)
        # The net goes on with a copy: an in-place activation that follows would change what was seen.
        return output.clone()

    hook = module.register_forward_hook(keep)
    try:
        logits = net(images).logits
    finally:
        hook.remove()
    if not seen:
        raise ConfigError(f"method layer: {layer} gave no tensor when the net ran; choose another")
    to_grid = partial(as_grid, net, layer)
    to_grid(seen[-1].detach())
    return Captured(logits, seen[-1], to_grid)


def find_layer(net: Net, layer: int | str) -> nn.Module:
    """The module that makes the last feature map of a stride, or the one of a path ("16" is a stride too).

    Raises UnknownNameError that lists the strides or the paths there are.
    """
    if isinstance(layer, int) or layer.isdecimal():
        return _of_stride(net, int(layer))
    paths: dict[str, nn.Module] = dict(net.named_modules())
    if layer not in paths or not layer:
        near = get_close_matches(layer, paths, n=3)
        outer = [path for path in paths if path and path.count(".") <= _LISTED_DEPTH - (not path.startswith("trunk."))]
        raise UnknownNameError.of("layer", layer, {*outer, *near})
    return paths[layer]


def as_grid(net: Net, layer: int | str, values: Tensor) -> Float[Tensor, "b channel h w"]:
    """What `layer` gave, or a gradient by it, with its cells as rows and columns over a square image.

    Raises ConfigError for what is no map, tokens that are no square among them.
    """
    layout = net.facts.layout if isinstance(net, TimmNet) else "nchw"
    match tuple(values.shape):
        case (_, height, width, channels) if layout == "nhwc" and height == width != channels:
            return values.permute(0, 3, 1, 2)
        case (_, _, height, width) if height == width:
            return values
        case (batch, tokens, channels) if layout == "tokens" and isinstance(net, TimmNet):
            patches = tokens - net.facts.prefix_tokens
            cells = isqrt(max(patches, 0))
            if patches > 0 and cells * cells == patches:
                return values[:, net.facts.prefix_tokens :].transpose(1, 2).reshape(batch, channels, cells, cells)
    shape = " x ".join(str(length) for length in values.shape[1:])
    raise ConfigError(f"method layer: {layer} gives {shape} numbers an image, not a square map; choose another")


def _of_stride(net: Net, stride: int) -> nn.Module:
    try:
        tap = net.tap(stride)
    except ConfigError as error:
        raise UnknownNameError(f"layer {stride}: {error}") from error
    if isinstance(net, TimmNet) and stride != net.facts.stride and str(stride) in net.turned:
        # Swin's tap is a view that nothing else looks at, so no gradient comes by it: take the module itself.
        inner: nn.Module = net.trunk.get_submodule(dict(net.facts.taps)[stride])
        return inner
    return tap
