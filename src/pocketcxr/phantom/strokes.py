"""What pictures that are no frontal chest X-ray are drawn with: soft shapes that add up, textures, and a display curve.

Everything is drawn on the unit square, x to the right and y down, and given as float32 [size, size].
"""

from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pocketcxr.phantom.canvas import Map, Point

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Oval:
    """An ellipse: centre, half axes, and by how many degrees it is turned."""

    x: float
    y: float
    a: float
    b: float
    degrees: float = 0.0


def oval_depth(oval: Oval, size: int) -> Map:
    """Length of a ray through an ellipsoid, 1 at the centre and 0 outside: how thick things cast their shadow."""
    along = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    x, y = along[None, :] - np.float32(oval.x), along[:, None] - np.float32(oval.y)
    c, s = np.float32(cos(radians(oval.degrees))), np.float32(sin(radians(oval.degrees)))
    far = ((x * c + y * s) / np.float32(oval.a)) ** 2 + ((y * c - x * s) / np.float32(oval.b)) ** 2
    depth: Map = np.sqrt(np.maximum(1 - far, 0))
    return depth


def oval_mask(oval: Oval, size: int, softness: float = 0.1) -> Map:
    """1 inside an ellipse, 0 outside, with an edge of `softness` of its size."""
    along = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    x, y = along[None, :] - np.float32(oval.x), along[:, None] - np.float32(oval.y)
    c, s = np.float32(cos(radians(oval.degrees))), np.float32(sin(radians(oval.degrees)))
    far = np.sqrt(((x * c + y * s) / np.float32(oval.a)) ** 2 + ((y * c - x * s) / np.float32(oval.b)) ** 2)
    mask: Map = np.clip((1 - far) / np.float32(softness) + np.float32(0.5), 0, 1)
    return mask


def polygon(points: list[Point], size: int, blur: float = 0.0) -> Map:
    """1 inside a polygon, 0 outside; blur in parts of the side."""
    picture = Image.new("L", (size, size))
    ImageDraw.Draw(picture).polygon([(x * size, y * size) for x, y in points], fill=255)
    return _blurred(picture, blur * size)


def line(points: list[Point], width: float, size: int, blur: float = 0.0) -> Map:
    """1 along a polyline `width` of the side wide, 0 elsewhere; blur in parts of the side."""
    picture = Image.new("L", (size, size))
    ends = [(x * size, y * size) for x, y in points]
    ImageDraw.Draw(picture).line(ends, fill=255, width=max(1, round(width * size)), joint="curve")
    return _blurred(picture, blur * size)


def bone(ends: tuple[Point, Point], width: float, size: int) -> Map:
    """A long bone as seen by X-rays: bright walls, a darker marrow, thick ends; about 0..1."""
    whole = line(list(ends), width, size, 0.006)
    marrow = line(list(ends), 0.5 * width, size, 0.006)
    knobs = [oval_mask(Oval(x, y, 0.75 * width, 0.75 * width), size, 0.2) for x, y in ends]
    shape: Map = np.maximum.reduce([whole - np.float32(0.45) * marrow, *(np.float32(0.75) * knob for knob in knobs)])
    return shape


def fractal_noise(size: int, slope: float, rng: np.random.Generator) -> Map:
    """Noise whose amplitude falls as 1 / frequency ** slope (photographs: about 1), mean 0, deviation 1."""
    spectrum = np.fft.rfft2(rng.standard_normal((size, size)))
    down, across = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    spectrum /= np.maximum(np.hypot(down, across), 1 / size) ** slope
    noise = np.fft.irfft2(spectrum, s=(size, size))
    even: Map = ((noise - noise.mean()) / max(float(noise.std()), 1e-9)).astype(np.float32)
    return even


def as_gray(values: Map, rng: np.random.Generator) -> Pixels:
    """Any values as 8-bit gray: stretched to a random part of the scale, bent by a random gamma."""
    low, high = np.quantile(values, [rng.uniform(0, 0.02), rng.uniform(0.98, 1)])
    shown = np.clip((values - low) / max(float(high - low), 1e-6), 0, 1) ** np.exp(rng.normal(0, 0.3))
    black, white = rng.uniform(0, 50), rng.uniform(150, 255)
    gray: Pixels = np.rint(black + (white - black) * shown).astype(np.uint8)
    return gray


def two(rng: np.random.Generator, low: float, high: float) -> Point:
    """Two numbers between low and high: a point, a pair of half axes."""
    return float(rng.uniform(low, high)), float(rng.uniform(low, high))


def _blurred(picture: Image.Image, radius_px: float) -> Map:
    if radius_px > 0:
        picture = picture.filter(ImageFilter.GaussianBlur(float(radius_px)))
    return np.asarray(picture, dtype=np.float32) * np.float32(1 / 255)
