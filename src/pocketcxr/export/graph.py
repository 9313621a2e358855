"""What every build has in common: engines to run it, its operators, its file."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

WEIGHTED = ("Conv", "Gemm", "MatMul")
"""Operators whose weights and products take nearly all of a net's bytes and time."""
BATCH_SIZE = 16
ERRORS_ONLY = 3


class GraphAnswers(NamedTuple):
    """What a graph says of n images: logits [n, finding], heatmaps [n, finding, h, w]."""

    logits: NDArray[np.float32]
    heatmaps: NDArray[np.float32]


def open_session(model: bytes, num_threads: int = 1) -> "InferenceSession":
    """The ONNX file in onnxruntime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def answers(model: bytes, images: NDArray[np.float32]) -> GraphAnswers:
    """The graph's answers to model inputs [n, 1, size, size]."""
    session = open_session(model)
    parts = [session.run(["logits", "heatmaps"], {"images": batch}) for batch in batches(images)]
    logits, heatmaps = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return GraphAnswers(logits, heatmaps)


def batches(images: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """The images in order, BATCH_SIZE at a time."""
    for start in range(0, len(images), BATCH_SIZE):
        yield images[start : start + BATCH_SIZE]


def operators(model: onnx.ModelProto) -> dict[str, int]:
    """How many nodes of each operator, by name; one of another domain than ONNX' own is named with it."""
    named = (f"{node.domain}:{node.op_type}" if node.domain else node.op_type for node in model.graph.node)
    return dict(sorted(Counter(named).items()))


def opset(model: onnx.ModelProto) -> int:
    """The version of ONNX' own operators."""
    return int(next(entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}))


def weighted_layers(model: onnx.ModelProto) -> list[str]:
    """The names of the nodes with weights, in order."""
    return [node.name for node in model.graph.node if node.op_type in WEIGHTED]


def finished(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without the tools' notes and the operator sets it does not use, checked.

    Raises onnx.checker.ValidationError.
    """
    used = {"", *(node.domain for node in model.graph.node)}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    notes = [entry for entry in model.metadata_props if not entry.key.startswith("onnx.")]
    del model.metadata_props[:]
    model.metadata_props.extend(notes)
    model.graph.ClearField("value_info")
    onnx.checker.check_model(model, full_check=True)
    return model
