"""X-ray-like pictures that are no frontal chest: the chest from the side, and other parts of the body.

Drawn coarsely, for the input gate, which looks at 64 x 64 pixels: bright = more attenuation, as in a radiograph.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from pocketcxr.phantom.canvas import Map
from pocketcxr.phantom.strokes import (
    Oval,
    Pixels,
    as_gray,
    bone,
    fractal_noise,
    line,
    oval_depth,
    oval_mask,
    polygon,
    two,
)

Draw = Callable[[int, np.random.Generator], Map]


def lateral(size: int, rng: np.random.Generator) -> Pixels:
    """A chest from the side, facing left or right, uint8 [size, size]: one lung field, the spine at one edge."""
    depth, tilt = rng.uniform(0.27, 0.42), rng.uniform(-8, 8)
    middle = rng.uniform(0.46, 0.56)
    trunk = oval_mask(Oval(middle, 0.55, depth, rng.uniform(0.62, 0.85), tilt), size, 0.08)
    thickness = oval_depth(Oval(middle, 0.55, depth * 1.05, 0.9, tilt), size)
    values = np.float32(rng.uniform(1.2, 2.0)) * trunk * thickness
    values += trunk * np.float32(0.8) * oval_mask(Oval(middle, 1.1, 0.7, rng.uniform(0.3, 0.42)), size, 0.25)
    lung = oval_mask(Oval(middle, 0.42, 0.78 * depth, rng.uniform(0.33, 0.42), tilt), size, 0.15)
    lung *= 1 - oval_mask(Oval(middle + rng.uniform(-0.06, 0.1), 0.95, 0.42, rng.uniform(0.2, 0.32)), size, 0.1)
    values -= np.float32(rng.uniform(0.6, 1.2)) * lung
    values += np.float32(rng.uniform(0.5, 1.0)) * oval_depth(
        Oval(middle - 0.3 * depth, rng.uniform(0.55, 0.64), 0.55 * depth, rng.uniform(0.13, 0.2), -35), size
    )
    values += np.float32(rng.uniform(0.1, 0.4)) * line(
        [(middle - 0.05, 0.0), (middle, 0.25), (middle + 0.05, 0.45)], 0.1, size, 0.03
    )
    values += _vertebrae(size, middle + 0.68 * depth, rng)
    for _ in range(int(rng.integers(4, 9))):
        y, sag = rng.uniform(0.15, 0.75), rng.uniform(0.03, 0.2)
        ends = [(middle + 0.75 * depth, y - sag), (middle, y + 0.2 * sag), (middle - 0.8 * depth, y + sag)]
        values += np.float32(0.15) * line(ends, 0.025, size, 0.008) * trunk
    if rng.random() < 0.6:
        values += np.float32(rng.uniform(0.3, 1.0)) * oval_mask(
            Oval(middle - 0.8 * depth, rng.uniform(-0.02, 0.08), rng.uniform(0.2, 0.4), 0.13, -30), size, 0.2
        )
    values = values if rng.random() < 0.5 else values[:, ::-1]
    return as_gray(values + _grain(size, rng), rng)


def other_part(size: int, rng: np.random.Generator) -> Pixels:
    """A hand, a limb, a skull, an abdomen, a pelvis, a neck or a breast, uint8 [size, size]."""
    parts: tuple[Draw, ...] = (_hand, _limb, _skull, _abdomen, _pelvis, _neck, _breast)
    values = parts[int(rng.integers(len(parts)))](size, rng)
    if rng.random() < 0.5:
        values = values[:, ::-1]
    return as_gray(values + _grain(size, rng), rng)


def _grain(size: int, rng: np.random.Generator) -> Map:
    return np.float32(rng.uniform(0.01, 0.08)) * fractal_noise(size, rng.uniform(0, 1.3), rng)


def _vertebrae(size: int, x: float, rng: np.random.Generator) -> Map:
    """A spine from the side: bodies one below the other along a curve."""
    values = np.zeros((size, size), dtype=np.float32)
    bend, step = rng.uniform(-0.08, 0.08), rng.uniform(0.06, 0.085)
    bright = np.float32(rng.uniform(0.25, 0.7))
    for y in np.arange(-0.02, 1.0, step):
        at = x + bend * np.sin(np.pi * y)
        values += bright * oval_mask(Oval(float(at), float(y), 0.055, 0.42 * step), size, 0.4)
    return values


def _hand(size: int, rng: np.random.Generator) -> Map:
    x, y, reach = rng.uniform(0.4, 0.6), rng.uniform(0.58, 0.72), rng.uniform(0.35, 0.5)
    values = np.float32(0.5) * oval_mask(Oval(x, y, 0.17, 0.2), size, 0.15)
    values = np.maximum(values, np.float32(0.5) * line([(x, y + 0.1), (x, 1.1)], 0.2, size, 0.01))
    for angle in np.deg2rad(np.array([-150, -112, -92, -72, -50]) + rng.normal(0, 4, 5)):
        direction = np.array([np.cos(angle), np.sin(angle)])
        joints = [np.array([x, y]) + direction * reach * share for share in (0.3, 0.62, 0.85, 1.05)]
        finger = line([(float(p[0]), float(p[1])) for p in joints], 0.075, size, 0.01)
        values = np.maximum(values, np.float32(0.45) * finger)
        for near, far in pairwise(joints):
            ends = (float(near[0]), float(near[1])), (float(far[0]), float(far[1]))
            values += np.float32(0.45) * bone(ends, 0.03, size)
    hand: Map = values
    return hand


def _limb(size: int, rng: np.random.Generator) -> Map:
    tilt, joint = rng.uniform(-0.25, 0.25), rng.uniform(0.3, 0.7)
    width = rng.uniform(0.2, 0.45)
    middle = (0.5 + rng.normal(0, 0.04), joint)
    top, bottom = (0.5 - tilt, -0.1), (0.5 + rng.uniform(-0.25, 0.25), 1.1)
    values = np.float32(0.6) * line([top, middle, bottom], width, size, 0.02)
    thick = 0.3 * width
    values += np.float32(0.8) * bone((top, middle), thick, size)
    if rng.random() < 0.5:
        values += np.float32(0.8) * bone((middle, bottom), thick, size)
    else:
        shift = 0.2 * width
        for side in (-1, 1):
            ends = (middle[0] + side * shift, middle[1] + 0.04), (bottom[0] + side * shift, 1.1)
            values += np.float32(0.7) * bone(ends, 0.6 * thick, size)
    return values


def _skull(size: int, rng: np.random.Generator) -> Map:
    x, y, a, b = rng.uniform(0.45, 0.55), rng.uniform(0.38, 0.48), rng.uniform(0.28, 0.4), rng.uniform(0.32, 0.42)
    outer = oval_mask(Oval(x, y, a, b), size, 0.05)
    values = np.float32(1.3) * outer - np.float32(rng.uniform(0.4, 0.8)) * oval_mask(
        Oval(x, y, 0.88 * a, 0.88 * b), size, 0.06
    )
    values = np.maximum(values, np.float32(0.8) * oval_mask(Oval(x, y + b, 0.6 * a, 0.4 * b), size, 0.15))
    for side in (-1, 1):
        eye = Oval(x + side * 0.4 * a, y + 0.4 * b, 0.24 * a, 0.18 * b)
        values -= np.float32(0.5) * oval_mask(eye, size, 0.2)
    values -= np.float32(0.4) * oval_mask(Oval(x, y + 0.7 * b, 0.1 * a, 0.2 * b), size, 0.3)
    values += np.float32(0.7) * line([(x, y + b), (x, 1.1)], 0.2, size, 0.02)
    skull: Map = values
    return skull


def _abdomen(size: int, rng: np.random.Generator) -> Map:
    values = np.float32(1.0) * oval_mask(Oval(0.5, 0.5, rng.uniform(0.42, 0.7), rng.uniform(0.7, 1.1)), size, 0.1)
    values += np.float32(0.45) * line([(0.5, -0.1), (0.5 + rng.normal(0, 0.02), 0.8)], 0.11, size, 0.006)
    values += _pelvic_ring(size, rng.uniform(0.88, 1.0), rng)
    for _ in range(int(rng.integers(3, 18))):
        gas = Oval(rng.uniform(0.12, 0.88), rng.uniform(0.1, 0.8), *two(rng, 0.02, 0.09), rng.uniform(0, 180))
        values -= np.float32(rng.uniform(0.15, 0.5)) * oval_mask(gas, size, 0.3)
    return values


def _pelvis(size: int, rng: np.random.Generator) -> Map:
    values = np.float32(0.9) * oval_mask(Oval(0.5, 0.4, 0.6, 0.75), size, 0.1)
    values += np.float32(0.35) * line([(0.5, -0.1), (0.5, 0.4)], 0.12, size, 0.006)
    values += _pelvic_ring(size, rng.uniform(0.4, 0.55), rng)
    for side in (-1, 1):
        hip = 0.5 + side * rng.uniform(0.26, 0.31)
        values += np.float32(0.5) * oval_mask(Oval(hip, 0.64, 0.06, 0.06), size, 0.2)
        values += np.float32(0.6) * bone(((hip + side * 0.05, 0.7), (hip + side * 0.04, 1.2)), 0.09, size)
    return values


def _pelvic_ring(size: int, y: float, rng: np.random.Generator) -> Map:
    values = np.zeros((size, size), dtype=np.float32)
    for side in (-1, 1):
        wing = Oval(0.5 + side * 0.22, y - 0.05, 0.17, 0.12, side * 40)
        values = np.maximum(values, np.float32(0.5) * oval_mask(wing, size, 0.2))
    hole = oval_mask(Oval(0.5, y + 0.12, rng.uniform(0.12, 0.16), 0.1), size, 0.15)
    ring = oval_mask(Oval(0.5, y + 0.12, 0.24, 0.19), size, 0.1)
    whole: Map = np.maximum(values, np.float32(0.45) * ring) - np.float32(0.4) * hole
    return whole


def _neck(size: int, rng: np.random.Generator) -> Map:
    x = rng.uniform(0.4, 0.6)
    values = np.float32(0.8) * line([(x, -0.1), (x, 1.1)], rng.uniform(0.3, 0.55), size, 0.04)
    values += np.float32(0.8) * oval_mask(Oval(x - 0.1, -0.02, 0.35, 0.22), size, 0.1)
    values += np.float32(1.4) * _vertebrae(size, x + rng.uniform(0.0, 0.08), rng)
    values -= np.float32(0.3) * line([(x - 0.1, 0.2), (x - 0.08, 1.1)], 0.05, size, 0.01)
    return values


def _breast(size: int, rng: np.random.Generator) -> Map:
    reach, y = rng.uniform(0.4, 0.8), rng.uniform(0.4, 0.6)
    breast = Oval(0.0, y, reach, rng.uniform(0.35, 0.5))
    values = np.float32(0.6) * oval_depth(breast, size) + np.float32(0.3) * oval_mask(breast, size, 0.05)
    tissue = np.maximum(fractal_noise(size, 1.4, rng), 0) * oval_mask(Oval(0.1, y, 0.7 * reach, 0.28), size, 0.6)
    values += np.float32(rng.uniform(0.1, 0.4)) * tissue
    muscle = polygon([(0, 0), (rng.uniform(0.15, 0.35), 0), (0, rng.uniform(0.4, 0.7))], size, 0.02)
    shown: Map = np.maximum(values, np.float32(rng.uniform(0, 0.9)) * muscle)
    return shown
