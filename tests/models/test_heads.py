"""Both heads: maps that add up, and Grad-CAM's closed form against autograd."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from pocketcxr.models.heads import ClassMapHead, PaperHead, hard_swish_slope


def features(seed: int, batch: int = 2, channels: int = 12, side: int = 4) -> Tensor:
    return torch.randn(batch, channels, side, side, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 10_000), batch=st.integers(1, 3), side=st.integers(1, 7), drop_rate=st.sampled_from([0.0, 0.3])
)
def test_class_maps_add_up_to_the_logits_exactly_even_with_dropout(
    seed: int, batch: int, side: int, drop_rate: float
) -> None:
    head = ClassMapHead(12, 5, drop_rate)
    output = head(features(seed, batch, side=side))
    assert output.class_maps.shape == (batch, 5, side, side)
    torch.testing.assert_close(output.class_maps.mean((2, 3)), output.logits, rtol=0, atol=0)


def test_the_class_map_head_equals_pooling_and_a_linear_layer() -> None:
    head, x = ClassMapHead(12, 5), features(0)
    pooled = functional.linear(x.mean((2, 3)), head.maps.weight[:, :, 0, 0], head.maps.bias)
    torch.testing.assert_close(head(x).logits, pooled)


@given(value=st.floats(-6, 6).filter(lambda value: abs(abs(value) - 3) > 1e-6))
def test_the_slope_is_that_of_h_swish(value: float) -> None:
    x = torch.tensor([value], dtype=torch.float64, requires_grad=True)
    functional.hardswish(x).sum().backward()
    torch.testing.assert_close(hard_swish_slope(x.detach()), x.grad)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_the_paper_head_gives_the_mean_gradient_weighted_sum_of_every_finding(seed: int) -> None:
    head = PaperHead(12, 20, 5).double()
    x = (3 * features(seed).double()).requires_grad_()
    output = head(x)
    for finding in range(5):
        (gradient,) = torch.autograd.grad(output.logits[:, finding].sum(), x, retain_graph=True)
        expected = (gradient.mean((2, 3), keepdim=True) * x).sum(1)
        torch.testing.assert_close(output.class_maps[:, finding], expected, rtol=1e-9, atol=1e-12)


def test_where_the_mix_is_linear_the_maps_sum_to_the_logits_without_bias() -> None:
    """Above 3, h_swish is the identity: Grad-CAM's map adds up too, as a sum instead of a mean."""
    head, x = PaperHead(4, 6, 3), torch.rand(2, 4, 3, 3, generator=torch.Generator().manual_seed(0)) + 5
    with torch.no_grad():
        head.mix.weight.abs_().add_(1)
        output = head(x)
    torch.testing.assert_close(output.class_maps.sum((2, 3)), output.logits - head.classifier.bias)


def test_dropout_of_the_paper_head_counts_in_its_maps() -> None:
    head, x = PaperHead(12, 20, 5, drop_rate=0.5), features(1).requires_grad_()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        output = head(x)
    (gradient,) = torch.autograd.grad(output.logits[:, 0].sum(), x)
    expected = (gradient.mean((2, 3), keepdim=True) * x).sum(1)
    torch.testing.assert_close(output.class_maps[:, 0], expected)
    head.eval()
    torch.testing.assert_close(head(x).logits, head(x).logits, rtol=0, atol=0)


@pytest.mark.parametrize("head", [ClassMapHead(12, 5), PaperHead(12, 20, 5)], ids=["class-map", "paper"])
def test_class_maps_can_be_learnt_from(head: torch.nn.Module) -> None:
    x = features(2).requires_grad_()
    head(x).class_maps.square().sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0
