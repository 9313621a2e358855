"""Pictures that are no X-ray at all: textures, shapes, noise, pages of text, photograph-like scenes.

Made by chance from their generator alone; the input gate learns from them what to refuse.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pocketcxr.phantom.canvas import Map, Point
from pocketcxr.phantom.strokes import Oval, Pixels, as_gray, fractal_noise, line, oval_mask, polygon, two

Draw = Callable[[int, np.random.Generator], Map]


def no_radiograph(size: int, rng: np.random.Generator) -> Pixels:
    """One such picture, uint8 [size, size]."""
    return as_gray(FAMILIES[int(rng.integers(len(FAMILIES)))](size, rng), rng)


def _noise(size: int, rng: np.random.Generator) -> Map:
    return fractal_noise(size, rng.uniform(0, 2.2), rng)


def _tiles(size: int, rng: np.random.Generator) -> Map:
    """A checkerboard, bricks or a grid, turned by chance."""
    along = np.arange(size, dtype=np.float32) / np.float32(size) - np.float32(0.5)
    turn = rng.choice([0.0, rng.uniform(-np.pi, np.pi)])
    x = along[None, :] * np.float32(np.cos(turn)) + along[:, None] * np.float32(np.sin(turn))
    y = along[:, None] * np.float32(np.cos(turn)) - along[None, :] * np.float32(np.sin(turn))
    columns, rows = rng.uniform(2, 14), rng.uniform(2, 14)
    row = np.floor(y * rows)
    column = np.floor(x * columns + rng.uniform(0, 0.5) * (row % 2))
    if rng.random() < 0.4:
        return ((row + column) % 2).astype(np.float32) + np.float32(0.1) * _noise(size, rng)
    shade = rng.standard_normal((64, 64)).astype(np.float32)
    gap = rng.uniform(0.03, 0.2)
    is_joint = ((y * rows) % 1 < gap) | ((x * columns + rng.uniform(0, 0.5) * (row % 2)) % 1 < gap)
    tile = shade[row.astype(int) % 64, column.astype(int) % 64] * np.float32(0.4)
    laid: Map = np.where(is_joint, np.float32(rng.choice([-1.5, 1.5])), tile)
    return laid + np.float32(0.2) * _noise(size, rng)


def _waves(size: int, rng: np.random.Generator) -> Map:
    """Stripes or rings, warped."""
    along = np.arange(size, dtype=np.float32) / np.float32(size) - np.float32(0.5)
    x, y = along[None, :] - np.float32(rng.normal(0, 0.2)), along[:, None] - np.float32(rng.normal(0, 0.2))
    turn = rng.uniform(0, np.pi)
    where = np.hypot(x, y) if rng.random() < 0.4 else x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))
    where = where + np.float32(rng.uniform(0, 0.08)) * fractal_noise(size, 2, rng)
    waves: Map = np.sin(np.float32(2 * np.pi * rng.uniform(1, 16)) * where)
    return waves + np.float32(rng.uniform(0, 0.6)) * _noise(size, rng)


def _discs(size: int, rng: np.random.Generator) -> Map:
    """Coins, cells, stars, bubbles: many or few round things on a plain ground."""
    values = np.float32(rng.uniform(0, 0.3)) * _noise(size, rng)
    largest = rng.uniform(0.02, 0.2)
    for _ in range(int(rng.integers(1, 40))):
        at, radius = two(rng, 0, 1), rng.uniform(0.3, 1) * largest
        disc = oval_mask(Oval(*at, radius, radius * rng.uniform(0.7, 1.3)), size, rng.uniform(0.05, 1))
        values += np.float32(rng.choice([-1, 1, 1, 1]) * rng.uniform(0.3, 1.5)) * disc
    return values


def _page(size: int, rng: np.random.Generator) -> Map:
    """Lines of words, dark on light or light on dark."""
    picture = Image.new("L", (4 * size, 4 * size), 255)
    pen = ImageDraw.Draw(picture)
    height, margin = 4 * size * rng.uniform(0.02, 0.12), 4 * size * rng.uniform(0.02, 0.2)
    y = margin
    while y < 4 * size - margin:
        x, end = margin, 4 * size - margin * rng.choice([1, 1, 3])
        while x < end:
            word = height * rng.uniform(0.6, 4)
            for letter in np.arange(x, x + word, 0.55 * height):
                box = (letter, y + height * rng.uniform(0, 0.3), letter + 0.3 * height, y + 0.75 * height)
                pen.ellipse(box, fill=0, outline=0) if rng.random() < 0.5 else pen.rectangle(box, fill=40)
            x += word + 0.6 * height
        y += height * rng.uniform(1.3, 2.0)
    values = np.asarray(picture.resize((size, size), Image.Resampling.BOX), dtype=np.float32) / 255
    if rng.random() < 0.3:
        values = 1 - values
    return values + np.float32(rng.uniform(0, 0.15)) * fractal_noise(size, 2, rng)


def _silhouette(size: int, rng: np.random.Generator) -> Map:
    """One thing with an irregular outline on a plain or shaded ground."""
    shape = polygon(_outline(rng, rng.uniform(0.15, 0.42)), size, rng.choice([0, 0.01, 0.03]))
    inside = np.float32(rng.uniform(0, 0.5)) * _noise(size, rng) + np.float32(rng.choice([-2, 2]))
    ground = np.float32(rng.uniform(0, 0.6)) * fractal_noise(size, rng.uniform(1, 2.5), rng)
    return ground * (1 - shape) + inside * shape


def _glow(size: int, rng: np.random.Generator) -> Map:
    """One or two soft spots, a slope of light."""
    along = np.linspace(-1, 1, size, dtype=np.float32)
    values = np.float32(rng.normal(0, 0.5)) * along[None, :] + np.float32(rng.normal(0, 0.5)) * along[:, None]
    for _ in range(int(rng.integers(1, 3))):
        spot = Oval(*two(rng, 0.2, 0.8), *two(rng, 0.1, 0.6), rng.uniform(0, 180))
        values += np.float32(rng.choice([-1, 1]) * rng.uniform(0.5, 2)) * oval_mask(spot, size, rng.uniform(0.1, 1.5))
    glow: Map = values + np.float32(rng.uniform(0, 0.1)) * _noise(size, rng)
    return glow


def _round_field(size: int, rng: np.random.Generator) -> Map:
    """A round view on black or white, as through a microscope or into an eye, with branching lines."""
    values = np.float32(rng.uniform(0, 0.3)) * fractal_noise(size, rng.uniform(0.8, 2), rng)
    start = rng.uniform(0.25, 0.75, 2)
    for _ in range(int(rng.integers(0, 14))):
        at, heading, points = start.copy(), rng.uniform(0, 2 * np.pi), []
        for _ in range(9):
            points.append((float(at[0]), float(at[1])))
            heading += rng.normal(0, 0.35)
            at = at + 0.06 * np.array([np.cos(heading), np.sin(heading)])
        values -= np.float32(rng.uniform(0.2, 0.9)) * line(points, rng.uniform(0.004, 0.025), size, 0.004)
    spot = Oval(*start, *rng.uniform(0.04, 0.12, 2))
    values += np.float32(rng.choice([-1.5, 1.5])) * oval_mask(spot, size, rng.uniform(0.2, 1))
    field = oval_mask(Oval(0.5, 0.5, *rng.uniform(0.4, 0.53, 2)), size, 0.03)
    return np.where(field > 0.5, values, np.float32(rng.choice([-2.5, 2.5])))


def _head_slice(size: int, rng: np.random.Generator) -> Map:
    """A cross-section: a bright shell with ovals inside."""
    x, y, a, b = *rng.uniform(0.45, 0.55, 2), *rng.uniform(0.28, 0.47, 2)
    values = np.float32(2) * oval_mask(Oval(x, y, a, b), size, 0.03)
    values -= np.float32(rng.uniform(1.0, 1.8)) * oval_mask(Oval(x, y, 0.9 * a, 0.92 * b), size, 0.04)
    for _ in range(int(rng.integers(2, 10))):
        at = Oval(x + a * rng.uniform(-0.5, 0.5), y + b * rng.uniform(-0.6, 0.6), *rng.uniform(0.02, 0.16, 2))
        values += np.float32(rng.choice([-0.5, 0.3, 0.6])) * oval_mask(at, size, 0.1)
    return values + np.float32(rng.uniform(0, 0.15)) * _noise(size, rng)


def _leaves(size: int, rng: np.random.Generator) -> Map:
    """Things in front of things at every scale (dead leaves model: Lee, Mumford and Huang 2001, IJCV 41).

    Its statistics are those of photographs.
    """
    picture = Image.fromarray(as_gray(fractal_noise(size, 1.5, rng), rng))
    pen = ImageDraw.Draw(picture)
    smallest = rng.uniform(0.02, 0.15)
    for _ in range(int(rng.integers(15, 160))):
        # Radii with density 1 / r ** 3 between smallest and 1/2.
        radius = min(smallest / np.sqrt(max(rng.random(), 1e-3)), 0.5)
        x, y, r, shade = *(size * rng.uniform(0, 1, 2)), size * radius, int(rng.integers(256))
        match int(rng.integers(3)):
            case 0:
                pen.ellipse((x - r, y - r * rng.uniform(0.4, 1), x + r, y + r * rng.uniform(0.4, 1)), fill=shade)
            case 1:
                pen.rectangle((x - r, y - r * rng.uniform(0.1, 1), x + r, y + r * rng.uniform(0.1, 1)), fill=shade)
            case _:
                pen.polygon([(x + 2 * r * (u - 0.5), y + 2 * r * (v - 0.5)) for u, v in _outline(rng, 0.5)], fill=shade)
    values = np.asarray(picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.2))), dtype=np.float32) / 64
    return values + np.float32(rng.uniform(0, 0.4)) * fractal_noise(size, rng.uniform(0.5, 1.5), rng)


def _landscape(size: int, rng: np.random.Generator) -> Map:
    """A ground, a horizon, a sky, and something standing in front."""
    horizon = rng.uniform(0.25, 0.8)
    edge = horizon + np.cumsum(rng.normal(0, 0.02, size))
    is_ground = (np.arange(size) / size)[:, None] > edge[None, :]
    sky = np.linspace(0, rng.normal(0, 1), size, dtype=np.float32)[:, None] + np.float32(0.1) * _noise(size, rng)
    ground = np.float32(rng.normal(-0.5, 1)) + np.float32(rng.uniform(0.1, 0.6)) * _noise(size, rng)
    values = np.where(is_ground, ground, sky)
    for _ in range(int(rng.integers(1, 4))):
        thing = polygon(_outline(rng, rng.uniform(0.05, 0.3)), size)
        shade = np.float32(rng.normal(0, 1.5)) + np.float32(rng.uniform(0, 0.4)) * fractal_noise(size, 1.2, rng)
        values = np.where(thing > 0.5, shade, values)
    return values


def _outline(rng: np.random.Generator, radius: float) -> list[Point]:
    """A closed line of about this radius around some point of the unit square."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    bumps = sum(rng.normal(0, 0.5 / k) * np.cos(k * turn + rng.uniform(0, 2 * np.pi)) for k in range(1, 7))
    reach = radius * np.exp(np.clip(bumps, -1.2, 1.0))
    x, y = 0.5 + rng.normal(0, 0.1), 0.5 + rng.normal(0, 0.1)
    stretch = np.exp(rng.normal(0, 0.3))
    return list(zip((x + reach * np.cos(turn) * stretch).tolist(), (y + reach * np.sin(turn)).tolist(), strict=True))


FAMILIES: tuple[Draw, ...] = (
    *(_noise, _tiles, _waves, _discs, _page, _silhouette, _glow, _round_field, _head_slice, _landscape),
    *(_leaves, _leaves, _leaves),
)
"""Photograph-like pictures come more often: they are the most varied."""
