"""Engines that disagree are not shipped."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from pocketcxr.domain.errors import ParityError
from pocketcxr.export.build import BuiltFiles, NetToExport
from pocketcxr.export.onnx import preprocess_model
from pocketcxr.export.parity import check_net, check_preprocess
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.outputs import ModelOutput, Net
from pocketcxr.runtime.card import MODEL

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 64, 64), dtype=np.uint8)


def test_an_exported_net_agrees_with_torch_in_every_batch_size(source: NetToExport, built: BuiltFiles) -> None:
    deviation = check_net(source.net, onnx.load_from_string(built.files[MODEL]), PIXELS, source.spec)
    assert deviation <= 1e-4


@pytest.mark.parametrize("amount", [1e-2, float("nan")])
def test_a_changed_weight_is_found(amount: float, source: NetToExport, built: BuiltFiles) -> None:
    model = onnx.load_from_string(built.files[MODEL])
    weight = next(t for t in model.graph.initializer if t.name.endswith("head.maps.weight"))
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + np.float32(amount), weight.name))
    with pytest.raises(ParityError, match=r"deviate from torch by"):
        check_net(source.net, model, PIXELS, source.spec)


class FirstOnly(Net):
    """A net that answers for the first image of a batch alone."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: torch.Tensor) -> ModelOutput:
        return self.net(images[:1])

    def tap(self, stride: int) -> torch.nn.Module:
        return self.net.tap(stride)


def test_a_graph_of_another_shape_is_found(source: NetToExport, built: BuiltFiles) -> None:
    with pytest.raises(ParityError, match="have shape"):
        check_net(FirstOnly(source.net), onnx.load_from_string(built.files[MODEL]), PIXELS, source.spec)


def test_another_resize_is_found() -> None:
    spec = PreprocessSpec(size=64)
    model = preprocess_model(spec)
    resize = next(node for node in model.graph.node if node.op_type == "Resize")
    for attribute in resize.attribute:
        if attribute.name in {"antialias", "exclude_outside"}:
            attribute.i = 0
    image = np.random.default_rng(0).integers(0, 256, (200, 150), dtype=np.uint8)
    with pytest.raises(ParityError, match="grey levels"):
        check_preprocess(model, spec, [image])
