"""INT8 and float16 say nearly what float32 says, in smaller files that keep a bundle's interface."""

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from pocketcxr.export.build import BuiltFiles, NetToExport
from pocketcxr.export.golden import golden_images
from pocketcxr.export.graph import answers, operators, opset, weighted_layers
from pocketcxr.export.half import half
from pocketcxr.export.onnx import OPSET
from pocketcxr.export.quantize import Quantiser, quantiser
from pocketcxr.imaging.preprocess import normalise, square
from pocketcxr.runtime.card import MODEL
from pocketcxr.runtime.graphs import Interface, check_graph

INTERFACE = Interface({"images": (None, 1, 64, 64)}, {"logits": (None, 3), "heatmaps": (None, 3, 2, 2)})


@pytest.fixture(scope="module")
def images(source: NetToExport) -> NDArray[np.float32]:
    """Twenty model inputs, more than a batch."""
    pixels = np.stack([square(image, source.spec) for image in golden_images(source.spec).values()] * 4)
    return normalise(pixels, source.spec)[:, None]


@pytest.fixture(scope="module")
def model(built: BuiltFiles) -> onnx.ModelProto:
    """The float32 graph."""
    return onnx.load_from_string(built.files[MODEL])


@pytest.fixture(scope="module")
def it(model: onnx.ModelProto, images: NDArray[np.float32]) -> Iterator[Quantiser]:
    """Its quantiser."""
    with quantiser(model, images) as made:
        yield made


@pytest.fixture(scope="module")
def int8(it: Quantiser) -> onnx.ModelProto:
    """The graph in INT8."""
    return it.build()


def relative(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def test_int8_says_nearly_the_same_in_less_than_half_the_bytes(
    model: onnx.ModelProto, int8: onnx.ModelProto, images: NDArray[np.float32]
) -> None:
    expected, actual = (answers(one.SerializeToString(), images) for one in (model, int8))
    assert 0 < relative(actual.logits, expected.logits) < 0.2
    assert 0 < relative(actual.heatmaps, expected.heatmaps) < 0.2
    assert int8.ByteSize() < 0.5 * model.ByteSize()


def test_heatmaps_of_int8_still_add_up_to_its_logits(int8: onnx.ModelProto, images: NDArray[np.float32]) -> None:
    said = answers(int8.SerializeToString(), images)
    np.testing.assert_allclose(said.heatmaps.mean(axis=(2, 3)), said.logits, atol=1e-4)


def test_the_head_stays_in_float(it: Quantiser, model: onnx.ModelProto, int8: onnx.ModelProto) -> None:
    assert len(it.layers) == len(weighted_layers(model)) - 1
    makers = {output: node.op_type for node in int8.graph.node for output in node.output}
    assert makers["heatmaps"] == "Sub"  # of the reference
    assert "DequantizeLinear" not in {makers["logits"], makers["heatmaps"]}


def test_with_every_layer_in_float_nothing_changes(
    it: Quantiser, model: onnx.ModelProto, images: NDArray[np.float32]
) -> None:
    expected, actual = (answers(one.SerializeToString(), images[:5]) for one in (model, it.build(it.layers)))
    # Sums and activations between the layers may still be rounded; no weight is.
    assert not [name for name in operators(it.build(it.layers)) if name.startswith("com.")]
    assert relative(actual.logits, expected.logits) < 0.1


def test_layers_by_error_are_all_layers_and_leaving_the_worst_out_keeps_more_bytes(
    it: Quantiser, int8: onnx.ModelProto
) -> None:
    worst_first = it.by_error()
    assert sorted(worst_first) == sorted(it.layers)
    assert it.by_error() == worst_first
    assert it.build(worst_first[: len(worst_first) // 2]).ByteSize() > int8.ByteSize()


def test_half_says_the_same_to_three_digits_in_half_the_bytes(
    model: onnx.ModelProto, images: NDArray[np.float32]
) -> None:
    before = model.SerializeToString(deterministic=True)
    halved = half(model)
    assert model.SerializeToString(deterministic=True) == before
    expected, actual = (answers(one.SerializeToString(), images) for one in (model, halved))
    assert actual.logits.dtype == actual.heatmaps.dtype == np.float32
    assert 0 < relative(actual.logits, expected.logits) < 5e-3
    assert halved.ByteSize() < 0.65 * model.ByteSize()


def test_every_build_keeps_the_interface_the_opset_and_the_intended_use(
    model: onnx.ModelProto, int8: onnx.ModelProto
) -> None:
    for build in (model, int8, half(model)):
        check_graph("a build", build.SerializeToString(), INTERFACE)
        assert opset(build) == OPSET
        assert [entry.domain for entry in build.opset_import] == [""]
        assert "BatchNormalization" not in operators(build)
        assert "Research use only" in {entry.key: entry.value for entry in build.metadata_props}["intended_use"]


def test_quantising_again_gives_the_same_bytes(
    model: onnx.ModelProto, int8: onnx.ModelProto, images: NDArray[np.float32]
) -> None:
    with quantiser(model, images) as again:
        assert again.build().SerializeToString(deterministic=True) == int8.SerializeToString(deterministic=True)
