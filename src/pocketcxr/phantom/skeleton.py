"""Bones as extra attenuation (nepers above soft tissue): ribs and spine as fields, the shoulder girdle in ink."""

import numpy as np

from pocketcxr.phantom.anatomy import Anatomy
from pocketcxr.phantom.canvas import TABLE_MM, Canvas, Ink, Map
from pocketcxr.phantom.thorax import LEFT, RIGHT, cage_half_width

POSTERIOR_RIB_NEPERS = 0.23
ANTERIOR_RIB_NEPERS = 0.14
VERTEBRA_NEPERS = 0.18
INK_NEPERS = 1.5
"""Attenuation of ink of value 1 in the bone drawing."""


def ribs(canvas: Canvas, anatomy: Anatomy) -> Map:
    """Posterior and anterior ribs, [size, size].

    Every rib k follows y = y0 + k gap + (a + b k) u(x): solved for k, one field draws them all.
    """
    across = np.abs(canvas.x - np.float32(0.4 * anatomy.rotation))
    width = cage_half_width(anatomy, TABLE_MM) + np.float32(5)
    t = across * canvas.by_y(1 / np.maximum(width, 8))
    gap, slope = anatomy.rib_gap, anatomy.rib_slope
    bend = across * np.float32(1 / (anatomy.cage_half_width + 5))
    u = bend * bend
    start = canvas.y - np.float32(anatomy.apex_y + 0.35 * gap)
    inside = ramp_inside(t)
    k = (start - np.float32(30 * slope) * u + np.float32(12) * bend) / (np.float32(gap) + np.float32(2.6 * slope) * u)
    posterior = _rib_profile(k, gap, 5.2, canvas.edge_mm, (0.0, 10.5))
    posterior *= inside
    posterior *= np.minimum(across * np.float32(1 / 22), 1)
    posterior *= np.float32(POSTERIOR_RIB_NEPERS * anatomy.bone_density)
    inward = np.maximum(1 - bend, 0)
    rise = np.float32(62 * slope) * inward + np.float32(26) * np.sqrt(inward)
    k = (start - np.float32(34 * slope) - rise) / (np.float32(gap * 1.08) + np.float32(2.6 * slope))
    anterior = _rib_profile(k, gap, 6.3, canvas.edge_mm, (0.0, 6.5))
    anterior *= inside
    anterior *= np.clip((bend - np.float32(0.34)) * 7, 0, 1)
    anterior *= np.float32(ANTERIOR_RIB_NEPERS * anatomy.bone_density)
    posterior += anterior
    both: Map = posterior
    return both


def ramp_inside(t: Map) -> Map:
    """1 inside the rib cage (t < 1, in half-widths), falling to 0 just outside it."""
    inside: Map = np.clip((np.float32(1.02) - t) * np.float32(30), 0, 1)
    return inside


def _rib_profile(k: Map, gap: float, half_width: float, edge: float, limits: tuple[float, float]) -> Map:
    """A flat tube with denser rims wherever k is near a whole number between the limits."""
    nearest = np.rint(k)
    distance = np.abs(k - nearest)
    distance *= np.float32(gap / half_width)
    edge_share = np.float32(max(edge / half_width, 0.12))
    profile: Map = np.clip((1 - distance) / (2 * edge_share) + np.float32(0.5), 0, 1)
    profile *= np.float32(0.62) + np.float32(0.38) * distance * distance
    profile *= (nearest > limits[0]) & (nearest < limits[1])
    return profile


def spine(canvas: Canvas, anatomy: Anatomy, nepers: Map) -> None:
    """Adds vertebral bodies, discs, pedicles and spinous processes."""
    half = 17.5
    window = canvas.around(0, 0, 36, 260)
    x = canvas.x[window.rows, window.columns] + np.float32(0.25 * anatomy.rotation)
    y = canvas.y[window.rows, window.columns]
    height = anatomy.rib_gap * 1.02
    level = (y - np.float32(anatomy.apex_y)) * np.float32(1 / height)
    level -= np.floor(level)
    waist = np.abs(level - np.float32(0.5))
    across = np.abs(x)
    body = np.clip((half + 5 * waist - across) * np.float32(0.5 / max(canvas.edge_mm, 0.9)) + np.float32(0.5), 0, 1)
    body *= np.float32(0.62) + np.float32(0.38) * np.clip((np.float32(0.44) - waist) * 14, 0, 1)
    pedicle = (across - np.float32(11)) ** 2 * np.float32(1 / 20)
    pedicle += (waist - np.float32(0.2) * np.sign(level - np.float32(0.5))) ** 2 * 30
    body += np.float32(0.32) * np.exp(-pedicle)
    spinous = np.clip((np.float32(3.4) - across) * np.float32(0.5), 0, 1)
    spinous *= np.clip((np.float32(0.3) - np.abs(level - np.float32(0.75))) * 6, 0, 1)
    body += np.float32(0.3) * spinous
    transverse = np.clip((np.float32(31) - across) * np.float32(0.2), 0, 1)
    transverse *= np.clip((np.float32(0.16) - np.abs(level - np.float32(0.3))) * 9, 0, 1)
    np.maximum(body, np.float32(0.3) * transverse, out=body)
    body *= np.float32(VERTEBRA_NEPERS * anatomy.bone_density)
    nepers[window.rows, window.columns] += body


def shoulder_girdle(ink: Ink, anatomy: Anatomy) -> None:
    """Clavicles, scapulae, humeri: outlines denser than their inside. Ink of value v adds v * INK_NEPERS."""
    density = anatomy.bone_density
    for side in (RIGHT, LEFT):
        _scapula(ink, anatomy, side, density)
        _humerus(ink, anatomy, side, density)
    for side in (RIGHT, LEFT):
        _clavicle(ink, anatomy, side, density)


def _clavicle(ink: Ink, anatomy: Anatomy, side: int, density: float) -> None:
    inner = 13 + side * 1.6 * anatomy.rotation
    outer = anatomy.cage_half_width + 30
    base = anatomy.apex_y + 36 + 10 * anatomy.shoulder_drop
    s = np.linspace(0, 1, 14)
    x = inner + (outer - inner) * s
    y = base - 28 * s - 9 * np.sin(2 * np.pi * s) * (1 - 0.3 * s) + 16 * s * s
    points = np.stack((side * x, y), axis=1)
    ink.line(points, 12.5, 0.20 * density)
    ink.line(points, 8.5, 0.135 * density)
    ink.line(points[:3] + np.array([side, 1.0]), 15, 0.16 * density)


def _scapula(ink: Ink, anatomy: Anatomy, side: int, density: float) -> None:
    """Blade, spine and glenoid; pulled off the lungs when the arms are raised outward."""
    x = anatomy.cage_half_width * (0.66 + 0.22 * min(anatomy.arm_angle, 1.0))
    top = anatomy.apex_y + 36
    blade = np.array([(0, 0), (44, -8), (60, 24), (40, 62), (18, 112), (9, 104), (2, 52)], dtype=float)
    points = blade * (side, 1) + (side * x, top)
    ink.polygon(points, 0.06 * density)
    closed = np.concatenate((points, points[:1]))
    ink.line(closed, 2.4, 0.13 * density)
    ink.line(points[2:5], 5.0, 0.14 * density)
    ridge = np.array([(4, 22), (34, 4), (70, -14)], dtype=float) * (side, 1) + (side * x, top)
    ink.line(ridge, 6.0, 0.12 * density)


def _humerus(ink: Ink, anatomy: Anatomy, side: int, density: float) -> None:
    x, y = side * (anatomy.cage_half_width + 46), anatomy.apex_y + 52
    length = 210.0
    end = (x + side * length * np.sin(anatomy.arm_angle), y + length * np.cos(anatomy.arm_angle))
    shaft = np.array([(x + side * 6, y + 8), end])
    ink.line(shaft, 23, 0.20 * density)
    ink.line(shaft, 13, 0.13 * density)
    ink.disc(x, y, 23, 0.17 * density)
    ink.disc(x, y, 20.5, 0.14 * density)
