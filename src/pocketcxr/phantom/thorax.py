"""Soft tissue and air of the chest as path lengths in cm: body, lungs, heart, great vessels, airways, abdomen."""

from dataclasses import dataclass

import numpy as np

from pocketcxr.phantom.anatomy import Anatomy
from pocketcxr.phantom.canvas import TABLE_MM, Canvas, Map, Window, ramp

RIGHT, LEFT = -1, 1
"""The patient's sides; the patient's right is at the image's left (x < 0)."""


@dataclass
class Lung:
    """One lung over a window of the canvas.

    lateral: mm from the midline outwards; from_wall, from_dome: mm inside the chest wall and above the diaphragm,
    negative outside. path: cm of lung along the ray, lowered as heart and findings take from it;
    whole: the same before both. air: cm of free air.
    """

    side: int
    window: Window
    lateral: Map
    y: Map
    from_wall: Map
    from_dome: Map
    path: Map
    whole: Map
    air: Map | None = None

    def fill(self, share: Map) -> Map:
        """Replace a share (0..1) of the lung left by fluid-dense tissue; returns the cm replaced."""
        replaced = self.path * share
        self.path -= replaced
        return replaced


def cage_half_width(anatomy: Anatomy, y: Map) -> Map:
    """Inner half-width of the rib cage at height y, mm: a superellipse from the apex down to the widest level."""
    q = np.clip((anatomy.widest_y - y) / (anatomy.widest_y - anatomy.apex_y), 0, 1)
    half_width: Map = (anatomy.cage_half_width * np.sqrt(1 - q**2.5)).astype(np.float32)
    return half_width


def dome_curve(anatomy: Anatomy, side: int, lateral: Map) -> Map:
    """Height y of the diaphragm `lateral` mm from the midline: highest amid the lung, falling to the angles."""
    middle = 0.48 * anatomy.cage_half_width
    t = (lateral - np.float32(middle)) * np.float32(1 / (anatomy.cage_half_width - middle))
    fall = t * t
    fall *= np.where(t < 0, np.float32(0.35), np.float32(0.5) + np.float32(0.5) * fall)
    fall *= np.float32(anatomy.dome_height)
    fall += np.float32(anatomy.dome_y(side))
    return fall


def body_path(canvas: Canvas, anatomy: Anatomy) -> Map:
    """Soft tissue along the ray through trunk, neck, shoulders and arms if there were no lungs, cm [size, size]."""
    y = TABLE_MM
    waist = anatomy.cage_half_width + 14 + anatomy.fat
    shoulder = np.clip((-28 - y) / 62, 0, 1)
    trunk = waist + 75 * shoulder * shoulder * (3 - 2 * shoulder)
    # Neck and trapezius: the outline widens down the slope of the shoulders until it meets the trunk.
    slope = (y + 186) / anatomy.shoulder_drop
    neck = 54 + 0.25 * anatomy.fat + 12 * np.logaddexp(0, slope / 12)
    half_width = -9 * np.logaddexp(-neck / 9, -trunk / 9)
    depth = anatomy.chest_depth_cm * np.clip(1 + (y + 95) / 190, 0.55, 1)
    depth = depth * (1 + 0.06 * np.clip((y - 40) / 60, 0, 1.3))
    q = np.abs(canvas.x)
    q *= canvas.by_y((1 / half_width).astype(np.float32))
    np.minimum(q, 1, out=q)
    path = canvas.by_y(depth.astype(np.float32))
    path *= np.sqrt(1 - q * q * q)
    for side in (RIGHT, LEFT):
        _arm(canvas, anatomy, side, path)
    if anatomy.breast > 0:
        for side in (RIGHT, LEFT):
            _breast(canvas, anatomy, side, path)
    return path


def _arm(canvas: Canvas, anatomy: Anatomy, side: int, path: Map) -> None:
    """The upper arm, a cylinder hanging from the shoulder and swung out by arm_angle radians."""
    radius = 36 + 0.35 * anatomy.fat
    x0, y0 = side * (anatomy.cage_half_width + 50 + 0.4 * anatomy.fat), -100.0
    dx, dy = side * np.sin(anatomy.arm_angle), np.cos(anatomy.arm_angle)
    outward = canvas.around(side * 250, 60, 130, 210)
    x, y = canvas.x[outward.rows, outward.columns], canvas.y[outward.rows, outward.columns]
    if x.size == 0:
        return
    away = (x - np.float32(x0)) * np.float32(dy) - (y - np.float32(y0)) * np.float32(dx)
    along = (x - np.float32(x0)) * np.float32(dx) + (y - np.float32(y0)) * np.float32(dy)
    chord = np.sqrt(np.maximum(1 - (away * np.float32(1 / radius)) ** 2, 0)) * np.float32(0.19 * radius)
    chord *= ramp(along - 10, 40.0)
    part = path[outward.rows, outward.columns]
    np.maximum(part, chord, out=part)


def _breast(canvas: Canvas, anatomy: Anatomy, side: int, path: Map) -> None:
    """A half-ellipsoid of soft tissue whose lower edge shows over the lower lung."""
    x0, y0 = side * 0.66 * anatomy.cage_half_width, 48.0 + 6 * anatomy.breast
    a, b = 52 + 5 * anatomy.breast, 48 + 6 * anatomy.breast
    window = canvas.around(x0, y0, a, b)
    x, y = canvas.x[window.rows, window.columns], canvas.y[window.rows, window.columns]
    q = ((x - np.float32(x0)) * np.float32(1 / a)) ** 2
    q += ((y - np.float32(y0)) * np.float32(1 / b)) ** 2
    path[window.rows, window.columns] += np.sqrt(np.maximum(1 - q, 0)) * np.float32(anatomy.breast)


def lung_field(canvas: Canvas, anatomy: Anatomy, side: int) -> Lung:
    """One lung before heart and findings."""
    reach = anatomy.cage_half_width / 2 + 8
    window = canvas.around(side * (reach - 6), -5, reach, 165)
    y = canvas.y[window.rows, window.columns]
    lateral = canvas.x[window.rows, window.columns] * np.float32(side)
    width = cage_half_width(anatomy, TABLE_MM)
    slope = np.gradient(width, 1 / 2)
    across_edge = (1 / np.sqrt(1 + np.minimum(slope, 8) ** 2)).astype(np.float32)
    from_wall = (canvas.by_y(width, window) - lateral) * canvas.by_y(across_edge, window)
    above_apex = TABLE_MM - np.float32(anatomy.apex_y)
    medial = anatomy.mediastinum_half_width * 0.80 + 18 * np.exp(-np.maximum(above_apex, 0) / 16)
    depth = (anatomy.chest_depth_cm - 6.2) * np.sqrt(np.clip(above_apex / 95, 0.0, 1))
    s = np.clip(from_wall * np.float32(1 / 58), 0, 1)
    path = np.sqrt(s * (2 - s))
    path *= canvas.by_y(depth.astype(np.float32), window)
    midline = np.float32(side * anatomy.mediastinum_shift)
    path *= ramp(lateral - midline - canvas.by_y(medial.astype(np.float32), window), 9.0)
    from_dome = dome_curve(anatomy, side, lateral) - y
    # Behind and below the dome's top the posterior recess still holds lung, thinner the further down.
    recess = np.exp(np.minimum(from_dome, 0) * np.float32(1 / 17)) * np.float32(0.3)
    path *= np.maximum(ramp(from_dome, max(canvas.edge_mm, 1.2)), recess)
    return Lung(side, window, lateral, y, from_wall, from_dome, path, path.copy())


@dataclass(frozen=True)
class Ellipsoid:
    """A solid that the ray crosses: centre and half-axes in mm, turned by `angle` radians, thickest chord in cm."""

    x: float
    y: float
    a: float
    b: float
    angle: float
    depth_cm: float


def chord(canvas: Canvas, window: Window, solid: Ellipsoid) -> Map:
    """Path through an ellipsoid, cm, over a window."""
    x = canvas.x[window.rows, window.columns] - np.float32(solid.x)
    y = canvas.y[window.rows, window.columns] - np.float32(solid.y)
    c, s = np.cos(solid.angle), np.sin(solid.angle)
    q = (x * np.float32(c / solid.a) + y * np.float32(s / solid.a)) ** 2
    q += (y * np.float32(c / solid.b) - x * np.float32(s / solid.b)) ** 2
    np.subtract(1, q, out=q)
    np.maximum(q, 0, out=q)
    np.sqrt(q, out=q)
    q *= np.float32(solid.depth_cm)
    return q


def heart_solids(anatomy: Anatomy) -> tuple[Ellipsoid, ...]:
    """Ventricles, right atrium, outflow tract and left atrium."""
    w = anatomy.heart_width
    x = anatomy.mediastinum_shift + anatomy.heart_shift * 0.5 + 1.4 * anatomy.rotation
    floor = 0.5 * (anatomy.dome_y_left + anatomy.dome_y_right) + 17
    return (
        Ellipsoid(x + 0.25 * w, floor - 0.33 * w, 0.43 * w, 0.30 * w, 0.55, 13.5),
        Ellipsoid(x - 0.09 * w, floor - 0.35 * w, 0.255 * w, 0.37 * w, 0.0, 12.0),
        Ellipsoid(x + 0.10 * w, floor - 0.52 * w, 0.27 * w, 0.27 * w, 0.5, 12.0),
        Ellipsoid(x + 0.09 * w, floor - 0.74 * w, 0.20 * w, 0.28 * w, 0.25, 8.5),
    )


def great_vessels(anatomy: Anatomy) -> tuple[Ellipsoid, ...]:
    """Superior vena cava, aortic arch, descending aorta."""
    x = anatomy.mediastinum_shift + 0.9 * anatomy.rotation
    half = anatomy.mediastinum_half_width
    r = anatomy.aorta_radius
    return (
        Ellipsoid(x - 0.6 * half, -72, 0.58 * half, 85, 0.03, 5.5),
        Ellipsoid(x + half + 0.3 * r - 9, -62, r, 1.2 * r, 0.0, 6.0),
        Ellipsoid(x + 0.55 * half, 0, 0.45 * half + 3, 85, 0.06, 3.0),
        Ellipsoid(x, -95, 0.85 * half, 70, 0.0, 5.5),
    )
