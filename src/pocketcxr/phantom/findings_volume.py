"""Findings that change the lungs' volume: atelectasis, emphysema, fibrosis."""

from dataclasses import replace

import numpy as np

from pocketcxr.phantom.anatomy import Anatomy
from pocketcxr.phantom.canvas import Map, lattice_noise, ramp
from pocketcxr.phantom.scene import Boxes, Lesion, Scene
from pocketcxr.phantom.thorax import LEFT, RIGHT, Lung, cage_half_width


def lose_volume(anatomy: Anatomy, lesion: Lesion, lift_mm: float, pull_mm: float) -> Anatomy:
    """The diaphragm drawn up on the lesion's sides, the mediastinum towards a one-sided lesion."""
    lift = lift_mm * (0.2 + 0.8 * lesion.severity)
    right = lift if RIGHT in lesion.sides else 0.0
    left = lift if LEFT in lesion.sides else 0.0
    pull = pull_mm * lesion.severity * lesion.sides[0] if len(lesion.sides) == 1 else 0.0
    return replace(
        anatomy,
        dome_y_right=anatomy.dome_y_right - right,
        dome_y_left=anatomy.dome_y_left - left,
        mediastinum_shift=anatomy.mediastinum_shift + pull,
    )


def atelectasis(scene: Scene, lesion: Lesion) -> Boxes:
    """Plates of airless lung across the lower zone and, as it grows, a collapsed wedge beside heart and diaphragm."""
    boxes: Boxes = ()
    for side in lesion.sides:
        lung, anatomy = scene.lungs[side], scene.anatomy
        share = np.zeros_like(lung.path)
        details = lesion.rng.random((3, 4))
        for index in range(1 + (lesion.severity > 0.3) + (lesion.severity > 0.65)):
            down = 0.62 + 0.26 * lesion.down - 0.15 * index
            lateral = (0.50 + 0.20 * lesion.across + 0.08 * (details[index, 0] - 0.5)) * anatomy.cage_half_width
            length = 22 + 22 * lesion.severity + 8 * details[index, 1]
            thickness = 2.0 + 2.6 * lesion.severity + details[index, 2]
            tilt = 0.35 * lesion.turn + 0.3 * (details[index, 3] - 0.5)
            plate = _plate(scene, lung, (lateral, scene.down_to_y(side, down)), (length, thickness), tilt)
            np.maximum(share, plate * np.float32(0.22 + 0.22 * lesion.severity), out=share)
        wedge = _wedge(scene, lung, side, lesion.severity)
        np.maximum(share, wedge, out=share)
        replaced = lung.fill(share)
        boxes += scene.box_of(lung, replaced, 0.3)
    return boxes or (scene.lung_box(lesion.sides[0]),)


def _plate(scene: Scene, lung: Lung, centre: tuple[float, float], sides: tuple[float, float], tilt: float) -> Map:
    """A band `sides` = (half-length, half-thickness) mm; at least a pixel thick, with its mass kept."""
    x, y = lung.lateral - np.float32(centre[0]), lung.y - np.float32(centre[1])
    away = y * np.float32(np.cos(tilt)) - x * np.float32(np.sin(tilt))
    away += x * x * np.float32(0.0016)
    along = np.abs(x) * np.float32(1 / np.cos(tilt))
    half = max(sides[1], 0.55 * scene.canvas.pixel_mm)
    band = np.maximum(1 - (away * np.float32(1 / half)) ** 2, 0)
    band *= ramp(np.float32(sides[0]) - along, 5.0)
    band *= np.float32(sides[1] / half)
    return band


def _wedge(scene: Scene, lung: Lung, side: int, severity: float) -> Map:
    """The lower lobe folding towards the spine: a triangle on the diaphragm, white from moderate severity on."""
    strength = 0.05 + 0.68 * severity
    height = 34 + 52 * severity
    above = scene.anatomy.dome_y(side) + 14 - lung.y
    reach = (0.40 + 0.24 * severity) * scene.anatomy.cage_half_width * np.clip(1 - above * np.float32(1 / height), 0, 1)
    reach += side * scene.anatomy.mediastinum_shift + 24
    wedge = ramp(reach - lung.lateral, 5.0)
    wedge *= ramp(np.float32(height) - above, 8.0)
    wedge *= np.float32(strength)
    return wedge


def inflate(anatomy: Anatomy, lesion: Lesion) -> Anatomy:
    """Emphysema's build: darker lungs, low flat domes, fewer vessels, a narrow upright heart, wider rib gaps."""
    s = 0.10 + 0.90 * lesion.severity
    return replace(
        anatomy,
        lung_coefficient=anatomy.lung_coefficient * (1 - 0.52 * s),
        dome_y_right=anatomy.dome_y_right + 30 * s,
        dome_y_left=anatomy.dome_y_left + 28 * s,
        dome_height=anatomy.dome_height * (1 - 0.72 * s),
        vessel_gain=anatomy.vessel_gain * (1 - 0.42 * s),
        heart_width=anatomy.heart_width * (1 - 0.17 * s),
        rib_gap=anatomy.rib_gap * (1 + 0.10 * s),
        rib_slope=anatomy.rib_slope * (1 - 0.35 * s),
        chest_depth_cm=anatomy.chest_depth_cm + 1.6 * s,
        cage_half_width=anatomy.cage_half_width * (1 + 0.03 * s),
    )


def emphysema(scene: Scene, lesion: Lesion) -> Boxes:
    """Air sacs without vessels here and there; the box is each lung, as all of it is changed."""
    for side, lung in scene.lungs.items():
        bulla_y = scene.down_to_y(side, 0.16 + 0.25 * lesion.down)
        x = lung.lateral - np.float32((0.40 + 0.25 * lesion.across) * scene.anatomy.cage_half_width)
        radius = 18 + 26 * lesion.severity
        q = (x * x + (lung.y - np.float32(bulla_y)) ** 2) * np.float32(1 / radius**2)
        freed = lung.path * np.clip(1.3 - q, 0, 1) * np.float32(0.4 * lesion.severity)
        lung.path -= freed
        lung.air = freed if lung.air is None else lung.air + freed
    return scene.lung_box(RIGHT), scene.lung_box(LEFT)


def fibrosis(scene: Scene, lesion: Lesion) -> Boxes:
    """A net of fine lines, densest at the bases and under the pleura, with small cysts and a shrunken lung."""
    boxes: Boxes = ()
    for side in lesion.sides:
        lung, anatomy = scene.lungs[side], scene.anatomy
        edge = np.clip(1 - (lung.from_wall - 6) * np.float32(1 / (26 + 34 * lesion.severity)), 0, 1)
        down = (lung.y - np.float32(anatomy.apex_y)) * np.float32(1 / (anatomy.dome_y(side) - anatomy.apex_y))
        low = np.clip((down - np.float32(0.66 - 0.42 * lesion.severity)) * np.float32(2.6), 0, 1)
        extent = np.maximum(low * (np.float32(0.35) + np.float32(0.65) * edge), np.float32(0.45) * edge * low)
        blotches = lattice_noise(scene.canvas, lung.window, max(5.0, 1.2 * scene.canvas.pixel_mm), lesion.rng)
        share = extent * np.clip(np.float32(0.75) + np.float32(0.35) * blotches, 0.1, 1.4)
        share *= np.float32(0.17 + 0.25 * lesion.severity)
        replaced = lung.fill(share)
        _net(scene, side, lesion)
        boxes += scene.box_of(lung, replaced, 0.3)
    return boxes or (scene.lung_box(lesion.sides[0]),)


def _net(scene: Scene, side: int, lesion: Lesion) -> None:
    """Thickened septa: crooked rings of short strokes, so that small dark cells stay between them."""
    anatomy, rng = scene.anatomy, lesion.rng
    count, corners = 300, 5
    y = scene.down_to_y(side, 1.0) + 26 - rng.gamma(2.0, 1.0, count) * (12 + 18 * lesion.severity)
    wall = cage_half_width(anatomy, y.astype(np.float32)).astype(np.float64)
    lateral = wall - 3 - rng.gamma(1.5, 1.0, count) * (11 + 13 * lesion.severity)
    shown = (lateral > 30) & (y > scene.down_to_y(side, 0.25))
    turn = np.arange(corners + 1) * (2 * np.pi / corners) + rng.uniform(0, 6, count)[:, None]
    radius = rng.uniform(2.0, 5.0, count)[:, None] * rng.uniform(0.5, 1.6, (count, corners + 1))
    rings = np.stack((side * lateral[:, None] + radius * np.cos(turn), y[:, None] + radius * np.sin(turn)), axis=2)
    ends = np.stack((rings[shown, :-1], rings[shown, 1:]), axis=2).reshape(-1, 2, 2)
    strength = rng.uniform(0.3, 1.0, len(ends)) * (0.20 + 0.28 * lesion.severity)
    scene.ink.segments(ends, np.full(len(ends), 1.4), strength)
