"""Both heads: maps that add up however they are pooled, and Grad-CAM's closed form against autograd."""

from math import log
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from pocketcxr.models.config import Pooling
from pocketcxr.models.heads import (
    ClassMapHead,
    PaperHead,
    Reference,
    attention_maps,
    hard_swish_slope,
    log_sum_exp_maps,
    without_reference,
)

SHARPNESS = torch.tensor(5.0, dtype=torch.float64)
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


def features(seed: int, batch: int = 2, channels: int = 12, side: int = 4) -> Tensor:
    return torch.randn(batch, channels, side, side, generator=torch.Generator().manual_seed(seed))


def maps(seed: int, side: int, scale: float = 1.0) -> Tensor:
    """Evidence or scores [2, 3, side, side] in double precision."""
    values = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return scale * values


def pooling_head(pooling: Pooling, drop_rate: float = 0.0) -> ClassMapHead:
    """A head that has learnt something: its weights are of size 1, attention's too."""
    head = ClassMapHead(12, 5, drop_rate, pooling)
    with torch.no_grad():
        for number, parameter in enumerate(head.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))
    return head


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    batch=st.integers(1, 3),
    side=st.integers(1, 7),
    drop_rate=st.sampled_from([0.0, 0.3]),
    pooling=st.sampled_from(POOLINGS),
)
def test_class_maps_add_up_to_the_logits_exactly_however_pooled_even_with_dropout(
    seed: int, batch: int, side: int, drop_rate: float, pooling: Pooling
) -> None:
    output = pooling_head(pooling, drop_rate)(features(seed, batch, side=side))
    assert output.class_maps.shape == (batch, 5, side, side)
    torch.testing.assert_close(output.class_maps.mean((2, 3)), output.logits, rtol=0, atol=0)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), side=st.integers(1, 14), scale=st.sampled_from([1e-3, 1.0, 30.0, 1e4]))
def test_log_sum_exp_lies_between_mean_and_maximum_and_keeps_the_cells_differences(
    seed: int, side: int, scale: float
) -> None:
    evidence = maps(seed, side, scale)
    raised = log_sum_exp_maps(evidence, SHARPNESS)
    logits, mean, maximum = raised.mean((2, 3)), evidence.mean((2, 3)), evidence.amax((2, 3))
    slack = 1e-12 * scale
    assert (logits >= mean - slack).all()
    assert (logits <= maximum + slack).all()
    assert (logits >= maximum - log(side * side) / SHARPNESS - slack).all()
    torch.testing.assert_close(raised - raised[..., :1, :1], evidence - evidence[..., :1, :1], rtol=1e-9, atol=slack)


def test_log_sum_exp_is_its_formula_and_its_gradient_a_softmax_of_the_evidence() -> None:
    evidence = maps(0, 4).requires_grad_()
    logits = log_sum_exp_maps(evidence, SHARPNESS).mean((2, 3))
    formula = (SHARPNESS * evidence).exp().mean((2, 3)).log() / SHARPNESS
    torch.testing.assert_close(logits, formula)
    (gradient,) = torch.autograd.grad(logits.sum(), evidence)
    torch.testing.assert_close(gradient.flatten(2), (SHARPNESS * evidence).flatten(2).softmax(2))


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), side=st.integers(1, 14), sharpness=st.floats(0, 50), offset=st.floats(-20, 20))
def test_the_mean_of_attention_maps_is_the_evidence_weighed_by_attention(
    seed: int, side: int, sharpness: float, offset: float
) -> None:
    evidence, scores = maps(seed, side) + offset, maps(seed + 1, side, sharpness)
    shares = scores.flatten(2).softmax(2)
    weighed = (shares * evidence.flatten(2)).sum(2)
    torch.testing.assert_close(attention_maps(evidence, scores).mean((2, 3)), weighed, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), score=st.floats(-50, 50))
def test_equal_attention_is_the_mean(seed: int, score: float) -> None:
    evidence = maps(seed, 4)
    torch.testing.assert_close(attention_maps(evidence, torch.full_like(evidence, score)), evidence)
    new, mean = ClassMapHead(12, 5, pooling="attention"), ClassMapHead(12, 5)
    mean.maps.load_state_dict(new.maps.state_dict())
    torch.testing.assert_close(new(features(seed)).class_maps, mean(features(seed)).class_maps)


def test_the_warmest_cell_is_one_that_was_looked_at_even_where_the_logit_is_negative() -> None:
    """h w a evidence would show -8 there, and 0 in the cells nobody looked at."""
    evidence, scores = torch.full((1, 1, 2, 2), -4.0), torch.full((1, 1, 2, 2), -30.0)
    evidence[0, 0, 0, 1], scores[0, 0, 0, 1] = -2.0, 0.0
    class_map = attention_maps(evidence, scores)[0, 0]
    torch.testing.assert_close(class_map, torch.tensor([[-3.5, 2.5], [-3.5, -3.5]]))
    assert float(class_map.mean()) == pytest.approx(-2.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_sixteen_bits_neither_overflow_nor_lose_the_logit(pooling: Pooling, dtype: torch.dtype) -> None:
    """exp(5 x) leaves float16 from x = 2.2 on."""
    head, x = pooling_head(pooling), 4 * features(3, side=14)
    wide = head(x)
    with torch.autocast("cpu", dtype):
        narrow = head(x)
    assert float(wide.class_maps.detach().abs().max()) > 20
    assert narrow.class_maps.isfinite().all()
    torch.testing.assert_close(narrow.logits.float(), wide.logits, rtol=0.03, atol=0.2)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_parameter_of_the_head_learns(pooling: Pooling) -> None:
    head = ClassMapHead(12, 5, pooling=pooling)
    head(features(0)).logits.square().sum().backward()
    silent = [name for name, one in head.named_parameters() if one.grad is None or not one.grad.any()]
    assert silent == []


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


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    side=st.integers(1, 7),
    measured_on=st.integers(1, 7),
    pooling=st.sampled_from(POOLINGS),
)
def test_a_reference_moves_evidence_from_place_to_place_and_leaves_the_logit(
    seed: int, side: int, measured_on: int, pooling: Pooling
) -> None:
    head = pooling_head(pooling).eval()
    plain = head(features(seed, side=side))
    measured = 3 + torch.randn(5, measured_on, measured_on, generator=torch.Generator().manual_seed(seed))
    head.reference.put(measured)
    output = head(features(seed, side=side))
    assert torch.equal(output.logits, plain.logits)
    torch.testing.assert_close(output.class_maps.mean((2, 3)), output.logits, rtol=1e-5, atol=1e-5)
    if side == measured_on:
        expected = plain.class_maps - measured + measured.mean((1, 2), keepdim=True)
        torch.testing.assert_close(output.class_maps, expected)


def test_what_every_image_shows_is_nowhere_in_the_difference() -> None:
    head = pooling_head("mean").eval()
    shown = features(0, batch=1)
    head.reference.put(head(shown).class_maps[0])
    output = head(shown)
    torch.testing.assert_close(output.class_maps, output.logits[:, :, None, None].expand_as(output.class_maps))


@pytest.mark.parametrize("head", [ClassMapHead(12, 5), PaperHead(12, 8, 5)], ids=["class-map", "paper"])
def test_a_reference_is_no_weight_and_a_copy_can_do_without(head: ClassMapHead | PaperHead) -> None:
    head.eval()
    before, names = head(features(1)), head.state_dict().keys()
    reference = Reference.of(head)
    assert reference is not None
    reference.put(torch.randn(5, 4, 4, generator=torch.Generator().manual_seed(0)))
    assert head.state_dict().keys() == names
    changed = head(features(1))
    assert not torch.equal(changed.class_maps, before.class_maps)
    assert torch.equal(changed.logits, before.logits)
    assert torch.equal(without_reference(head)(features(1)).class_maps, before.class_maps)
    assert torch.equal(head(features(1)).class_maps, changed.class_maps)
