"""Attention rollout: where a transformer's tokens have looked, through all layers. Class-agnostic."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from pocketcxr.domain.errors import ConfigError
from pocketcxr.explain.layers import as_grid
from pocketcxr.explain.options import check_findings
from pocketcxr.models.outputs import Net, evaluating
from pocketcxr.models.timm_net import TimmNet


def attention_rollout(net: Net, images: Float[Tensor, "b c s s"], findings: Sequence[int]) -> NDArray[np.float32]:
    """Maps [b, finding, h, w] on the patches, the same for every finding: attention says nothing of findings.

    Abnar and Zuidema, ACL 2020: the mean attention of a layer's heads, half of it replaced by the residual
    connection, multiplied from the first layer to the last. The head here pools the patch tokens, so the map is
    the mean of their rows (the paper takes the class token's). What prefix tokens received is left out, so a map adds
    up to 1 at most.

    timm's fused attention, which keeps no matrix, is switched off for the pass and back on after it, whatever happens.
    Raises ConfigError for a net without attention over all of its patches, UnknownNameError for a finding there is not.
    """
    layers = _attention_layers(net)
    with evaluating(net), torch.no_grad(), _watched(layers) as seen:
        logits = net(images).logits
    check_findings(findings, logits.shape[1])
    if len(seen) != len(layers) or any(one.ndim != 4 or one.shape[2:] != seen[0].shape[2:] for one in seen):
        raise _no_rollout(net)
    flow = torch.eye(seen[0].shape[-1], device=images.device).expand(len(images), -1, -1)
    for attention in seen:
        mean = attention.mean(dim=1)
        residual = torch.eye(mean.shape[-1], device=mean.device)
        flow = (mean + residual) / 2 @ flow
    assert isinstance(net, TimmNet)
    received = flow[:, net.facts.prefix_tokens :].mean(dim=1)
    maps = as_grid(net, "attention", received[:, :, None])
    return maps.expand(-1, len(findings), -1, -1).cpu().numpy().astype(np.float32)


def _attention_layers(net: Net) -> list[nn.Module]:
    """timm's attention modules, first to last; only those keep the switch `fused_attn`."""
    if not isinstance(net, TimmNet) or net.facts.layout != "tokens":
        raise _no_rollout(net)
    layers = [module for module in net.trunk.modules() if "fused_attn" in vars(module)]
    if not layers or any("attn_drop" not in dict(layer.named_children()) for layer in layers):
        raise _no_rollout(net)
    return layers


@contextmanager
def _watched(layers: list[nn.Module]) -> Iterator[list[Float[Tensor, "b head n n"]]]:
    """The attention of each layer, filled by a forward pass inside the block; switches and hooks end as found."""
    seen: list[Tensor] = []
    switches = [vars(layer)["fused_attn"] for layer in layers]
    hooks = []
    try:
        for layer in layers:
            vars(layer)["fused_attn"] = False
            watch = layer.get_submodule("attn_drop")
            hooks.append(watch.register_forward_hook(lambda _module, _arguments, output: seen.append(output)))
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
        for layer, switch in zip(layers, switches, strict=True):
            vars(layer)["fused_attn"] = switch


def _no_rollout(net: Net) -> ConfigError:
    name = net.name if isinstance(net, TimmNet) else type(net).__name__
    return ConfigError(
        f"method attention-rollout: {name} has no attention over all of its patches, as a plain ViT or DeiT has;"
        " choose another method"
    )
