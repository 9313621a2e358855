"""Our own nets: the published counts, the rows, the strides, the start."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pocketcxr.domain.errors import ConfigError
from pocketcxr.models.build import build
from pocketcxr.models.complexity import Complexity, complexity
from pocketcxr.models.config import NetConfig, Pooling
from pocketcxr.models.outputs import Net, evaluating
from pocketcxr.models.students.eeea import TABLES, EeeaNet, at_stride
from pocketcxr.models.students.mobile_block import squeezed_channels

PUBLISHED = {
    "eeea-net-c2": (4_732_838, 289_941_952),
    "eeea-net-c1": (3_805_062, 181_865_760),
    "ofa-595": (7_620_446, 511_347_184),
    "eeea-net-c2-map": (3_499_558, 289_353_792),
    "eeea-net-c2-lite-map": (1_876_902, 287_737_408),
    "eeea-net-c2-fine-map": (3_643_686, 301_314_496),
    "eeea-net-c2-lite-fine-map": (2_021_030, 299_698_112),
}
"""The first three are published; the others are as first built, so that a change of a net is noticed."""
FINE = {"eeea-net-c2-fine-map": "eeea-net-c2-map", "eeea-net-c2-lite-fine-map": "eeea-net-c2-lite-map"}
"""A net with finer maps and the net it comes from."""


def on_meta(name: str, in_channels: int, output_stride: int = 32) -> Net:
    with torch.device("meta"):
        return build(NetConfig.model_validate({"name": name, "output_stride": output_stride}), 14, in_channels)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_macs_are_the_published_ones(name: str) -> None:
    counted = complexity(on_meta(name, 3), 224, 3)
    assert (counted.parameters, counted.macs) == PUBLISHED[name]


def test_the_heatmaps_of_the_paper_head_are_counted_apart() -> None:
    """14 x 1280 x 960 to pull the weights back through the mix, 14 x 960 x 49 to weigh the features."""
    assert complexity(on_meta("eeea-net-c2", 3), 224, 3).heatmap_macs == 14 * 1280 * 960 + 14 * 960 * 49
    assert complexity(on_meta("eeea-net-c2-map", 3), 224, 3).heatmap_macs == 0


def test_one_input_channel_saves_two_thirds_of_the_stem() -> None:
    gray, rgb = (complexity(on_meta("eeea-net-c2", channels), 224, channels) for channels in (1, 3))
    saved = 2 * 9 * 16
    assert (rgb.parameters - gray.parameters, rgb.macs - gray.macs) == (saved, saved * 112 * 112)


def test_counting_leaves_the_net_as_found() -> None:
    net = build(NetConfig(name="eeea-net-c2-lite-map"), 2)
    net.blocks.eval() if isinstance(net, EeeaNet) else pytest.fail("no EeeaNet")
    modes = [module.training for module in net.modules()]
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    counted = complexity(net, 32, 1)
    assert isinstance(counted, Complexity)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_squeeze_excite_widths_follow_the_table() -> None:
    widths = {96: 24, 120: 32, 480: 120, 448: 112, 336: 88, 672: 168, 960: 240}
    assert {mid: squeezed_channels(mid) for mid in widths} == widths


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("output_stride", [16, 32])
def test_the_output_stride_sets_the_grid(name: str, output_stride: int, images: Tensor) -> None:
    net = build(NetConfig.model_validate({"name": name, "output_stride": output_stride}), 3)
    with evaluating(net), torch.no_grad():
        side = 64 // output_stride * (2 if name in FINE else 1)
        assert net(images).class_maps.shape == (3, 3, side, side)


@pytest.mark.parametrize("name", FINE)
def test_twice_the_grid_costs_a_twentieth_where_stride_16_costs_half(name: str) -> None:
    fine, coarse, cut = (
        complexity(on_meta(net, 1, stride), 224, 1).macs
        for net, stride in ((name, 32), (FINE[name], 32), (FINE[name], 16))
    )
    assert 1 < fine / coarse < 1.05
    assert cut / coarse > 1.5


@pytest.mark.parametrize("name", FINE)
def test_up_to_the_top_down_step_a_fine_net_is_the_net_it_comes_from(name: str) -> None:
    fine, coarse = on_meta(name, 1).state_dict(), on_meta(FINE[name], 1).state_dict()
    below = {tensor_name for tensor_name in fine if not tensor_name.startswith(("finer.", "head."))}
    assert below == {tensor_name for tensor_name in coarse if not tensor_name.startswith("head.")}


@pytest.mark.parametrize(("size", "cells"), [(64, 4), (96, 6), (100, 7), (224, 14)])
def test_a_fine_net_has_the_grid_of_stride_16_at_any_size(size: int, cells: int) -> None:
    net = on_meta("eeea-net-c2-fine-map", 1)
    output = net(torch.zeros(2, 1, size, size, device="meta"))
    assert output.class_maps.shape == (2, 14, cells, cells)
    assert output.features.shape == (2, 128, cells, cells)


@pytest.mark.parametrize(
    ("name", "pooling"), [("eeea-net-c2-fine-map", "mean"), ("eeea-net-c2-lite-fine-map", "attention")]
)
def test_a_fine_net_learns_a_batch_with_all_its_parameters(name: str, pooling: Pooling, images: Tensor) -> None:
    net, labels = build(NetConfig(name=name, pooling=pooling), 1), torch.tensor([[1.0], [0.0], [1.0]])
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3)
    losses = []
    for _ in range(8):
        loss = functional.binary_cross_entropy_with_logits(net(images).logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []
    assert losses[-1] < 0.8 * losses[0]


def test_a_finer_stride_changes_no_parameter() -> None:
    coarse, fine = (on_meta("eeea-net-c2", 1, stride).state_dict() for stride in (32, 16))
    assert {name: tensor.shape for name, tensor in coarse.items()} == {name: t.shape for name, t in fine.items()}
    assert [row.stride for row in at_stride(TABLES["eeea-net-c2"].rows, 16)].count(2) == 3


def test_the_lite_net_has_no_h_swish_and_no_squeeze_excite() -> None:
    kinds = {type(module).__name__ for module in on_meta("eeea-net-c2-lite-map", 1).modules()}
    assert "ReLU6" in kinds
    assert not kinds & {"Hardswish", "Hardsigmoid", "SqueezeExcite", "ReLU"}


def test_depthwise_weights_start_as_wide_as_their_own_fan() -> None:
    """kaiming_normal_(fan_out) ignores groups and would start them sqrt(480) times too small."""
    net = build(NetConfig(name="eeea-net-c2-map"), 2)
    depthwise = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.groups == m.in_channels == 480]
    assert depthwise
    for conv in depthwise:
        assert float(conv.weight.detach().std()) == pytest.approx((2 / conv.kernel_size[0] ** 2) ** 0.5, rel=0.05)


def test_the_tap_of_stride_16_is_block_14() -> None:
    net = build(NetConfig(name="eeea-net-c2-map"), 2)
    assert isinstance(net, EeeaNet)
    assert net.tap(16) is net.blocks[14]
    assert net.tap(32) is net.final
    cut = build(NetConfig(name="eeea-net-c2-map", output_stride=16), 2)
    assert isinstance(cut, EeeaNet)
    assert cut.tap(16) is cut.final


def test_the_tap_of_a_fine_nets_maps_is_its_top_down_step() -> None:
    net, cut = on_meta("eeea-net-c2-fine-map", 1), on_meta("eeea-net-c2-fine-map", 1, 16)
    assert isinstance(net, EeeaNet)
    assert isinstance(cut, EeeaNet)
    assert (net.tap(8), net.tap(16), net.tap(32)) == (net.blocks[6], net.finer[0], net.final)
    assert (cut.tap(8), cut.tap(16)) == (cut.finer[0], cut.final)


def test_a_tap_there_is_not_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match="stride 64; choose one of 2, 4, 8, 16, 32"):
        on_meta("eeea-net-c2", 1).tap(64)
