"""The grid a radiograph is drawn on: detector pixels that know their place in the patient, in millimetres.

Patient frame: x to the image's right (the patient's left), y down, origin in the middle of the thorax. All anatomy is
written in it, so the same patient comes out the same at every image size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, cos, radians, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pocketcxr.domain.study import Box

Map = NDArray[np.float32]
Point = tuple[float, float]

TABLE_REACH_MM = 300.0
TABLE_STEPS_PER_MM = 2
TABLE_MM: Map = np.arange(-TABLE_REACH_MM, TABLE_REACH_MM, 1 / TABLE_STEPS_PER_MM, dtype=np.float32)
"""Where tables of a curve's values are taken, in millimetres."""


@dataclass(frozen=True)
class Pose:
    """How the patient lies before the detector; field_mm is the side of the square image in the patient's plane."""

    field_mm: float
    tilt_degrees: float
    centre_x_mm: float
    centre_y_mm: float


@dataclass(frozen=True)
class Window:
    """A rectangular part of the canvas; slices are into arrays of [size, size]."""

    rows: slice
    columns: slice


@dataclass
class Canvas:
    """Pixel centres of an image of size x size in the patient frame."""

    size: int
    pose: Pose
    x: Map = field(init=False)
    y: Map = field(init=False)

    def __post_init__(self) -> None:
        along = (np.arange(self.size, dtype=np.float32) + np.float32(0.5)) * np.float32(self.pixel_mm)
        along -= np.float32(self.pose.field_mm / 2)
        u, v = along[None, :], along[:, None]
        c, s = np.float32(self._cos), np.float32(self._sin)
        self.x = u * c + v * s - np.float32(self.pose.centre_x_mm)
        self.y = v * c - u * s - np.float32(self.pose.centre_y_mm)
        self.detector_mm = along

    @property
    def pixel_mm(self) -> float:
        """Side of a pixel in the patient's plane, mm."""
        return self.pose.field_mm / self.size

    @property
    def edge_mm(self) -> float:
        """Half-width of the softest edge that still looks sharp at this size, mm."""
        return max(0.6 * self.pixel_mm, 0.45)

    @cached_property
    def _cos(self) -> float:
        return cos(radians(self.pose.tilt_degrees))

    @cached_property
    def _sin(self) -> float:
        return sin(radians(self.pose.tilt_degrees))

    @cached_property
    def _to_pixels(self) -> NDArray[np.float64]:
        return np.array([[self._cos, self._sin], [-self._sin, self._cos]]) / self.pixel_mm

    @cached_property
    def _origin_pixels(self) -> NDArray[np.float64]:
        centre = np.array([self.pose.centre_x_mm, self.pose.centre_y_mm]) @ self._to_pixels
        origin: NDArray[np.float64] = centre + self.size / 2
        return origin

    @cached_property
    def y_index(self) -> NDArray[np.intp]:
        """Row of TABLE_MM for every pixel's y, [size, size]."""
        index = ((self.y + np.float32(TABLE_REACH_MM)) * np.float32(TABLE_STEPS_PER_MM)).astype(np.intp)
        return np.minimum(np.maximum(index, 0), len(TABLE_MM) - 1)

    def by_y(self, table: Map, window: Window | None = None) -> Map:
        """A curve given at TABLE_MM, looked up at every pixel's y."""
        index = self.y_index if window is None else self.y_index[window.rows, window.columns]
        return table.take(index)

    def to_pixels(self, points_mm: NDArray[np.float64] | Sequence[Point]) -> NDArray[np.float64]:
        """Patient millimetres -> pixel coordinates (x, y), [n, 2]; the upper left pixel covers 0..1."""
        pixels: NDArray[np.float64] = np.asarray(points_mm, dtype=np.float64) @ self._to_pixels + self._origin_pixels
        return pixels

    def around(self, x_mm: float, y_mm: float, half_width_mm: float, half_height_mm: float) -> Window:
        """The part of the canvas that holds a rectangle given by centre and half sides in mm (may be empty)."""
        half = np.array([half_width_mm, half_height_mm])
        grown = half + abs(self._sin) * half[::-1] + self.pixel_mm
        centre = self.to_pixels([(x_mm, y_mm)])[0]
        low = np.clip(np.floor(centre - grown / self.pixel_mm), 0, self.size).astype(int)
        high = np.clip(np.ceil(centre + grown / self.pixel_mm) + 1, 0, self.size).astype(int)
        return Window(slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))

    def disc_box(self, x_mm: float, y_mm: float, radius_mm: float) -> Box | None:
        """The box of a disc, clipped to the image; None outside it."""
        x, y = self.to_pixels([(x_mm, y_mm)])[0]
        r = radius_mm / self.pixel_mm
        x0, y0, x1, y1 = max(x - r, 0.0), max(y - r, 0.0), min(x + r, self.size), min(y + r, self.size)
        return Box(float(x0), float(y0), float(x1 - x0), float(y1 - y0)) if x1 - x0 > 0 and y1 - y0 > 0 else None

    def change_box(self, change: Map, window: Window, share: float = 0.25) -> Box | None:
        """The box around the pixels of a window where `change` exceeds `share` of its peak; None without change."""
        if change.size == 0:
            return None
        across, down = change.max(axis=0), change.max(axis=1)
        peak = float(across.max())
        if peak < 1e-3:
            return None
        columns, rows = np.flatnonzero(across > share * peak), np.flatnonzero(down > share * peak)
        x0, y0 = int(columns[0]) + window.columns.start, int(rows[0]) + window.rows.start
        return Box(float(x0), float(y0), float(columns[-1] - columns[0] + 1), float(rows[-1] - rows[0] + 1))


def ramp(distance_mm: Map, half_width_mm: float) -> Map:
    """0 below -half_width, 1 above +half_width, linear between: how much of a pixel lies inside an edge."""
    covered = distance_mm * np.float32(0.5 / half_width_mm)
    covered += np.float32(0.5)
    return np.clip(covered, 0, 1, out=covered)


def lattice_noise(canvas: Canvas, window: Window, cell_mm: float, rng: np.random.Generator) -> Map:
    """Smooth random texture of grain `cell_mm`, about 0 +- 1, over a window; the same at any image size."""
    reach = 260.0
    knots = np.arange(-reach, reach + cell_mm, cell_mm, dtype=np.float32)
    values = rng.standard_normal((len(knots), len(knots)), dtype=np.float32) * np.float32(1.9)
    down = _weights(canvas.detector_mm[window.rows], knots, cell_mm)
    across = _weights(canvas.detector_mm[window.columns], knots, cell_mm)
    texture: Map = down @ values @ across.T
    return texture


def _weights(positions: Map, knots: Map, cell_mm: float) -> Map:
    distance = (positions[:, None] - knots[None, :]) * np.float32(1 / cell_mm)
    weight: Map = np.maximum(1 - np.abs(distance) * np.float32(0.5), 0)
    weight *= weight
    weight /= weight.sum(axis=1, keepdims=True)
    return weight


class Ink:
    """Thin things (vessels, wires, letters) drawn by Pillow on a finer grid, then averaged down; values 0..1."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.fineness = max(2, ceil(256 / canvas.size))
        side = canvas.size * self.fineness
        self.image = Image.new("L", (side, side))
        self.draw = ImageDraw.Draw(self.image)

    @property
    def fine_px_mm(self) -> float:
        """Side of a fine pixel, mm."""
        return self.canvas.pixel_mm / self.fineness

    def line(self, points_mm: NDArray[np.float64] | Sequence[Point], width_mm: float, value: float) -> None:
        """A polyline; its shade makes up for a width that is no whole number of fine pixels, so its mass is kept."""
        points = (self.canvas.to_pixels(points_mm) * self.fineness).ravel().tolist()
        width = width_mm / self.fine_px_mm
        stroke = max(1, round(width))
        shade = min(value * width / stroke, 1.0)
        self.draw.line(points, fill=round(255 * shade), width=stroke, joint="curve" if width > 3 else None)

    def segments(
        self, ends_mm: NDArray[np.float64], widths_mm: NDArray[np.float64], values: NDArray[np.float64]
    ) -> None:
        """Many straight strokes at once: ends [n, 2, 2], widths [n], values [n]."""
        ends = (self.canvas.to_pixels(ends_mm) * self.fineness).reshape(-1, 4).tolist()
        widths = widths_mm / self.fine_px_mm
        strokes = np.maximum(1, np.rint(widths)).astype(int)
        shades = np.rint(255 * np.minimum(values * widths / strokes, 1.0)).astype(int).tolist()
        for end, shade, stroke in zip(ends, shades, strokes.tolist(), strict=True):
            self.draw.line(end, fill=shade, width=stroke)

    def polygon(self, points_mm: NDArray[np.float64] | Sequence[Point], value: float) -> None:
        """A filled polygon."""
        points = (self.canvas.to_pixels(points_mm) * self.fineness).ravel().tolist()
        self.draw.polygon(points, fill=round(255 * value))

    def disc(self, x_mm: float, y_mm: float, radius_mm: float, value: float) -> None:
        """A filled disc, at least one fine pixel wide."""
        self.discs(np.array([[x_mm, y_mm]]), np.array([radius_mm]), np.array([value]))

    def discs(
        self, centres_mm: NDArray[np.float64], radii_mm: NDArray[np.float64], values: NDArray[np.float64]
    ) -> None:
        """Many filled discs at once: centres [n, 2], radii [n], values [n]; later ones cover earlier ones."""
        centres = self.canvas.to_pixels(centres_mm) * self.fineness
        radii = np.maximum(0.5, radii_mm / self.fine_px_mm)[:, None]
        corners = np.concatenate((centres - radii, centres + radii), axis=1).tolist()
        for box, shade in zip(corners, np.rint(255 * values).astype(int).tolist(), strict=True):
            self.draw.ellipse(box, fill=shade)

    def coverage(self) -> Map:
        """The drawing averaged down to the canvas, float32 [size, size] in 0..1."""
        small = self.image.reduce(self.fineness)
        return np.asarray(small, dtype=np.float32) * np.float32(1 / 255)
