"""Integrated gradients and SmoothGrad: completeness, linear nets, noise."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pocketcxr.explain.gradients import integrated_gradients, smooth_grad
from pocketcxr.explain.one_pass import one_pass
from pocketcxr.explain.options import MethodOptions
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.outputs import ModelOutput, Net


class LinearNet(Net):
    """Logits that are sums of pixels with weights."""

    def __init__(self, channels: int, findings: int, side: int) -> None:
        super().__init__()
        drawn = torch.randn(findings, channels, side, side, generator=torch.Generator().manual_seed(0))
        self.weight = nn.Parameter(drawn)

    def forward(self, images: Tensor) -> ModelOutput:
        maps = (self.weight[None] * images[:, None]).sum(2)
        return ModelOutput(maps.sum((2, 3)), maps, images)

    def tap(self, stride: int) -> nn.Module:
        return self


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("name", ["eeea-net-c2", "mobilenetv4_conv_small"])
def test_integrated_gradients_add_up_to_the_logit_less_that_of_gray(name: str, images: Tensor) -> None:
    net = build(NetConfig(name=name), 3, seed=2)
    maps = integrated_gradients(net, images, [0, 2], MethodOptions(steps=64, batch_size=32))
    with_image, with_gray = one_pass(net, images).logits, one_pass(net, torch.zeros_like(images)).logits
    gained = (with_image - with_gray)[:, [0, 2]].numpy()
    np.testing.assert_allclose(maps.sum(axis=(2, 3)), gained, atol=0.02 * np.abs(gained).max())


@pytest.mark.parametrize("steps", [1, 7])
def test_integrated_gradients_of_a_linear_net_are_its_terms(steps: int) -> None:
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    net = LinearNet(channels=3, findings=2, side=8)
    maps = integrated_gradients(net, images, [1, 0], MethodOptions(steps=steps))
    np.testing.assert_allclose(maps, one_pass(net, images).class_maps.numpy()[:, [1, 0]], rtol=1e-5, atol=1e-5)


def test_smooth_grad_of_a_linear_net_is_its_weights_whatever_the_noise() -> None:
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    net = LinearNet(channels=3, findings=2, side=8)
    maps = smooth_grad(net, images, [1], MethodOptions(noise_samples=5, batch_size=3, noise_share=1.0))
    expected = net.weight.detach().sum(1).numpy()[1]
    np.testing.assert_allclose(maps, np.stack([expected[None]] * 2), rtol=1e-5, atol=1e-6)


def test_smooth_grad_depends_on_its_seed_alone(images: Tensor) -> None:
    net = build(NetConfig(name="mobilenetv4_conv_small"), 2, seed=2)
    torch.manual_seed(1)
    first = smooth_grad(net, images, [0], MethodOptions(noise_samples=4))
    torch.manual_seed(2)
    again = smooth_grad(net, images, [0], MethodOptions(noise_samples=4))
    other = smooth_grad(net, images, [0], MethodOptions(noise_samples=4, seed=1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01 * np.abs(first).max()


def test_the_gradient_of_a_constant_image_needs_no_noise() -> None:
    net = LinearNet(channels=1, findings=1, side=8)
    maps = smooth_grad(net, torch.ones(1, 1, 8, 8), [0], MethodOptions(noise_samples=2))
    np.testing.assert_allclose(maps[0, 0], net.weight.detach()[0, 0].numpy(), rtol=1e-6)
