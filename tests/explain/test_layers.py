"""The layer a CAM looks at: the right grid for every family, inner layers too, and what is refused."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pocketcxr.domain.errors import ConfigError, UnknownNameError
from pocketcxr.explain.layers import as_grid, capture
from pocketcxr.explain.methods import Method, MethodOptions, saliency
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.outputs import ModelOutput, Net, evaluating

CAMS: tuple[Method, ...] = ("grad-cam", "grad-cam++", "layer-cam", "hires-cam", "eigen-cam")
FAST = {
    "eeea-net-c2": 32,
    "eeea-net-c2-map": 32,
    "resnet10t": 32,
    "tf_efficientnet_lite0": 32,
    "mobilenetv4_conv_small": 32,
    "convnext_atto": 32,
    "vit_tiny_patch16_224": 16,
    "deit_tiny_patch16_224": 16,
    "vit_wee_patch16_reg1_gap_256": 16,
}
LARGE = {"densenet121": 32, "swin_tiny_patch4_window7_224": 32, "visformer_tiny": 32}
"""Net and the stride of what its head pools."""
FAMILIES = [*FAST.items(), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in LARGE.items())]
INNER = [
    ("eeea-net-c2", 16, "blocks.14", 16),
    ("resnet10t", 8, "trunk.layer2", 8),
    ("mobilenetv4_conv_small", 16, "trunk.blocks.2", 16),
    ("vit_tiny_patch16_224", 16, "trunk.blocks.11", 16),
    ("vit_tiny_patch16_224", 16, "trunk.blocks.5.norm1", 16),
    pytest.param("densenet121", 16, "trunk.features.denseblock3", 16, marks=pytest.mark.slow),
    pytest.param("swin_tiny_patch4_window7_224", 16, "trunk.layers.2", 16, marks=pytest.mark.slow),
    pytest.param("swin_tiny_patch4_window7_224", 8, "trunk.layers.1.blocks.0", 8, marks=pytest.mark.slow),
    pytest.param("visformer_tiny", 16, "trunk.stage2.0", 16, marks=pytest.mark.slow),
]
SIZES = {"visformer_tiny": 224}


def images_for(name: str) -> Tensor:
    size = SIZES.get(name, 64)
    return torch.randn(2, 1, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "stride"), FAMILIES)
def test_every_family_has_maps_on_what_its_head_pools(name: str, stride: int) -> None:
    net, images = build(NetConfig(name=name), 3), images_for(name)
    cells = images.shape[-1] // stride
    for method in CAMS:
        maps = saliency(net, images, [2, 0], method)
        assert maps.shape == (2, 2, cells, cells)
        assert maps.dtype == np.float32
        assert np.isfinite(maps).all()
        assert np.ptp(maps, axis=(2, 3)).min() > 0


@pytest.mark.parametrize(("name", "stride", "path", "cell"), INNER)
def test_inner_layers_can_be_named_by_stride_or_path(name: str, stride: int, path: str, cell: int) -> None:
    net, images = build(NetConfig(name=name), 3), images_for(name)
    cells = images.shape[-1] // cell
    for layer in (stride, str(stride), path):
        maps = saliency(net, images, [1], "layer-cam", MethodOptions(layer=layer))
        assert maps.shape == (2, 1, cells, cells)
        assert np.ptp(maps, axis=(2, 3)).min() > 0


def test_the_outer_stride_of_every_head_is_what_it_pools() -> None:
    for name in ("eeea-net-c2", "resnet10t", "vit_tiny_patch16_224"):
        net, images = build(NetConfig(name=name), 3), images_for(name)
        default, named = (
            saliency(net, images, [1], "grad-cam", MethodOptions(layer=layer)) for layer in (None, FAST[name])
        )
        np.testing.assert_array_equal(default, named)


def test_a_cell_of_an_inner_token_layer_lies_where_its_patch_lies() -> None:
    """Gradient-free: the token whose patch alone was changed moves most, in reading order, the class token dropped."""
    net = build(NetConfig(name="vit_tiny_patch16_224"), 3)
    flat = torch.zeros(1, 1, 64, 64)
    changed = flat.clone()
    changed[:, :, 16:32, 48:64] = 1
    with evaluating(net), torch.no_grad():
        before, after = (capture(net, images, "trunk.blocks.3") for images in (flat, changed))
        moved = (after.to_grid(after.values) - before.to_grid(before.values)).square().sum(1)[0]
    assert divmod(int(moved.argmax()), 4) == (1, 3)


class InPlace(Net):
    """A convolution, an activation that overwrites it, and the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bent = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> ModelOutput:
        maps = self.bent(self.conv(images))
        return ModelOutput(maps.mean((2, 3)), maps, maps)

    def tap(self, stride: int) -> nn.Module:
        return self.conv


def test_a_layer_is_seen_before_an_in_place_activation_overwrites_it() -> None:
    net, images = InPlace(), torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with evaluating(net):
        captured = capture(net, images, "conv")
    assert torch.equal(captured.values, net.conv(images))
    assert bool((captured.values < 0).any())
    expected = (net.conv(images)[0, 1] > 0).float() / 64
    assert torch.equal(captured.gradient(1)[0, 1], expected)


def test_a_layer_that_does_not_exist_lists_those_that_do() -> None:
    net, images = build(NetConfig(name="resnet10t"), 2), images_for("resnet10t")
    with pytest.raises(UnknownNameError, match=r"layer 'trunk.layer9' is unknown; did you mean .*trunk\.layer4"):
        saliency(net, images, [0], "grad-cam", MethodOptions(layer="trunk.layer9"))
    with pytest.raises(UnknownNameError, match="layer 5: resnet10t has no feature map of stride 5; choose one of 2, 4"):
        saliency(net, images, [0], "score-cam", MethodOptions(layer=5))
    with pytest.raises(UnknownNameError, match="layer '' is unknown"):
        saliency(net, images, [0], "eigen-cam", MethodOptions(layer=""))


@pytest.mark.parametrize(
    ("name", "layer", "message"),
    [
        ("resnet10t", "head", "head gave no tensor"),
        ("resnet10t", "trunk.fc", "trunk.fc gave no tensor"),
        ("vit_tiny_patch16_224", "trunk.blocks.0.attn.attn_drop", "gave no tensor"),
        ("eeea-net-c2", "head.mix", "head.mix gives 1280 numbers an image, not a square map"),
        ("eeea-net-c2", "head.heatmaps", "the logits do not depend on this layer"),
    ],
)
def test_a_layer_without_a_map_is_refused(name: str, layer: str, message: str) -> None:
    net = build(NetConfig(name=name), 2)
    with pytest.raises(ConfigError, match=message):
        saliency(net, images_for(name), [0], "grad-cam", MethodOptions(layer=layer))
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize("method", ["one-pass", "grad-cam", "attention-rollout", "integrated-gradients", "rise"])
def test_a_transformer_with_an_odd_grid_is_refused(method: Method) -> None:
    net, images = build(NetConfig(name="vit_tiny_patch16_224"), 2), torch.zeros(1, 1, 70, 70)
    with pytest.raises(ConfigError, match="takes multiples of 16 pixels, got 70; set 64 or 80"):
        saliency(net, images, [0], method)


def test_tokens_that_are_no_square_are_refused() -> None:
    net = build(NetConfig(name="vit_tiny_patch16_224"), 2)
    with pytest.raises(ConfigError, match=r"trunk\.norm gives 12 x 192 numbers an image, not a square map"):
        as_grid(net, "trunk.norm", torch.zeros(1, 1 + 11, 192))
    assert as_grid(net, "trunk.norm", torch.zeros(1, 1 + 9, 192)).shape == (1, 192, 3, 3)
