"""What happens to a radiograph between the detector and a file: turned, cropped, inverted, redrawn, photographed.

All functions take and give 8-bit gray [height, width], bright = more attenuation.
"""

from dataclasses import dataclass
from io import BytesIO
from math import cos, radians, sin

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pocketcxr.phantom.canvas import Map
from pocketcxr.phantom.strokes import Oval, Pixels, fractal_noise, oval_mask, two

Cut = tuple[float, float, float, float]
"""Left, top, width, height of a part of the picture, in parts of its sides; may reach beyond it."""


@dataclass(frozen=True)
class View:
    """What is shown of a picture: a part of it, turned by `degrees` about the part's middle."""

    cut: Cut
    degrees: float


def usual_view(rng: np.random.Generator) -> View:
    """As frontal chest films are framed: both lungs inside, hardly tilted, margins wide or narrow."""
    width, height = rng.uniform(0.84, 1.3) * np.exp(rng.normal(0, [0.09, 0.13]))
    x, y = 0.5 + rng.normal(0, 0.045), 0.47 + rng.normal(0, 0.06)
    return View((x - width / 2, y - height / 2, width, height), float(np.clip(rng.normal(0, 5.5), -16, 16)))


def turned_view(rng: np.random.Generator) -> View:
    """On its side, on its head, or askew by 30 degrees and more."""
    askew = rng.choice([-1, 1]) * rng.uniform(30, 150)
    quarters = rng.choice([90, 180, 270]) + rng.normal(0, 5)
    return View(usual_view(rng).cut, float(askew if rng.random() < 0.3 else quarters))


def cropped_view(rng: np.random.Generator) -> View:
    """So little of the picture that not both lungs are in it: a half, or a part of less than half of either side."""
    width, height = rng.uniform(0.22, 0.42, 2)
    if rng.random() < 0.35:
        height = rng.uniform(0.6, 1)
    x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return View((float(x), float(y), float(width), float(height)), float(rng.normal(0, 4)))


def framed(pixels: Pixels, view: View, side: int, rng: np.random.Generator) -> Pixels:
    """The view of the picture, its longer side `side` pixels; beyond its edges black, or its edge goes on."""
    height, width = pixels.shape
    margin = max(height, width)
    wide = np.pad(pixels, margin, mode="edge") if rng.random() < 0.5 else np.pad(pixels, margin)
    left, top, part_width, part_height = view.cut
    shape = np.array([part_width * width, part_height * height])
    shape = shape / shape.max() * side * np.array([np.exp(rng.normal(0, 0.12)), 1.0])
    out = (max(16, round(float(shape[0]))), max(16, round(float(shape[1]))))
    c, s = cos(radians(view.degrees)), sin(radians(view.degrees))
    scale_x, scale_y = part_width * width / out[0], part_height * height / out[1]
    middle_x, middle_y = margin + (left + part_width / 2) * width, margin + (top + part_height / 2) * height
    x0 = middle_x - c * scale_x * out[0] / 2 + s * scale_y * out[1] / 2
    y0 = middle_y - s * scale_x * out[0] / 2 - c * scale_y * out[1] / 2
    affine = (c * scale_x, -s * scale_y, x0, s * scale_x, c * scale_y, y0)
    shown = Image.fromarray(wide).transform(out, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    return np.asarray(shown)


def reshaped(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """The body in another shape: lungs high or low, one side wider, the trunk swayed."""
    height, width = pixels.shape
    down = np.linspace(0, 1, height) ** np.exp(rng.normal(0, 0.2))
    across = np.linspace(0, 1, width)
    across = across + rng.normal(0, 0.04) * np.sin(np.pi * across)
    sway = rng.normal(0, 0.03) * np.sin(np.pi * rng.uniform(0.5, 1.5) * np.linspace(0, 1, height))
    rows = np.rint(down * (height - 1)).astype(int)[:, None]
    columns = np.rint((across[None, :] + sway[:, None]) * (width - 1)).clip(0, width - 1).astype(int)
    shown: Pixels = pixels[rows, columns]
    return shown


def inverted(pixels: Pixels) -> Pixels:
    """Black for white, as when MONOCHROME1 is taken for MONOCHROME2."""
    return np.uint8(255) - pixels


def developed(pixels: Pixels, rng: np.random.Generator, is_veiled: bool = True) -> Pixels:
    """As other devices, printers, scanners and web pages would have it: other contrast, marks, frames, noise.

    is_veiled: with uneven light and white veils, too, as disease and poor technique lay them over a chest. Strong on
    purpose: what learns from it should not depend on how the phantom draws gray.
    """
    values = pixels.astype(np.float32) / np.float32(255)
    values = _exposed(_hazy(values, rng) if is_veiled else values, rng)
    black, white = rng.uniform(0, 70), rng.uniform(130, 255)
    shown = np.rint(black + (white - black) * np.clip(values, 0, 1)).astype(np.uint8)
    picture = Image.fromarray(shown)
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.3)))
    _mark(picture, rng)
    if rng.random() < 0.25:
        picture = _recompressed(picture, int(rng.integers(25, 90)))
    return np.asarray(picture)


def screen_photograph(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A photograph of a screen that shows the picture: the screen's own grid, glare, a slant, a dark surround."""
    height, width = pixels.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    turn, period = rng.normal(0, 0.12), rng.uniform(2.3, 6)
    across = (columns * np.float32(np.cos(turn)) + rows * np.float32(np.sin(turn))) * np.float32(2 * np.pi / period)
    down = (rows * np.float32(np.cos(turn)) - columns * np.float32(np.sin(turn))) * np.float32(2 * np.pi / period)
    grid = 1 + np.float32(rng.uniform(0.06, 0.25)) * np.sin(across) + np.float32(rng.uniform(0, 0.2)) * np.sin(down)
    values = np.clip(pixels.astype(np.float32) / 255 * grid, 0, 1)
    size = max(height, width)
    glare = oval_mask(Oval(*two(rng, 0, 1), 0.3, 0.2, rng.uniform(0, 180)), size, 1.5)[:height, :width]
    values = values * np.float32(0.85) + np.float32(rng.uniform(0, 0.35)) * glare
    edge = rng.uniform(-0.02, 0.06, 8) * np.tile([width, height], 4)
    corners = np.array([0, 0, 0, height, width, height, width, 0]) - edge * [1, 1, 1, -1, -1, -1, -1, 1]
    picture = Image.fromarray(np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8))
    quad = tuple(float(place) for place in corners)
    slanted = picture.transform((width, height), Image.Transform.QUAD, quad, Image.Resampling.BILINEAR)
    return np.asarray(_recompressed(slanted, 85))


def _hazy(values: Map, rng: np.random.Generator) -> Map:
    """Uneven light over the whole film, and at times lungs (or anything) veiled by white."""
    side = max(values.shape)
    height, width = values.shape
    if rng.random() < 0.6:
        field = fractal_noise(side, 2.2, rng)[:height, :width]
        values = values + np.float32(rng.uniform(0, 0.10)) * field
    if rng.random() < 0.55:
        # Towards one edge, mostly the lower: effusions, a high diaphragm, a heavy abdomen, one lung white.
        turn = rng.choice([0.0, 0.0, 0.5, -0.5]) * np.pi + rng.normal(0, 0.2)
        along = (np.arange(side, dtype=np.float32) + np.float32(0.5)) / np.float32(side) - np.float32(0.5)
        depth = along[:height, None] * np.float32(np.cos(turn)) + along[None, :width] * np.float32(np.sin(turn))
        veil = np.clip((depth - np.float32(rng.uniform(-0.15, 0.4))) / np.float32(rng.uniform(0.05, 0.5)), 0, 1)
        values = values + np.float32(rng.uniform(0.2, 0.9)) * veil * (np.float32(0.9) - values)
    for _ in range(int(rng.choice([0, 0, 1, 2, 4]))):
        veil = Oval(*two(rng, 0.1, 0.9), *two(rng, 0.08, 0.4), rng.uniform(0, 180))
        mask = oval_mask(veil, side, rng.uniform(0.3, 1.6))[:height, :width]
        values = values + np.float32(rng.uniform(0.1, 0.8)) * mask * (np.float32(0.85) - values)
    return values


def _exposed(values: Map, rng: np.random.Generator) -> Map:
    """Another characteristic curve: local contrast, cut highlights and shadows, gamma, noise."""
    if rng.random() < 0.3:
        radius = max(values.shape) * rng.uniform(0.03, 0.15)
        small = Image.fromarray(np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8))
        blurred = np.asarray(small.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32) / np.float32(255)
        values = np.float32(rng.uniform(-0.75, 1.8)) * (values - blurred) + values
    low = np.quantile(values, rng.uniform(0, 0.15) if rng.random() < 0.4 else 0.0)
    high = np.quantile(values, rng.uniform(0.6, 1) if rng.random() < 0.4 else 1.0)
    values = np.clip((values - low) / max(float(high - low), 1e-3), 0, 1) ** np.float32(np.exp(rng.normal(0, 0.35)))
    if rng.random() < 0.6:
        noise = rng.standard_normal(values.shape, dtype=np.float32)
        values = values + np.float32(rng.uniform(0, 0.06)) * noise
    return values


def _mark(picture: Image.Image, rng: np.random.Generator) -> None:
    """Letters, arrows, labels and frames, drawn into the picture."""
    pen = ImageDraw.Draw(picture)
    width, height = picture.size
    if rng.random() < 0.35:
        for _ in range(int(rng.integers(1, 5))):
            corner = rng.uniform([0, 0], [0.95 * width, 0.95 * height])
            text = "".join(rng.choice(list("LRAPERECT0123456789"), int(rng.integers(1, 8))))
            pen.text((float(corner[0]), float(corner[1])), text, fill=int(rng.choice([0, 255, 255])))
    if rng.random() < 0.25:
        shade = int(rng.choice([0, 0, 0, 255, 255, 128]))
        for side in rng.choice(4, int(rng.integers(1, 5)), replace=False):
            depth = rng.uniform(0.01, 0.13)
            left, top = (1 - depth) * width * (side == 0), (1 - depth) * height * (side == 1)
            right = depth * width if side == 2 else width
            bottom = depth * height if side == 3 else height
            pen.rectangle((left, top, right, bottom), fill=shade)


def _recompressed(picture: Image.Image, quality: int) -> Image.Image:
    buffer = BytesIO()
    picture.save(buffer, format="JPEG", quality=quality)
    with Image.open(buffer) as again:
        return again.convert("L")
