"""Taps read inner features and leave the net as they found it."""

from collections.abc import Callable

import pytest
import torch

from pocketcxr.distill.taps import Tapped, num_channels
from pocketcxr.models.outputs import Net

MakeNet = Callable[[int], Net]


def test_without_a_stride_the_answer_is_the_nets(make_net: MakeNet) -> None:
    net, images = make_net(3).eval(), torch.rand(2, 1, 32, 32)
    for ours, its in zip(Tapped(net, None)(images), net(images), strict=True):
        assert torch.equal(ours, its)


def test_with_a_stride_only_the_features_are_the_taps(make_net: MakeNet) -> None:
    net, images = make_net(3).eval(), torch.rand(2, 1, 32, 32)
    output, plain = Tapped(net, 8)(images), net(images)
    assert torch.equal(output.features, net.tap(8)(images))
    assert torch.equal(output.logits, plain.logits)
    assert torch.equal(output.class_maps, plain.class_maps)


def test_gradients_pass_through_the_tapped_features(make_net: MakeNet) -> None:
    net = make_net(3)
    Tapped(net, 8)(torch.rand(2, 1, 32, 32)).features.sum().backward()
    assert any(parameter.grad is not None for parameter in net.tap(8).parameters())


def test_the_net_keeps_its_names_and_has_no_hook_after_a_call_even_a_failed_one(make_net: MakeNet) -> None:
    net = make_net(3)
    names = list(net.state_dict())
    tapped = Tapped(net, 8)
    tapped(torch.rand(2, 1, 32, 32))
    with pytest.raises(RuntimeError):
        tapped(torch.rand(2, 5, 32, 32))
    assert not net.tap(8)._forward_hooks
    assert list(net.state_dict()) == names


@pytest.mark.parametrize(("stride", "channels"), [(8, 4), (16, 8), (None, 8)])
def test_the_channels_of_a_tap_are_counted_without_touching_the_net(
    make_net: MakeNet, stride: int | None, channels: int
) -> None:
    net = make_net(3)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    assert num_channels(Tapped(net, stride), size=32) == channels
    assert net.training
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
