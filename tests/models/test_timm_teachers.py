"""timm's families as teachers: class maps, taps and sizes come out right whatever layout a model keeps inside.

Models lie on the device "meta": shapes are computed, numbers are not, so that large ones cost nothing. What numbers
must keep is in tests/contracts/test_nets.py, on the small ones.
"""

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from pocketcxr.distill.taps import Tapped
from pocketcxr.domain.errors import ConfigError
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.outputs import ModelOutput, Net, evaluating
from pocketcxr.models.timm_facts import timm_facts

NUM_FINDINGS = 3
ANY_SIZE = {
    "densenet161": (16, 32),
    "resnet50": (16, 32),
    "convnext_tiny": (16, 32),
    "efficientnet_b0": (16, 32),
    "vit_small_patch16_224": (16,),
    "vit_tiny_patch16_224": (16,),
    "deit_tiny_patch16_224": (16,),
    "swin_tiny_patch4_window7_224": (8, 16, 32),
    "swin_s3_tiny_224": (16, 32),
    "caformer_s18": (16, 32),
}
"""Name and the strides at which it has feature maps."""
FIXED_SIZE = {"visformer_tiny": (16, 32), "visformer_small": (16, 32), "coatnet_0_rw_224": (16, 32)}


def weightless(name: str) -> Net:
    with torch.device("meta"):
        return build(NetConfig(name=name), NUM_FINDINGS, kind="teacher")


def asked(net: Net, size: int, stride: int | None = None, images: Tensor | None = None) -> ModelOutput:
    pixels = torch.zeros(2, 1, size, size, device="meta") if images is None else images
    with evaluating(net), torch.no_grad():
        output = Tapped(net, stride)(pixels)
    assert isinstance(output, ModelOutput)
    return output


@pytest.mark.parametrize("name", [*ANY_SIZE, *FIXED_SIZE])
def test_maps_and_taps_have_the_cells_their_stride_says(name: str) -> None:
    strides = (ANY_SIZE | FIXED_SIZE)[name]
    net = weightless(name)
    for size in (224, 64, 96) if name in ANY_SIZE else (224,):
        output = asked(net, size)
        cells = size // strides[-1]
        assert output.logits.shape == (2, NUM_FINDINGS)
        assert output.class_maps.shape == (2, NUM_FINDINGS, cells, cells)
        for stride in strides:
            features = asked(net, size, stride).features
            assert features.shape[2:] == (size // stride, size // stride)
            assert features.shape[1] > size // stride, "channels come first"


@pytest.mark.parametrize("name", FIXED_SIZE)
def test_a_model_of_one_size_names_it(name: str) -> None:
    net = weightless(name)
    with pytest.raises(ConfigError, match=rf"preprocess\.size: {name} takes 224 pixels only, got 64; set 224"):
        asked(net, 64)


@pytest.mark.parametrize(
    ("name", "size", "sizes"),
    [
        ("vit_tiny_patch16_224", 100, "96 or 112"),
        ("deit_tiny_patch16_224", 225, "224 or 240"),
        ("vit_small_patch14_dinov2", 224 + 8, "224 or 238"),
        ("vit_small_patch14_dinov2", 12, "14"),
    ],
)
def test_a_transformer_names_the_nearest_sizes_it_takes(name: str, size: int, sizes: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} takes multiples of 1[46] pixels, got {size}; set {sizes}$"):
        asked(weightless(name), size)


@pytest.mark.parametrize(
    ("name", "stride", "known"), [("vit_tiny_patch16_224", 32, "16"), ("swin_s3_tiny_224", 64, "4, 8, 16, 32")]
)
def test_a_stride_there_is_not_lists_those_there_are(name: str, stride: int, known: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} has no feature map of stride {stride}; choose one of {known}$"):
        weightless(name).tap(stride)


def test_a_tap_of_channels_last_holds_what_the_layer_gave_in_every_copy() -> None:
    """A hook that still pointed at the original would leave a copy's tap silent."""
    net = build(NetConfig(name="swin_s3_tiny_224"), NUM_FINDINGS, kind="teacher")
    images = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    inner: list[Tensor] = []
    trunk = net.get_submodule("trunk.layers.2")
    hook = trunk.register_forward_hook(lambda _module, _arguments, output: inner.append(output))
    tapped = asked(net, 64, 16, images).features
    hook.remove()
    assert torch.equal(tapped, inner[0].permute(0, 3, 1, 2))
    copy = deepcopy(net)
    with torch.no_grad():
        next(copy.parameters()).mul_(2)
    assert not torch.equal(asked(copy, 64, 16, images).features, tapped)
    assert torch.equal(asked(net, 64, 16, images).features, tapped)


def test_facts_are_the_same_where_gradients_are_off() -> None:
    expected = timm_facts("resnet10t", 32)
    timm_facts.cache_clear()
    with torch.no_grad():
        assert timm_facts("resnet10t", 32) == expected
