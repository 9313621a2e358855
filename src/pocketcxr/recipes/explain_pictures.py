"""Pictures of heatmaps: with a colour bar, as a bare panel, and the panels of several methods side by side."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pocketcxr.domain.study import Box
from pocketcxr.explain.methods import UNITS, Method
from pocketcxr.imaging.geometry import place_heatmap, scale_box
from pocketcxr.imaging.overlay import FOOTER, MIN_SIDE_PX, overlay
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.manifest.image_files import IMAGE_SUFFIXES

MAX_SIDE_PX = 1024
"""Of a picture with a colour bar; a heatmap has 7 to 14 cells a side, more pixels would show no more."""
PANEL_PX = 320
"""The longer side of a panel."""
JPEG_QUALITY = 85
COLUMNS = 4
"""Panels beside each other in a strip."""
_BACKGROUND, _INK, _FAINT_INK = "#101012", "#e8e8ec", "#9c9ca4"
_TEXT_PX, _GAP_PX = 15, 12

Maps = NDArray[np.float32]
"""[grid_h, grid_w]"""


@dataclass(frozen=True, eq=False)
class Panel:
    """One method's heatmap over the radiograph, or the radiograph alone."""

    picture: Image.Image
    name: str
    note: str = ""
    """A few words more: the value and unit that the strongest colour stands for."""


def annotated(
    radiograph: Radiograph, class_map: NDArray[np.float32], scale: float, boxes: Sequence[Box], title: str
) -> bytes:
    """A PNG of the radiograph under a one-pass heatmap, with colour bar, boxes and title."""
    image = Image.fromarray(radiograph.image)
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.BILINEAR)
    heatmap = place_heatmap(class_map, image.height, image.width)
    placed = [scale_box(box, image.width / radiograph.width, image.height / radiograph.height) for box in boxes]
    return as_png(overlay(np.asarray(image), heatmap, scale, placed, title, UNITS["one-pass"]))


def panel(
    radiograph: Radiograph, class_map: NDArray[np.float32] | None, scale: float, boxes: Sequence[Box] = ()
) -> Image.Image:
    """The radiograph under the heatmap [grid_h, grid_w] and the boxes (original pixels), without any text."""
    enlarged = MIN_SIDE_PX / max(radiograph.height, radiograph.width)
    width, height = round(radiograph.width * enlarged), round(radiograph.height * enlarged)
    image = Image.fromarray(radiograph.image).resize((width, height), Image.Resampling.BICUBIC)
    cells = np.zeros((1, 1), np.float32) if class_map is None else class_map
    placed = [scale_box(box, width / radiograph.width, height / radiograph.height) for box in boxes]
    framed = overlay(np.asarray(image), place_heatmap(cells, height, width), scale, placed)
    # At this size overlay enlarges nothing: the radiograph lies at the left, between two strips of equal height.
    top = (framed.height - height) // 2
    bare = framed.crop((0, top, width, top + height))
    bare.thumbnail((PANEL_PX, PANEL_PX), Image.Resampling.LANCZOS)
    return bare


def strip(title: str, panels: Sequence[Panel]) -> Image.Image:
    """The panels beside each other, at most COLUMNS a row, each with its name and note under it."""
    font, small = ImageFont.load_default(size=_TEXT_PX), ImageFont.load_default(size=_TEXT_PX - 2)
    height = max(one.picture.height for one in panels)
    columns = min(len(panels), COLUMNS)
    rows = -(-len(panels) // columns)
    step_x, step_y = PANEL_PX + _GAP_PX, height + 3 * _TEXT_PX + _GAP_PX
    top = 2 * _TEXT_PX + _GAP_PX
    canvas = Image.new("RGB", (columns * step_x + _GAP_PX, top + rows * step_y + 2 * _TEXT_PX), _BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    pen.text((_GAP_PX, top / 2), title, fill=_INK, font=font, anchor="lm")
    for place, one in enumerate(panels):
        row, column = divmod(place, columns)
        left, upper = _GAP_PX + column * step_x, top + row * step_y
        canvas.paste(one.picture, (left, upper))
        pen.text((left, upper + height + 4), one.name, fill=_INK, font=font)
        pen.text((left, upper + height + 6 + _TEXT_PX), one.note, fill=_FAINT_INK, font=small)
    pen.text((_GAP_PX, canvas.height - _TEXT_PX), FOOTER, fill=_FAINT_INK, font=small, anchor="lm")
    return canvas


def side_by_side(
    radiograph: Radiograph, maps: Mapping[Method, Mapping[str, Maps]], finding: str, boxes: Sequence[Box] = ()
) -> list[Panel]:
    """The radiograph alone, then under the finding's heatmap of each method; `maps` by method and finding.

    A method's scale is its largest absolute cell over the findings of `maps`: those can be compared, methods cannot.
    """
    panels = [Panel(panel(radiograph, None, 1.0, boxes), "radiograph")]
    for method, by_finding in maps.items():
        scale = max(float(np.abs(one).max()) for one in by_finding.values()) or 1.0
        sign = "±" if float(by_finding[finding].min()) < 0 else ""
        picture = panel(radiograph, by_finding[finding], scale, boxes)
        panels.append(Panel(picture, method, f"strongest colour: {sign}{scale:.2g} {UNITS[method]}"))
    return panels


def as_png(picture: Image.Image) -> bytes:
    """The picture as a PNG file's bytes."""
    return _encoded(picture, "PNG", None)


def as_jpeg(picture: Image.Image) -> bytes:
    """The picture as a JPEG file's bytes, for a page that holds many."""
    return _encoded(picture, "JPEG", JPEG_QUALITY)


def file_name(image_id: str) -> str:
    """The id as one file's name: a UID's last number is no suffix, and an id may hold folders."""
    path = PurePosixPath(image_id)
    return str(path.with_suffix("") if path.suffix in IMAGE_SUFFIXES else path).replace("/", "_")


def _encoded(picture: Image.Image, kind: str, quality: int | None) -> bytes:
    buffer = io.BytesIO()
    if quality is None:
        picture.save(buffer, kind)
    else:
        picture.save(buffer, kind, quality=quality)
    return buffer.getvalue()
