"""The two graphs do what Pillow and torch do."""

import re

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pocketcxr.export.build import BuiltFiles, NetToExport
from pocketcxr.export.onnx import preprocess_model
from pocketcxr.export.parity import check_net, check_preprocess
from pocketcxr.imaging.preprocess import PreprocessSpec, prepare, square
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.runtime.card import MODEL, PREPROCESS


def session(model: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


SPECS = (PreprocessSpec(size=16, mean=0, std=1), PreprocessSpec(size=64), PreprocessSpec(size=97, mean=0.4, std=0.3))
SESSIONS = [session(preprocess_model(spec).SerializeToString()) for spec in SPECS]
SIDES = st.one_of(st.integers(1, 300), st.sampled_from([1, 15, 16, 17, 32, 63, 64, 65, 97, 128, 194]))


@st.composite
def images(draw: st.DrawFn) -> NDArray[np.uint8]:
    """Gray images tall, wide, tiny, of the model's own size: noise, slopes, hard edges, one gray."""
    height, width = draw(SIDES), draw(SIDES)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, columns = np.indices((height, width))
    match draw(st.sampled_from(["noise", "slope", "edges", "gray"])):
        case "noise":
            return rng.integers(0, 256, (height, width), dtype=np.uint8)
        case "slope":
            return ((rows * 3 + columns * 5) % 256).astype(np.uint8)
        case "edges":
            return (((rows // 3 + columns // 2) % 2) * 255).astype(np.uint8)
        case _:
            return np.full((height, width), rng.integers(0, 256), dtype=np.uint8)


@settings(deadline=None, max_examples=300)
@given(image=images(), which=st.integers(0, len(SPECS) - 1))
def test_the_preprocessing_graph_is_within_one_grey_level_of_pillow(image: NDArray[np.uint8], which: int) -> None:
    spec = SPECS[which]
    (prepared,) = SESSIONS[which].run(["images"], {"image": image})
    assert prepared.shape == (1, 1, spec.size, spec.size)
    assert prepared.dtype == np.float32
    levels = np.abs(prepared[0] - prepare(image, spec)) * 255 * spec.std
    assert levels.max() <= 1 + 1e-3


@pytest.mark.parametrize("shape", [(1400, 1170), (64, 2000), (64, 64), (1, 1)])
def test_the_graph_gives_whole_grey_levels_at_any_size(shape: tuple[int, int]) -> None:
    spec = SPECS[1]
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    (prepared,) = SESSIONS[1].run(["images"], {"image": image})
    levels = (prepared[0, 0] * spec.std + spec.mean) * 255
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)
    assert np.abs(levels - square(image, spec)).max() <= 1 + 1e-3


def test_an_image_of_the_models_own_size_is_not_resized() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    (prepared,) = SESSIONS[1].run(["images"], {"image": image})
    np.testing.assert_allclose(prepared[0], prepare(image, SPECS[1]), atol=1e-6)


def test_the_preprocessing_check_measures_in_grey_levels() -> None:
    spec = SPECS[1]
    image = np.random.default_rng(1).integers(0, 256, (90, 70), dtype=np.uint8)
    assert check_preprocess(preprocess_model(spec), spec, [image]) <= 1


def test_the_graph_has_the_agreed_names_and_any_batch(built: BuiltFiles, source: NetToExport) -> None:
    model = session(built.files[MODEL])
    assert [i.name for i in model.get_inputs()] == ["images"]
    assert [o.name for o in model.get_outputs()] == ["logits", "heatmaps"]
    for batch in (1, 2, 5):
        logits, heatmaps = model.run(None, {"images": np.zeros((batch, 1, 64, 64), np.float32)})
        assert logits.shape == (batch, 3)
        assert heatmaps.shape == (batch, 3, built.net.heatmap_height, built.net.heatmap_width)
        np.testing.assert_allclose(heatmaps.mean(axis=(2, 3)), logits, atol=1e-5)


def test_the_graph_says_what_it_is_for_and_nothing_of_the_machine_that_made_it(built: BuiltFiles) -> None:
    for name in (MODEL, PREPROCESS):
        model = onnx.load_from_string(built.files[name])
        assert "Research use only" in model.doc_string
        assert "Not a medical device" in {p.key: p.value for p in model.metadata_props}["intended_use"]
        assert not re.search(rb"\.py|site-packages|stack_trace", built.files[name])


def test_the_graph_is_for_inference_with_its_weights_inside(built: BuiltFiles) -> None:
    model = onnx.load_from_string(built.files[MODEL])
    operations = {node.op_type for node in model.graph.node}
    assert not operations & {"Dropout", "BatchNormalization", "RandomNormal", "RandomUniform"}
    assert all(t.data_location == onnx.TensorProto.DEFAULT for t in model.graph.initializer)
    assert {t.data_type for t in model.graph.initializer} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}


def test_exporting_leaves_the_net_in_the_mode_it_was_in(source: NetToExport, built: BuiltFiles) -> None:
    source.net.train()
    pixels = np.zeros((1, 64, 64), np.uint8)
    check_net(source.net, onnx.load_from_string(built.files[MODEL]), pixels, source.spec)
    assert all(module.training for module in source.net.modules())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "head"), [("eeea-net-c2", "paper"), ("eeea-net-c2-lite-map", "class-map")])
def test_own_nets_export_with_their_head(name: str, head: str) -> None:
    from pocketcxr.export.build import build_files

    net = build(NetConfig(name=name, output_stride=16), num_findings=14)
    findings = tuple(f"finding {i}" for i in range(14))
    built = build_files(NetToExport(name, net, PreprocessSpec(size=64), findings))
    assert built.net.head == head
    assert (built.net.heatmap_height, built.net.heatmap_width) == (4, 4)
    assert built.deviation <= 1e-4
