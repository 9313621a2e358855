"""OpenVINO opens every build and says what onnxruntime says."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from pocketcxr.export.build import BuiltFiles, NetToExport
from pocketcxr.export.golden import golden_images
from pocketcxr.export.graph import answers
from pocketcxr.export.half import half
from pocketcxr.export.quantize import quantiser
from pocketcxr.imaging.preprocess import normalise, square
from pocketcxr.runtime.card import MODEL

openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install openvino")


@pytest.fixture(scope="module")
def images(source: NetToExport) -> NDArray[np.float32]:
    """The golden images as model inputs."""
    pixels = np.stack([square(image, source.spec) for image in golden_images(source.spec).values()])
    return normalise(pixels, source.spec)[:, None]


def deviation(model: onnx.ModelProto, images: NDArray[np.float32]) -> float:
    """The larger of logits' and heatmaps', relative to max(1, largest of onnxruntime's)."""
    data = model.SerializeToString()
    core = openvino.Core()
    # On processors with bfloat16, OpenVINO would compute in it.
    compiled = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    said = compiled({"images": images})
    pairs = zip(answers(data, images), (said["logits"], said["heatmaps"]), strict=True)
    return max(float(np.abs(ours - theirs).max() / max(1.0, np.abs(ours).max())) for ours, theirs in pairs)


@pytest.mark.parametrize(("make", "tolerance"), [(lambda model: model, 1e-4), (half, 5e-3)], ids=["fp32", "fp16"])
def test_openvino_says_the_same(
    make: Callable[[onnx.ModelProto], onnx.ModelProto],
    tolerance: float,
    built: BuiltFiles,
    images: NDArray[np.float32],
) -> None:
    assert deviation(make(onnx.load_from_string(built.files[MODEL])), images) <= tolerance


def test_openvino_rounds_int8_hardly_otherwise(built: BuiltFiles, images: NDArray[np.float32]) -> None:
    with quantiser(onnx.load_from_string(built.files[MODEL]), images) as it:
        assert deviation(it.build(), images) <= 0.1
