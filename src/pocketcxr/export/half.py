"""A graph with weights of 16 bits: half the file. Where a processor cannot compute with them, engines widen them."""

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from pocketcxr.export.graph import finished


def half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in float16, with float32 inputs and outputs; `model` stays as it is."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    converted = OnnxModel(convert_float_to_float16(copy, keep_io_types=True))
    # The casts at inputs and outputs are appended at the end; ONNX wants every value made before it is read.
    converted.topological_sort(is_deterministic=True)
    return finished(converted.model)
