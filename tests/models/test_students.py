"""Our own nets: the published counts, the rows, the strides, the start."""

import pytest
import torch
from torch import Tensor, nn

from pocketcxr.domain.errors import ConfigError
from pocketcxr.models.build import build
from pocketcxr.models.complexity import Complexity, complexity
from pocketcxr.models.config import NetConfig
from pocketcxr.models.outputs import Net, evaluating
from pocketcxr.models.students.eeea import TABLES, EeeaNet, at_stride
from pocketcxr.models.students.mobile_block import squeezed_channels

PUBLISHED = {
    "eeea-net-c2": (4_732_838, 289_941_952),
    "eeea-net-c1": (3_805_062, 181_865_760),
    "ofa-595": (7_620_446, 511_347_184),
    "eeea-net-c2-map": (3_499_558, 289_353_792),
    "eeea-net-c2-lite-map": (1_876_902, 287_737_408),
}


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
        side = 64 // output_stride
        assert net(images).class_maps.shape == (3, 3, side, side)


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


def test_the_tap_of_stride_16_is_block_14(images: Tensor) -> None:
    net = build(NetConfig(name="eeea-net-c2-map"), 2)
    assert isinstance(net, EeeaNet)
    assert net.tap(16) is net.blocks[14]
    assert net.tap(32) is net.final
    fine = build(NetConfig(name="eeea-net-c2-map", output_stride=16), 2)
    assert isinstance(fine, EeeaNet)
    assert fine.tap(16) is fine.final


def test_a_tap_there_is_not_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match="stride 64; choose one of 2, 4, 8, 16, 32"):
        on_meta("eeea-net-c2", 1).tap(64)
