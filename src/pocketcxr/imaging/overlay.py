"""A heatmap over its radiograph, with the scale it has: nothing is stretched to look strong.

The colour bar ends at the `scale` the caller gives, in the caller's unit. Colour is as opaque as the heatmap is strong,
so the radiograph shows where the heatmap says nothing. A heatmap without negative values has one warm ramp; any other
is centred on zero: warm speaks for the finding, cool against it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pocketcxr.domain.study import Box

FOOTER = "Research use only"
MIN_SIDE_PX = 512
"""The longer side of a smaller radiograph is enlarged to this, or no text would be legible."""

# Anchors of rising lightness, so that stronger looks brighter on the dark lung and in a gray print alike.
_FOR = np.array([(60, 0, 30), (135, 10, 45), (200, 40, 35), (240, 95, 20), (255, 160, 45), (255, 225, 120)], np.float32)
_AGAINST = np.array(
    [(0, 20, 70), (5, 55, 130), (20, 95, 185), (45, 140, 225), (110, 185, 245), (190, 225, 250)], np.float32
)
_OPACITY = 0.65
_STEPS = 255
_GRAY = 90.0
"""What the colour bar is blended over: the gray of lung."""
_BACKGROUND, _INK, _FAINT_INK, _BOX, _SHADOW = "#101012", "#e8e8ec", "#9c9ca4", "#3ce678", "#000000"

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class _Layout:
    """Sizes in pixels of the finished picture, all from the radiograph's [height, width]."""

    height: int
    width: int

    @property
    def text(self) -> int:
        """Font size."""
        return max(round(max(self.height, self.width) / 40), 14)

    @property
    def strip(self) -> int:
        """Height of the title above and of the footer below the radiograph."""
        return 2 * self.text

    @property
    def margin(self) -> int:
        """Width of what stands right of the radiograph: gap, bar, ticks, figures."""
        return round(6.2 * self.text)


def overlay(
    image: NDArray[np.uint8],
    heatmap: Pixels,
    scale: float,
    boxes: Sequence[Box] = (),
    title: str = "",
    unit: str = "logit",
) -> Image.Image:
    """The radiograph [h, w] under its heatmap [h, w] with colour bar, box outlines, title and footer, RGB.

    scale: the heatmap's value at which colour saturates, > 0. boxes: in pixels of the radiograph. unit: what the
    heatmap is counted in, in a word or two; it stands above the colour bar.
    """
    if image.shape != heatmap.shape:
        raise ValueError(
            f"the heatmap is {heatmap.shape}, the image {image.shape}: place the heatmap on the image first"
        )
    if not scale > 0:
        raise ValueError(f"the scale is {scale}: it is what the strongest colour stands for, give it > 0")
    enlarged = max(MIN_SIDE_PX / max(image.shape), 1.0)
    layout = _Layout(round(image.shape[0] * enlarged), round(image.shape[1] * enlarged))
    size = (layout.width, layout.height)
    gray = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
    values = np.asarray(Image.fromarray(heatmap).resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
    canvas = Image.new("RGB", (layout.width + layout.margin, layout.height + 2 * layout.strip), _BACKGROUND)
    canvas.paste(Image.fromarray(_blend(gray, values / np.float32(scale))), (0, layout.strip))
    pen = ImageDraw.Draw(canvas)
    for box in boxes:
        _outline(pen, box, enlarged, layout)
    _colour_bar(canvas, pen, layout, scale, is_signed=bool(heatmap.min() < 0))
    _unit(pen, layout, unit)
    _texts(pen, layout, title)
    return canvas


def _blend(gray: Pixels, strength: Pixels) -> NDArray[np.uint8]:
    """Gray [h, w] under the colour of `strength` (-1..1 of the scale) [h, w], uint8 [h, w, 3]."""
    signed = np.linspace(-1, 1, 2 * _STEPS + 1, dtype=np.float32)
    magnitude = np.abs(signed)
    anchors = np.linspace(0, 1, len(_FOR))
    table = np.empty((len(signed), 3), dtype=np.float32)
    for channel in range(3):
        warm = np.interp(magnitude, anchors, _FOR[:, channel])
        cool = np.interp(magnitude, anchors, _AGAINST[:, channel])
        table[:, channel] = np.where(signed < 0, cool, warm)
    opacity = _OPACITY * magnitude * (2 - magnitude)
    index = np.rint((np.clip(strength, -1, 1) + 1) * _STEPS).astype(np.intp)
    under = gray * (1 - opacity)[index] + np.float32(0.5)
    blended: NDArray[np.uint8] = ((table * opacity[:, None])[index] + under[..., None]).astype(np.uint8)
    return blended


def _outline(pen: ImageDraw.ImageDraw, box: Box, enlarged: float, layout: _Layout) -> None:
    left, top = box.x * enlarged, box.y * enlarged + layout.strip
    corners = (left, top, left + box.w * enlarged, top + box.h * enlarged)
    thick = max(round(layout.text / 6), 2)
    around = (corners[0] - 1, corners[1] - 1, corners[2] + 1, corners[3] + 1)
    pen.rectangle(around, outline=_SHADOW, width=thick + 2)
    pen.rectangle(corners, outline=_BOX, width=thick)


def _colour_bar(
    canvas: Image.Image, pen: ImageDraw.ImageDraw, layout: _Layout, scale: float, *, is_signed: bool
) -> None:
    """The same blend as on the radiograph, over the gray of lung, with figures at round fractions of the scale."""
    text = layout.text
    font = ImageFont.load_default(size=text)
    left, width = layout.width + text, text
    top, height = layout.strip + round(1.8 * text), layout.height - round(2.4 * text)
    low = -1.0 if is_signed else 0.0
    strength = np.repeat(np.linspace(1, low, height, dtype=np.float32)[:, None], width, axis=1)
    bar = Image.fromarray(_blend(np.full(strength.shape, _GRAY, dtype=np.float32), strength))
    canvas.paste(bar, (left, top))
    pen.rectangle((left - 1, top - 1, left + width, top + height), outline=_FAINT_INK)
    for share in (-1, -0.5, 0, 0.5, 1) if is_signed else (0, 0.25, 0.5, 0.75, 1):
        y = top + (1 - share) / (1 - low) * (height - 1)
        pen.line((left + width, y, left + width + text // 3, y), fill=_INK, width=max(text // 12, 1))
        pen.text((left + width + text // 2, y), _figure(share * scale, is_signed), fill=_INK, font=font, anchor="lm")


def _unit(pen: ImageDraw.ImageDraw, layout: _Layout, unit: str) -> None:
    """The word above the colour bar, in the largest letters that leave it room."""
    left = layout.width + round(0.7 * layout.text)
    size = float(layout.text)
    while pen.textlength(unit, font=ImageFont.load_default(size=size)) > layout.width + layout.margin - left:
        size -= 1
    pen.text((left, layout.strip), unit, fill=_FAINT_INK, font=ImageFont.load_default(size=size))


def _figure(value: float, is_signed: bool) -> str:
    figure = f"{value:+.3g}" if is_signed else f"{value:.3g}"
    return "0" if value == 0 else figure


def _texts(pen: ImageDraw.ImageDraw, layout: _Layout, title: str) -> None:
    pad = layout.text // 2
    font = ImageFont.load_default(size=layout.text)
    room = layout.width + layout.margin - 2 * pad
    while title and pen.textlength(title, font=font) > room:
        title = f"{title[:-4].rstrip()}..."
    pen.text((pad, layout.strip / 2), title, fill=_INK, font=font, anchor="lm")
    small = ImageFont.load_default(size=max(round(0.8 * layout.text), 11))
    pen.text((pad, layout.strip * 1.5 + layout.height), FOOTER, fill=_FAINT_INK, font=small, anchor="lm")
