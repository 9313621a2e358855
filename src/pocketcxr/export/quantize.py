"""INT8: weights and activations in 8 bits, in QDQ form, which onnxruntime and OpenVINO both fuse.

Activations are unsigned with ranges from calibration images, weights signed and per output channel. Weights use 7 of
their 8 bits: x86 processors without VNNI add products in 16 bits, where 8 would overflow and answer wrongly
(onnxruntime's guide on quantisation), and every machine should answer alike. Nodes that make the outputs stay in float,
so that logits and heatmaps are not rounded to 256 steps.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.qdq_loss_debug import (
    collect_activations,
    compute_activation_error,
    compute_weight_error,
    create_activation_matching,
    create_weight_matching,
    modify_model_output_intermediate_tensors,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from pocketcxr.export.graph import WEIGHTED, batches, finished, weighted_layers

PREPARED, WHOLE = "prepared.onnx", "int8.onnx"
NUM_ERROR_IMAGES = 8
"""Every activation of these is kept at once, of both models."""


class Quantiser:
    """One model's ranges, computed once, and what becomes of it at any choice of float layers.

    Use as `with quantiser(model, images) as it`: its files live that long.
    """

    def __init__(self, folder: Path, model: onnx.ModelProto, images: NDArray[np.float32]) -> None:
        self._folder, self._images = folder, images
        prepared = folder / PREPARED
        # The graph is optimised already, and onnxruntime's optimiser would take HardSwish apart into three nodes.
        quant_pre_process(model, prepared, skip_optimization=True, skip_symbolic_shape=True)
        self._model = _named(onnx.load(prepared))
        onnx.save(self._model, prepared)
        self._head = _output_nodes(self._model)
        self.layers = [name for name in weighted_layers(self._model) if name not in self._head]
        """Those that are quantised unless chosen otherwise."""

    def build(self, float_layers: Sequence[str] = ()) -> onnx.ModelProto:
        """The INT8 model; `float_layers`, of `layers`, stay in float."""
        path = self._folder / ("mixed.onnx" if float_layers else WHOLE)
        self._quantise(path, float_layers)
        return finished(onnx.load(path))

    def by_error(self) -> list[str]:
        """`layers`, the one that loses most first.

        A layer's loss is the lowest signal-to-noise ratio of its weights and of the activations it reads, each against
        itself before rounding, so that errors from further up do not count against it.
        """
        prepared, whole = self._folder / PREPARED, self._folder / WHOLE
        if not whole.exists():
            self._quantise(whole, ())
        ratios = self._activation_ratios() | compute_weight_error(create_weight_matching(str(prepared), str(whole)))
        nodes = {node.name: node for node in self._model.graph.node}
        worst = {name: min(ratios.get(value, np.inf) for value in nodes[name].input[:2]) for name in self.layers}
        return sorted(self.layers, key=lambda name: worst[name])

    def _quantise(self, path: Path, float_layers: Sequence[str]) -> None:
        quantize_static(
            self._folder / PREPARED,
            path,
            _Reader(self._images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=sorted({*self._head, *float_layers}),
            calibration_cache_path=self._folder / "ranges.json",
        )

    def _activation_ratios(self) -> dict[str, float]:
        """Signal to quantisation noise of every quantised activation, decibels."""
        found = []
        for model in (self._folder / WHOLE, self._folder / PREPARED):
            augmented = self._folder / "augmented.onnx"
            modify_model_output_intermediate_tensors(model, augmented)
            found.append(collect_activations(str(augmented), _Reader(self._images[:NUM_ERROR_IMAGES])))
        matched = create_activation_matching(*found)
        return {name: errors["qdq_err"] for name, errors in compute_activation_error(matched).items()}


@contextmanager
def quantiser(model: onnx.ModelProto, images: NDArray[np.float32]) -> Iterator[Quantiser]:
    """A float32 model's Quantiser; `images` [n, 1, size, size] are model inputs to take ranges from."""
    with tempfile.TemporaryDirectory(prefix="pocketcxr-int8-") as folder:
        yield Quantiser(Path(folder), model, images)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Images as onnxruntime's calibration asks for them."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self._batches = iter(batches(images))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a name on every node: nodes are left out by name."""
    for place, node in enumerate(model.graph.node):
        node.name = f"{place:03}_{node.op_type}"
    return model


def _output_nodes(model: onnx.ModelProto) -> set[str]:
    """The names of the nodes between each output and the weights before it, those included."""
    makers = {output: node for node in model.graph.node for output in node.output}
    found: set[str] = set()
    pending = [makers[output.name] for output in model.graph.output]
    while pending:
        node = pending.pop()
        if node.name in found:
            continue
        found.add(node.name)
        if node.op_type not in WEIGHTED:
            pending += [makers[name] for name in node.input if name in makers]
    return found
