"""A net under fake quantisation rounds as its INT8 build does, and learns through it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pocketcxr.export import fake_quant
from pocketcxr.export.build import NetToExport
from pocketcxr.export.fake_quant import fake_quantised, rounded_activations, rounded_weights
from pocketcxr.export.graph import answers
from pocketcxr.export.onnx import net_model
from pocketcxr.export.quantize import quantiser
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.outputs import Net

seeds = st.integers(0, 10_000)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(seeds, st.floats(-3, 3))
def test_weights_are_rounded_as_torch_rounds_a_channel_to_129_steps(seed: int, exponent: float) -> None:
    weights = 10**exponent * drawn(seed, 5, 3, 2, 2)
    steps = weights.abs().amax(dim=(1, 2, 3)) / 64
    peer = torch.fake_quantize_per_channel_affine(weights, steps, torch.zeros(5, dtype=torch.int32), 0, -64, 64)
    assert_rounded_alike(rounded_weights(weights), peer, steps.max())


@given(seeds, st.floats(-3, 3), st.floats(-5, 5))
def test_activations_are_rounded_as_torch_rounds_a_tensor_to_unsigned_bytes(
    seed: int, exponent: float, offset: float
) -> None:
    values = 10**exponent * (drawn(seed, 2, 3, 4, 4) + offset)
    low, high = min(0.0, values.min().item()), max(0.0, values.max().item())
    step = (high - low) / 255
    peer = torch.fake_quantize_per_tensor_affine(values, step, round(-low / step), 0, 255)
    assert_rounded_alike(rounded_activations(values), peer, torch.tensor(step))


def assert_rounded_alike(actual: torch.Tensor, peer: torch.Tensor, step: torch.Tensor) -> None:
    """Equal, but that single precision may send a value on the border of two steps to the other one."""
    apart = (actual - peer).abs()
    assert apart.max() <= 1.001 * step
    assert (apart > 1e-3 * step).float().mean() < 0.05


def test_zero_stays_zero_and_what_is_all_zero_stays_finite() -> None:
    assert rounded_activations(torch.tensor([-1.0, 0.0, 2.7]))[1] == 0
    for rounded in (rounded_activations, rounded_weights):
        zeros = torch.zeros(2, 3, requires_grad=True)
        torch.autograd.backward(rounded(zeros).sum())
        assert zeros.grad is not None
        assert zeros.grad.isfinite().all()


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet"])
def test_with_steps_too_small_to_see_it_is_the_net_and_every_weight_learns(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = lively(build(NetConfig(name=name), num_findings=3))
    images = drawn(1, 4, 1, 64, 64)
    monkeypatch.setattr(fake_quant, "WEIGHT_STEPS", 2**20)
    monkeypatch.setattr(fake_quant, "ACTIVATION_STEPS", 2**20)
    said = fake_quantised(net, 64)(images)
    meant = net.eval()(images)
    for ours, theirs in zip(said, meant, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * theirs.abs().max().item())
    torch.autograd.backward(said.class_maps.square().sum())
    assert [key for key, weight in net.named_parameters() if weight.grad is None] == []


def test_it_errs_as_much_as_the_int8_build_and_in_the_same_direction(source: NetToExport) -> None:
    images = drawn(2, 16, 1, 64, 64)
    model = net_model(source.net, source.spec, source.findings)
    with quantiser(model, images.numpy()) as it:
        built = answers(it.build().SerializeToString(), images.numpy()).heatmaps
    meant = answers(model.SerializeToString(), images.numpy()).heatmaps
    with torch.no_grad():
        said = fake_quantised(source.net, 64)(images).class_maps.numpy()
    of_build, of_net = (built - meant).ravel(), (said - meant).ravel()
    assert 0.5 < of_net.std() / of_build.std() < 2
    assert np.corrcoef(of_build, of_net)[0, 1] > 0.2


def lively(net: Net) -> Net:
    """With statistics of batch norm that are not 0 and 1, so that folding them shows."""
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.1, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return net
