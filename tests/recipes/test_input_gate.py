"""The gate is made of its config and seed alone; its pictures are of the kinds they are called."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pocketcxr.domain.errors import UnknownNameError
from pocketcxr.models.gate_net import GateNet
from pocketcxr.recipes.input_gate import GateConfig, gate_bytes, make_gate
from pocketcxr.recipes.input_gate_pictures import SHARES, draw_chests, gate_pictures, picture
from pocketcxr.runtime.input_gate import KINDS, GateFacts, open_gate

TINY = GateConfig(num_chests=10, num_pictures=100, num_choosing=100, epochs=1, batch_size=32)


def test_equal_seeds_give_equal_pictures_and_all_kinds_come() -> None:
    chests = draw_chests(10, seed=3, side=48)
    first, again = (gate_pictures(100, chests, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first.inputs, again.inputs)
    assert set(first.kinds) == set(range(len(KINDS)))
    assert sum(SHARES) == pytest.approx(1)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(UnknownNameError, match="lateral"):
        picture("sideways", draw_chests(10, seed=3, side=48), np.random.default_rng(0))


def test_the_file_answers_as_the_net_does() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        net = GateNet(len(KINDS)).eval()
    facts = GateFacts(
        least_frontal=0.1,
        min_side_px=48,
        least_spread=12,
        most_white_share=0.9,
        most_black_share=0.9,
        most_coloured_share=0.2,
        grid_decades=3,
        made_by="a test",
        seed=5,
    )
    gate = open_gate(gate_bytes(net, facts), "a test")
    assert gate.facts == facts
    images = torch.randn(3, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = torch.softmax(net(images), dim=1).numpy()
    np.testing.assert_allclose(gate.probabilities(images.numpy()), expected, atol=1e-5)


@pytest.mark.slow
def test_one_config_gives_one_file(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    first, again = (make_gate(TINY, tmp_path / name) for name in ("a.onnx", "b.onnx"))
    assert first.read_bytes() == again.read_bytes()
    assert torch.equal(before, torch.random.get_rng_state())
    assert 0 < open_gate(first.read_bytes(), "a test").facts.least_frontal <= TINY.most_least_frontal
