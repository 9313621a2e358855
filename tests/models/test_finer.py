"""Finer: local detail stays local, the coarse features lie where they belong, and the graph computes the same."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pocketcxr.export.onnx import net_model
from pocketcxr.export.parity import check_net
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.config import Pooling
from pocketcxr.models.outputs import evaluating
from pocketcxr.models.students.eeea import EeeaNet, EeeaShape, EeeaTable
from pocketcxr.models.students.finer import Finer
from pocketcxr.models.students.mobile_block import BlockRow

SMALL = EeeaTable(
    stem=8,
    rows=(
        BlockRow(3, 2, 16, 8, "relu", True),
        BlockRow(3, 2, 24, 12, "relu6", False),
        BlockRow(3, 2, 24, 16, "h_swish", True),
    ),
    final=32,
    mixed=8,
    head="class-map",
    doublings=1,
    width=12,
)
"""Stride 16 after the last row, so that its maps are of stride 8."""


def changed_cells(step: Finer, coarse: Tensor, side: Tensor, moved: tuple[Tensor, Tensor]) -> Tensor:
    """How much each cell of the answer [h, w] moves when the inputs become `moved`."""
    with evaluating(step), torch.no_grad():
        return (step(*moved) - step(coarse, side)).abs().amax((0, 1))


@settings(deadline=None, max_examples=20)
@given(row=st.integers(0, 7), column=st.integers(0, 7))
def test_a_cell_of_the_side_moves_itself_and_its_neighbours_alone(row: int, column: int) -> None:
    step, coarse, side = Finer(6, 4, 8, "h_swish"), torch.zeros(1, 6, 4, 4), torch.zeros(1, 4, 8, 8)
    moved = side.clone()
    moved[..., row, column] = 5
    change = changed_cells(step, coarse, side, (coarse, moved))
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    is_near = ((rows - row).abs() <= 1) & ((columns - column).abs() <= 1)
    assert change[row, column] > 0
    assert not change[~is_near].any()


@settings(deadline=None, max_examples=20)
@given(row=st.integers(0, 3), column=st.integers(0, 3))
def test_a_coarse_cell_moves_the_four_cells_it_covers_and_those_around_alike(row: int, column: int) -> None:
    """Bilinear between cell centres: nothing is shifted by half a cell."""
    step, coarse, side = Finer(6, 4, 8, "relu6"), torch.zeros(1, 6, 4, 4), torch.zeros(1, 4, 8, 8)
    moved = coarse.clone()
    moved[..., row, column] = 5
    change = changed_cells(step, coarse, side, (moved, side)).nonzero()
    assert change[:, 0].min() >= 2 * row - 2
    assert change[:, 0].max() <= 2 * row + 3
    assert change[:, 1].min() >= 2 * column - 2
    assert change[:, 1].max() <= 2 * column + 3


def test_two_steps_double_the_grid_twice() -> None:
    net = EeeaNet(EeeaTable(8, SMALL.rows, 32, 8, "class-map", doublings=2, width=12), EeeaShape(1, 3))
    with evaluating(net), torch.no_grad():
        output = net(torch.zeros(1, 1, 64, 64))
    assert output.class_maps.shape == (1, 3, 16, 16)
    assert (net.tap(4), net.tap(8), net.tap(16)) == (net.finer[1], net.finer[0], net.final)


@pytest.mark.slow
@pytest.mark.parametrize(("pooling", "size"), [("mean", 72), ("log-sum-exp", 64), ("attention", 64)])
def test_the_exported_graph_agrees_with_torch_however_pooled_and_on_odd_grids(pooling: Pooling, size: int) -> None:
    """At 72 pixels 9 cells are laid over 5. Evidence of size 100 would overflow a plain exp."""
    torch.manual_seed(0)
    net = EeeaNet(SMALL, EeeaShape(1, 3, pooling=pooling)).eval()
    with torch.no_grad():
        net.head.get_submodule("maps").get_parameter("weight").mul_(1000)
        if pooling == "attention":
            net.head.get_submodule("attention").get_parameter("weight").normal_()
    spec = PreprocessSpec(size=size)
    pixels = np.random.default_rng(0).integers(0, 256, (3, size, size), dtype=np.uint8)
    model = net_model(net, spec, ("Effusion", "Nodule", "Mass"))
    assert "Resize" in {node.op_type for node in model.graph.node}
    assert check_net(net, model, pixels, spec) <= 1e-4
