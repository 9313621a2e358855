"""Attention rollout against its definition, with fused attention off and back on."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pocketcxr.domain.errors import ConfigError
from pocketcxr.explain.rollout import attention_rollout
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.outputs import Net, evaluating


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(4))


def attention_by_hand(net: Net, images: Tensor) -> list[Tensor]:
    """Softmax of q k / sqrt(width) of every block, from its normalised input alone."""
    inputs: list[tuple[nn.Module, Tensor]] = []
    blocks = net.get_submodule("trunk.blocks")
    hooks = [
        block.get_submodule("attn").register_forward_pre_hook(lambda module, given: inputs.append((module, given[0])))
        for block in blocks.children()
    ]
    with evaluating(net), torch.no_grad():
        net(images)
    for hook in hooks:
        hook.remove()
    matrices = []
    for module, tokens in inputs:
        batch, count, width = tokens.shape
        heads = int(vars(module)["num_heads"])
        mixed = module.get_submodule("qkv")(tokens).detach().reshape(batch, count, 3, heads, width // heads)
        query, key, _ = mixed.permute(2, 0, 3, 1, 4)
        matrices.append((query @ key.transpose(-2, -1) / (width // heads) ** 0.5).softmax(-1))
    return matrices


@pytest.mark.parametrize(("name", "prefix"), [("vit_tiny_patch16_224", 1), ("vit_wee_patch16_reg1_gap_256", 1)])
def test_rollout_is_the_product_of_residual_attentions(name: str, prefix: int, images: Tensor) -> None:
    net = build(NetConfig(name=name), 3)
    with torch.no_grad():  # Random attention is all but uniform: make it choose.
        for parameter_name, parameter in net.named_parameters():
            if "qkv.weight" in parameter_name:
                parameter.mul_(8)
    expected = torch.eye(16 + prefix).expand(2, -1, -1)
    for attention in attention_by_hand(net, images):
        expected = (0.5 * attention.mean(1) + 0.5 * torch.eye(16 + prefix)) @ expected
    of_patches = expected[:, prefix:, prefix:].mean(1).reshape(2, 4, 4).numpy()
    maps = attention_rollout(net, images, [2, 0])
    np.testing.assert_allclose(maps[:, 0], of_patches, rtol=1e-4)
    np.testing.assert_array_equal(maps[:, 0], maps[:, 1])
    assert (maps >= 0).all()
    assert (maps.sum(axis=(2, 3)) <= 1 + 1e-5).all()
    assert np.ptp(maps[:, 0], axis=(1, 2)).min() > 0.01


@pytest.mark.parametrize("is_fused", [True, False])
def test_the_switch_of_fused_attention_ends_as_found(is_fused: bool, images: Tensor) -> None:
    net = build(NetConfig(name="vit_tiny_patch16_224"), 3)
    layers = [module for module in net.modules() if "fused_attn" in vars(module)]
    vars(layers[3])["fused_attn"] = is_fused
    before = [vars(layer)["fused_attn"] for layer in layers]
    attention_rollout(net, images, [0])
    assert [vars(layer)["fused_attn"] for layer in layers] == before
    assert not any(module._forward_hooks for module in net.modules())
    with pytest.raises(ConfigError, match="takes multiples of 16"):
        attention_rollout(net, images[:, :, :50, :50], [0])
    assert [vars(layer)["fused_attn"] for layer in layers] == before
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize(
    "name", ["eeea-net-c2", "resnet10t", "swin_tiny_patch4_window7_224", "visformer_tiny", "convnext_atto"]
)
def test_a_net_without_attention_over_all_patches_is_refused_by_name(name: str) -> None:
    with torch.device("meta"):
        net, images = build(NetConfig(name=name), 2), torch.zeros(1, 1, 224, 224)
    with pytest.raises(ConfigError, match="has no attention over all of its patches, as a plain ViT or DeiT has"):
        attention_rollout(net, images, [0])
