"""Overlays: the scale is kept, the text is there, the radiograph shows through."""

import numpy as np
import pytest
from PIL import Image

from pocketcxr.domain.study import Box
from pocketcxr.imaging.overlay import overlay


def _image(height: int = 520, width: int = 520) -> np.ndarray:
    return np.tile(np.linspace(40, 200, width).astype(np.uint8), (height, 1))


def _is_gray(picture: Image.Image) -> np.ndarray:
    pixels = np.asarray(picture).astype(int)
    return np.ptp(pixels, axis=2) == 0


def test_where_the_heatmap_says_nothing_the_radiograph_is_untouched() -> None:
    image, heatmap = _image(), np.zeros((520, 520), dtype=np.float32)
    heatmap[:100, :100] = 2.0
    picture = overlay(image, heatmap, scale=2.0)
    top = _top(picture)
    shown = np.asarray(picture)[top : top + 520, :520]
    assert np.array_equal(shown[200:, 200:, 0], image[200:, 200:])
    assert _is_gray(picture)[top + 200 : top + 520, 200:520].all()
    assert not _is_gray(picture)[top + 10 : top + 90, 10:90].any()


def test_evidence_for_is_warm_and_against_is_cool() -> None:
    heatmap = np.zeros((520, 520), dtype=np.float32)
    heatmap[:, :260], heatmap[:, 260:] = 1.0, -1.0
    pixels = np.asarray(overlay(_image(), heatmap, scale=1.0)).astype(int)
    assert (pixels[100:400, 50:200, 0] > pixels[100:400, 50:200, 2]).all()
    assert (pixels[100:400, 300:500, 2] > pixels[100:400, 300:500, 0]).all()


def test_a_larger_scale_makes_the_same_heatmap_fainter() -> None:
    image, heatmap = np.zeros((520, 520), dtype=np.uint8), np.full((520, 520), 1.0, dtype=np.float32)
    strong, faint = (np.asarray(overlay(image, heatmap, scale))[100:300, 100:300].astype(int) for scale in (1.0, 8.0))
    assert strong.sum() > 3 * faint.sum() > 0


def test_beyond_the_scale_the_colour_stays() -> None:
    image, heatmap = _image(), np.full((520, 520), 1.0, dtype=np.float32)
    assert np.array_equal(
        np.asarray(overlay(image, heatmap, 1.0))[100:300, 100:300],
        np.asarray(overlay(image, 5 * heatmap, 1.0))[100:300, 100:300],
    )


def test_the_colour_bar_has_a_cool_end_only_for_signed_heatmaps() -> None:
    image = _image()
    positive = np.full((520, 520), 1.0, dtype=np.float32)
    signed = positive.copy()
    signed[0, 0] = -0.5
    bars = [np.asarray(overlay(image, heatmap, 1.0)).astype(int)[:, 525:] for heatmap in (positive, signed)]
    cool = [int(((bar[..., 2] - bar[..., 0]) > 40).sum()) for bar in bars]
    assert cool[0] == 0
    assert cool[1] > 100


@pytest.mark.parametrize(("height", "width"), [(64, 64), (256, 180), (512, 512), (700, 2048)])
def test_the_picture_holds_the_radiograph_and_legible_text_at_every_size(height: int, width: int) -> None:
    picture = overlay(_image(height, width), np.zeros((height, width), dtype=np.float32), 1.0, title="Effusion")
    assert picture.mode == "RGB"
    assert max(picture.size) >= 512
    assert picture.width > width
    assert picture.height > height
    shown_height = round(height * max(512 / max(height, width), 1))
    title = np.asarray(picture)[: _top(picture, shown_height)].max(axis=2) > 150
    num_rows = int(title.any(axis=1).sum())
    assert num_rows >= max(9, shown_height / 100), "lower is not legible"


def test_box_outlines_are_where_the_boxes_are() -> None:
    image, heatmap = _image(520, 520), np.zeros((520, 520), dtype=np.float32)
    picture = overlay(image, heatmap, 1.0, boxes=[Box(100, 200, 150, 50)])
    coloured = ~_is_gray(picture)
    top = _top(picture)
    rows, columns = np.nonzero(coloured[top : top + 520, :520])
    assert abs(columns.min() - 100) <= 2
    assert abs(columns.max() - 250) <= 2
    assert abs(rows.min() - 200) <= 2
    assert abs(rows.max() - 250) <= 2


@pytest.mark.parametrize("unit", ["probability", "a unit with a very long name"])
@pytest.mark.parametrize("side", [64, 2000])
def test_the_unit_stands_above_the_colour_bar_whole_and_nothing_else_changes(unit: str, side: int) -> None:
    heatmap = np.zeros((side, side), dtype=np.float32)
    usual, other = (np.asarray(overlay(_image(side, side), heatmap, 1.0, unit=one)) for one in ("logit", unit))
    rows, columns = np.nonzero((usual != other).any(axis=2))
    shown, strip = max(side, 512), (usual.shape[0] - max(side, 512)) // 2
    assert columns.min() >= shown, "right of the radiograph"
    assert columns.max() < usual.shape[1] - 1, "cut off by the edge"
    assert strip <= rows.min() <= rows.max() < strip + round(1.8 * strip / 2), "above the bar"


def test_a_heatmap_of_another_size_or_a_scale_of_zero_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="place the heatmap"):
        overlay(_image(), np.zeros((7, 7), dtype=np.float32), 1.0)
    with pytest.raises(ValueError, match="scale"):
        overlay(_image(), np.zeros((520, 520), dtype=np.float32), 0.0)


def _top(picture: Image.Image, height: int = 520) -> int:
    """Rows of the title strip above a radiograph shown `height` pixels high: the footer's strip is as high."""
    return (picture.height - height) // 2
