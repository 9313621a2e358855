"""The bundle's two graphs: preprocess.onnx from a PreprocessSpec, model.onnx from a net."""

from collections.abc import Sequence

import numpy as np
import onnx
import torch
from jaxtyping import Float
from numpy.typing import DTypeLike
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from pocketcxr._version import __version__
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.outputs import Net, evaluating
from pocketcxr.runtime.card import INTENDED_USE

OPSET = 20
"""Resize has antialias since 18; 20 is the newest that the engines of phones and browsers all read."""
IR_VERSION = 10
"""The file format, the same for both graphs."""
TRACED_BATCH = 2
"""torch.export takes a batch of 1 for a constant."""


def preprocess_model(spec: PreprocessSpec) -> onnx.ModelProto:
    """A graph from `image` uint8 [h, w], gray of any size, to `images` float32 [1, 1, size, size].

    Pad to a centred square, antialiased bilinear resize, round to 8 bits, normalise: as imaging.preprocess. Pillow
    rounds after each of its two passes and this graph once, so a pixel is equal or one grey level apart, never more.
    """
    graph = helper.make_graph(
        _preprocess_nodes(),
        "preprocess",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["height", "width"])],
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 1, spec.size, spec.size])],
        _preprocess_constants(spec),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return _finished(model, {"preprocess": spec.model_dump_json()})


def net_model(net: Net, spec: PreprocessSpec, findings: Sequence[str]) -> onnx.ModelProto:
    """The net as a graph from `images` [batch, 1, size, size] to `logits` and `heatmaps`, the net's class maps.

    Float32, any batch, weights inside. The net's training mode is left as found.
    """
    exported = _Exported(net)
    with evaluating(exported):
        model = traced(exported, spec.size, ["logits", "heatmaps"])
    return _finished(_without_traces(model), {"findings": ",".join(findings)})


def traced(net: nn.Module, size: int, outputs: Sequence[str]) -> onnx.ModelProto:
    """The module as a graph from `images` [batch, 1, size, size], any batch, to `outputs`; weights inside."""
    program = torch.onnx.export(
        net,
        (torch.zeros(TRACED_BATCH, 1, size, size),),
        input_names=["images"],
        output_names=list(outputs),
        dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise TypeError("torch.onnx.export returned no program")
    model: onnx.ModelProto = program.model_proto
    return model


class _Exported(nn.Module):
    """The two outputs a bundle has, in their order."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Float[Tensor, "b 1 s s"]) -> tuple[Tensor, Tensor]:
        output = self.net(images)
        return output.logits, output.class_maps


def _preprocess_constants(spec: PreprocessSpec) -> list[TensorProto]:
    return [
        _constant("two", 2, np.int64),
        _constant("black", 0, np.uint8),
        _constant("batch_and_channel", [0, 1], np.int64),
        _constant("model_shape", [1, 1, spec.size, spec.size], np.int64),
        _constant("half", 0.5, np.float32),
        _constant("scale", 1.0 / (255.0 * spec.std), np.float32),
        _constant("offset", spec.mean / spec.std, np.float32),
    ]


def _preprocess_nodes() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("ReduceMax", ["shape"], ["side"], keepdims=1),
        helper.make_node("Sub", ["side", "shape"], ["missing"]),
        helper.make_node("Div", ["missing", "two"], ["before"]),
        helper.make_node("Sub", ["missing", "before"], ["after"]),
        helper.make_node("Concat", ["before", "after"], ["pads"], axis=0),
        helper.make_node("Pad", ["image", "pads", "black"], ["padded"]),
        helper.make_node("Cast", ["padded"], ["padded_float"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["padded_float", "batch_and_channel"], ["square"]),
        helper.make_node(
            "Resize",
            ["square", "", "", "model_shape"],
            ["resized"],
            mode="linear",
            antialias=1,
            exclude_outside=1,  # or the borders mix with what is not there
            coordinate_transformation_mode="half_pixel",
        ),
        # Round halves up: the net was trained on whole grey levels.
        helper.make_node("Add", ["resized", "half"], ["raised"]),
        helper.make_node("Floor", ["raised"], ["pixels"]),
        helper.make_node("Mul", ["pixels", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "offset"], ["images"]),
    ]


def _constant(name: str, value: float | list[int], dtype: DTypeLike) -> TensorProto:
    return numpy_helper.from_array(np.array(value, dtype=dtype), name)


def _finished(model: onnx.ModelProto, facts: dict[str, str]) -> onnx.ModelProto:
    """The model with its origin and intended use written into it, checked. Raises onnx.checker.ValidationError."""
    model.producer_name, model.producer_version = "pocketcxr", __version__
    model.doc_string = INTENDED_USE
    helper.set_model_props(model, {"intended_use": INTENDED_USE, **facts})
    onnx.checker.check_model(model, full_check=True)
    return model


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without the exporter's notes on every node: source paths of this machine, and a third of the file."""
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        value.ClearField("metadata_props")
        value.ClearField("doc_string")
    model.graph.ClearField("metadata_props")
    model.graph.ClearField("value_info")
    return model
