"""Schedule, weight decay and the moving average."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pocketcxr.train.ema import Ema
from pocketcxr.train.optim import OptimConfig, build_optimiser, learning_rate_at

CONFIGS = st.builds(
    OptimConfig,
    steps=st.integers(101, 500),
    warmup_steps=st.integers(0, 100),
    learning_rate=st.floats(1e-5, 1.0),
    floor=st.floats(0, 1),
)


@settings(deadline=None, max_examples=50)
@given(CONFIGS)
def test_the_rate_rises_to_the_top_falls_to_the_floor_and_stays_between(config: OptimConfig) -> None:
    rates = [learning_rate_at(step, config) for step in range(config.steps + 1)]
    assert all(0 <= rate <= config.learning_rate * (1 + 1e-9) for rate in rates)
    warm, rest = rates[: config.warmup_steps], rates[config.warmup_steps :]
    assert warm == sorted(warm)
    assert all(later <= sooner + 1e-12 for sooner, later in pairwise(rest))
    assert rest[0] == pytest.approx(config.learning_rate)
    assert rest[-1] == pytest.approx(config.learning_rate * config.floor, abs=1e-9)


def test_a_warm_up_longer_than_the_run_is_refused() -> None:
    with pytest.raises(ValueError, match="warmup_steps"):
        OptimConfig(steps=100, warmup_steps=100)


def test_norms_and_biases_do_not_decay() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    optimiser = build_optimiser([net], OptimConfig(weight_decay=0.1))
    decayed = {id(p) for group in optimiser.param_groups if group["weight_decay"] > 0 for p in group["params"]}
    assert decayed == {id(net[0].weight), id(net[2].weight)}
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(list(net.parameters()))


def test_frozen_weights_are_left_out() -> None:
    net = nn.Linear(2, 2)
    net.weight.requires_grad_(False)
    optimiser = build_optimiser([net], OptimConfig())
    assert [p is net.bias for group in optimiser.param_groups for p in group["params"]] == [True]


def test_no_decay_is_the_net_itself_and_counters_are_copied() -> None:
    net = nn.BatchNorm2d(2)
    ema = Ema(net, 0.0)
    net(torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0)))
    ema.update(100)
    for name, value in net.state_dict().items():
        assert torch.equal(ema.tensors[name], value)
    assert ema.tensors["num_batches_tracked"] == 1


@settings(deadline=None, max_examples=20)
@given(decay=st.floats(0.5, 0.999), steps=st.integers(1, 60))
def test_the_average_of_a_still_net_is_the_net_and_lies_between_old_and_new(decay: float, steps: int) -> None:
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    ema = Ema(net, decay)
    nn.init.ones_(net.weight)
    expected = 0.0
    for step in range(1, steps + 1):
        ema.update(step)
        used = min(decay, (1 + step) / (10 + step))
        expected = used * expected + (1 - used)
    assert math.isclose(ema.tensors["weight"].item(), expected, rel_tol=1e-4)
    assert 0 < ema.tensors["weight"].item() <= 1
