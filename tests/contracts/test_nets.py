"""What every net keeps, ours and timm's: shapes, the sum law, taps, gradients, the same answer twice."""

import pytest
import torch
from torch import Tensor

from pocketcxr.domain.errors import ConfigError
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig, Pooling
from pocketcxr.models.outputs import Net, evaluating

FAST = (
    *("eeea-net-c1", "eeea-net-c2", "eeea-net-c2-map", "eeea-net-c2-lite-map"),
    *("eeea-net-c2-fine-map", "eeea-net-c2-lite-fine-map"),
    *("resnet10t", "tf_efficientnet_lite0", "mobilenetv4_conv_small", "mobilenetv3_small_100", "convnext_atto"),
    *("vit_tiny_patch16_224", "deit_tiny_patch16_224"),
)
LARGE = ("ofa-595", "densenet121", "densenet161", "resnet50", "swin_tiny_patch4_window7_224", "visformer_small")
NETS = (*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE))
SIZES = {"visformer_small": 224}
FINE = ("eeea-net-c2", "eeea-net-c2-lite-map", "resnet10t", "tf_efficientnet_lite0", "vit_tiny_patch16_224")
NUM_FINDINGS = 3


def images_for(name: str) -> Tensor:
    size = SIZES.get(name, 64)
    return torch.randn(2, 1, size, size, generator=torch.Generator().manual_seed(0))


def is_paper_head(name: str) -> bool:
    return name in {"eeea-net-c1", "eeea-net-c2", "ofa-595"}


def tapped(net: Net, stride: int, images: Tensor) -> Tensor:
    seen: list[Tensor] = []
    hook = net.tap(stride).register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with evaluating(net), torch.no_grad():
        net(images)
    hook.remove()
    return seen[-1]


@pytest.mark.parametrize("name", NETS)
def test_every_net_keeps_the_contract(name: str) -> None:
    images, net = images_for(name), build(NetConfig(name=name), NUM_FINDINGS)
    output = net(images)
    assert output.logits.shape == (2, NUM_FINDINGS)
    assert output.class_maps.shape == (2, NUM_FINDINGS, *output.features.shape[2:])
    assert output.features.shape[0] == 2
    assert output.class_maps.shape[-1] == output.class_maps.shape[-2] > 1
    output.logits.sum().backward()
    without = [parameter_name for parameter_name, parameter in net.named_parameters() if parameter.grad is None]
    assert without == [], "parameters that nothing depends on would be decayed, counted and exported in vain"
    with evaluating(net), torch.no_grad():
        first, again = net(images), net(images)
    assert torch.equal(first.logits, again.logits)
    assert torch.equal(first.class_maps, again.class_maps)
    if not is_paper_head(name):
        torch.testing.assert_close(first.class_maps.mean((2, 3)), first.logits, rtol=0, atol=0)
    stride = images.shape[-1] // first.class_maps.shape[-1]
    assert torch.equal(tapped(net, stride, images), first.features)


@pytest.mark.parametrize("pooling", ["log-sum-exp", "attention"])
@pytest.mark.parametrize("name", ["eeea-net-c2-lite-fine-map", "resnet10t", "vit_tiny_patch16_224"])
def test_class_maps_add_up_however_the_head_pools(name: str, pooling: Pooling) -> None:
    images, net = images_for(name), build(NetConfig(name=name, pooling=pooling), NUM_FINDINGS)
    output = net(images)
    assert torch.equal(output.class_maps.mean((2, 3)), output.logits)
    output.logits.square().sum().backward()
    assert [one for one, parameter in net.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", [name for name in FAST if "patch16" not in name])
def test_inner_maps_can_be_tapped(name: str) -> None:
    images, net = images_for(name), build(NetConfig(name=name), NUM_FINDINGS)
    for stride in (4, 8, 16):
        assert tapped(net, stride, images).shape[2:] == (64 // stride, 64 // stride)
    with pytest.raises(ConfigError, match="stride 5; choose one of"):
        net.tap(5)


@pytest.mark.parametrize("name", FINE)
def test_stride_16_makes_maps_of_16_pixel_cells(name: str) -> None:
    images, net = images_for(name), build(NetConfig(name=name, output_stride=16), NUM_FINDINGS)
    with evaluating(net), torch.no_grad():
        output = net(images)
    assert output.class_maps.shape[2:] == (4, 4)
    assert torch.equal(tapped(net, 16, images), output.features)


def test_a_cell_of_a_transformer_lies_where_its_patch_lies() -> None:
    """Changing one patch changes its own cell most: tokens in reading order, the class token dropped."""
    net = build(NetConfig(name="vit_tiny_patch16_224"), NUM_FINDINGS)
    images = torch.zeros(1, 1, 64, 64)
    changed = images.clone()
    changed[:, :, 16:32, 48:64] = 1
    with evaluating(net), torch.no_grad():
        moved = (net(changed).features - net(images).features).square().sum(1)[0]
    assert divmod(int(moved.argmax()), 4) == (1, 3)


def test_a_size_the_net_cannot_take_is_refused_with_the_one_it_can() -> None:
    with torch.device("meta"):
        net, images = build(NetConfig(name="visformer_small"), 2), torch.zeros(1, 1, 64, 64)
    with pytest.raises(ConfigError, match=r"preprocess\.size: visformer_small takes 224 pixels only, got 64"):
        net(images)
    with torch.device("meta"):
        vit, odd = build(NetConfig(name="vit_tiny_patch16_224"), 2), torch.zeros(1, 1, 70, 70)
    with pytest.raises(ConfigError, match=r"vit_tiny_patch16_224 takes multiples of 16 pixels, got 70"):
        vit(odd)


def test_a_model_without_a_map_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"net\.name: timm's coat_tiny gives several features"):
        build(NetConfig(name="coat_tiny"), 2)
