"""What the input gate measures of pictures that any language can draw: python tests/golden/page_engine/make_goldens.py.

The page's engine must say the same. Pictures are told by hashes, so that equality is bit by bit. Beside them lie the
two graphs of a bundle without learnt weights: three findings, of a mean gray, of its negative, and of nothing.
"""

import base64
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

from pocketcxr.domain.study import ViewPosition
from pocketcxr.export.onnx import IR_VERSION, OPSET, preprocess_model
from pocketcxr.imaging.dicom_facts import SourceFacts
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.runtime.input_gate_header import CHEST_PARTS, MODALITIES, OTHER_PARTS, SOP_CLASSES, header_refusal
from pocketcxr.runtime.input_gate_pixels import gray_scale, grid_peak, look, net_input

OUT = Path(__file__).parent / "goldens.json"
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Drawing:
    """How a picture is drawn: see `draw`."""

    height: int
    width: int
    seed: int
    border: int = 0
    """Black pixels around the picture."""
    grid: int = 0
    """Gray levels of a slanting wave."""


DRAWINGS = (
    *(Drawing(256, 256, 1), Drawing(257, 256, 2), Drawing(100, 77, 3), Drawing(1, 1, 4), Drawing(1, 300, 5)),
    *(Drawing(300, 1, 6), Drawing(511, 513, 7, 30), Drawing(512, 400, 8, 0, 40), Drawing(1024, 1024, 9, 17, 40)),
    *(Drawing(1537, 1291, 10, 40), Drawing(300, 1999, 11), Drawing(1999, 300, 12, 3), Drawing(2500, 2048, 13, 101, 9)),
    *(Drawing(64, 64, 14), Drawing(65, 63, 15, 7), Drawing(771, 769, 16), Drawing(128, 1, 17), Drawing(48, 260, 18)),
)
THUMBNAIL_SIDES = (128, 256)
RESIZES = (
    (100, 77, 64, 49),
    (30, 40, 64, 85),
    (256, 3, 64, 1),
    (77, 100, 77, 31),
    (63, 200, 20, 200),
    (64, 64, 64, 64),
)
"""Height and width before and after."""
SIZE = 64
NET_INPUT_STEP = 7
"""Of the net's input every seventh value is kept, in thousandths: all columns and rows are met."""


def draw(drawing: Drawing) -> Picture:
    """Waves of whole numbers, noise by a linear congruential generator, a black border."""
    height, width = drawing.height, drawing.width
    rows, columns = np.mgrid[0:height, 0:width].astype(np.int64)
    waves = (_triangle(rows * 5 + columns) + _triangle(columns * 3 + 40)) // 3
    slanting = drawing.grid * (((3 * rows + 2 * columns) % 8) < 4)
    values = np.minimum(waves + _noise(drawing.seed, height * width).reshape(height, width) // 8 + slanting, 255)
    border = drawing.border
    inside = (rows >= border) & (rows < height - border) & (columns >= border) & (columns < width - border)
    return np.where(inside, values, 0).astype(np.uint8)


def goldens() -> dict[str, Any]:
    """Everything that is compared."""
    return {
        "pictures": [picture_golden(drawing) for drawing in DRAWINGS],
        "resizes": [resize_golden(*sizes) for sizes in RESIZES],
        "headers": header_goldens(),
    }


def picture_golden(drawing: Drawing) -> dict[str, Any]:
    """What Pillow and the gate say of one picture."""
    picture = draw(drawing)
    small = look(picture)
    thumbnails = []
    for side in THUMBNAIL_SIDES:
        image = Image.fromarray(picture)
        image.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
        thumbnails.append({"side": side, **_told(np.asarray(image))})
    some = np.rint(net_input(small).reshape(-1)[::NET_INPUT_STEP] * 1000).astype("<i2")
    return {
        "drawing": asdict(drawing),
        "sha256": _told(picture)["sha256"],
        "thumbnails": thumbnails,
        "look": _told(small),
        "gray_scale": gray_scale(small)._asdict(),
        "net_input": base64.b64encode(some.tobytes()).decode(),
        "grid_peak": grid_peak(picture),
    }


def resize_golden(height: int, width: int, new_height: int, new_width: int) -> dict[str, Any]:
    """What Pillow's resize says."""
    picture = draw(Drawing(height, width, seed=20))
    resized = Image.fromarray(picture).resize((new_width, new_height), Image.Resampling.BILINEAR)
    return {"height": height, "width": width, "resized": _told(np.asarray(resized))}


def header_goldens() -> list[dict[str, Any]]:
    """Headers, each with the refusal's code or null."""
    headers = [
        *(SourceFacts(modality=modality) for modality in sorted({*MODALITIES, "CT", "MR", "US", "MG"})),
        *(SourceFacts(sop_class=sop_class) for sop_class in sorted({*SOP_CLASSES, "1.2.840.10008.5.1.4.1.1.2"})),
        *(SourceFacts(body_part=part) for part in sorted({*OTHER_PARTS, *CHEST_PARTS, "THORAX AP"})),
        *(SourceFacts(view_position=position) for position in ViewPosition),
        *(SourceFacts(age_years=age) for age in (0.0, 0.5, 17.99, 18.0, 90.0)),
        SourceFacts(modality="CT", body_part="KNEE", view_position=ViewPosition.LATERAL, age_years=3.0),
        SourceFacts(sop_class="1.2", body_part="KNEE", view_position=ViewPosition.LATERAL, age_years=3.0),
        SourceFacts(modality="DX", body_part="KNEE", view_position=ViewPosition.LATERAL, age_years=3.0),
        SourceFacts(modality="DX", body_part="CHEST", view_position=ViewPosition.LATERAL, age_years=3.0),
    ]
    return [_header(facts) for facts in headers]


def model() -> onnx.ModelProto:
    """images [b, 1, 64, 64] -> heatmaps [b, 3, 2, 2]: gray, its negative, zero; logits [b, 3]: their means."""
    nodes = [
        helper.make_node("AveragePool", ["images"], ["gray"], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("Mul", ["gray", "signs"], ["heatmaps"]),
        helper.make_node("ReduceMean", ["heatmaps", "sides"], ["logits"], keepdims=0),
    ]
    constants = [
        helper.make_tensor("signs", TensorProto.FLOAT, [1, 3, 1, 1], [1.0, -1.0, 0.0]),
        helper.make_tensor("sides", TensorProto.INT64, [2], [2, 3]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["b", 1, SIZE, SIZE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 3])
    heatmaps = helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, ["b", 3, 2, 2])
    graph = helper.make_graph(nodes, "mean-gray", [images], [logits, heatmaps], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _header(facts: SourceFacts) -> dict[str, Any]:
    refusal = header_refusal("a.dcm", facts)
    said = {key: value for key, value in asdict(facts).items() if value is not None and key != "sop_class_name"}
    return {**said, "code": None if refusal is None else refusal.code.value}


def _told(picture: Picture) -> dict[str, Any]:
    height, width = picture.shape
    return {"height": height, "width": width, "sha256": hashlib.sha256(picture.tobytes()).hexdigest()}


def _triangle(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """A wave from 0 to 255 and back over 512 values."""
    folded: NDArray[np.int64] = np.abs(values % 512 - 256)
    return np.minimum(folded, 255)


def _noise(seed: int, count: int) -> NDArray[np.int64]:
    """0 to 255, of the generator of Numerical Recipes: x -> 1664525 x + 1013904223 modulo 2**32, its upper 8 bits."""
    values = np.empty(count, dtype=np.int64)
    state = seed
    for place in range(count):
        state = (1664525 * state + 1013904223) % 2**32
        values[place] = state >> 24
    return values


if __name__ == "__main__":
    OUT.write_text(json.dumps(goldens(), separators=(",", ":")) + "\n")
    onnx.save(preprocess_model(PreprocessSpec(size=SIZE)), OUT.with_name("preprocess.onnx"))
    onnx.save(model(), OUT.with_name("model.onnx"))
