"""Findings that fill air spaces: consolidation, pneumonia, infiltration, edema."""

from dataclasses import dataclass, replace

import numpy as np

from pocketcxr.phantom.anatomy import Anatomy
from pocketcxr.phantom.canvas import Map, lattice_noise, ramp
from pocketcxr.phantom.scene import Boxes, Lesion, Scene
from pocketcxr.phantom.thorax import RIGHT, Lung


@dataclass(frozen=True)
class Patch:
    """A soft-edged opacity: centre (lateral, y) and half-axes in mm, turned by angle.

    plateau: 1 fades from the centre on, above it stays full before it falls. grain (mm), roughness (0..1): the texture.
    """

    lateral: float
    y: float
    a: float
    b: float
    angle: float
    plateau: float
    grain: float
    roughness: float


def patch_share(scene: Scene, lung: Lung, patch: Patch, rng: np.random.Generator) -> Map:
    """How strongly a patch veils the lung, 0..1 over its window: fading outwards, with ragged edges and holes."""
    x, y = lung.lateral - np.float32(patch.lateral), lung.y - np.float32(patch.y)
    c, s = np.cos(patch.angle), np.sin(patch.angle)
    q = (x * np.float32(c / patch.a) + y * np.float32(s / patch.a)) ** 2
    q += (y * np.float32(c / patch.b) - x * np.float32(s / patch.b)) ** 2
    grain = max(patch.grain, 1.2 * scene.canvas.pixel_mm)
    texture = lattice_noise(scene.canvas, lung.window, grain, rng)
    texture *= np.float32(patch.roughness)
    texture += 1
    texture *= np.exp(-(q**patch.plateau))
    return np.clip(texture, 0, 1, out=texture)


def consolidation(scene: Scene, lesion: Lesion) -> Boxes:
    """A lobe, or much of one, white: sharp at the fissure, fading elsewhere, no vessels, bronchi as dark branches."""
    side = lesion.sides[0]
    lung, anatomy = scene.lungs[side], scene.anatomy
    fissure = scene.down_to_y(side, 0.56 if side == RIGHT else 0.62) + 7 * lesion.turn
    is_upper = lesion.down < 0.42
    tilt = np.float32(0.10 if side == RIGHT else 0.28)
    to_fissure = lung.y - (np.float32(fissure) + tilt * (lung.lateral - np.float32(60)))
    half = 34 + 30 * lesion.severity
    centre_y = fissure - 0.62 * half if is_upper else fissure + 0.60 * half
    lateral = (0.42 + 0.26 * lesion.across) * anatomy.cage_half_width
    patch = Patch(lateral, centre_y, 0.95 * half + 8, half, 0.25 * lesion.turn, 2.2, 14.0, 0.16)
    share = patch_share(scene, lung, patch, lesion.rng)
    share *= ramp(-to_fissure if is_upper else to_fissure, max(1.6, scene.canvas.edge_mm))
    _bronchograms(scene, side, (lateral, centre_y, half), lesion.rng)
    share *= np.float32(0.24 + 0.66 * lesion.severity)
    replaced = lung.fill(share)
    return scene.box_of(lung, replaced, 0.3) or (scene.lung_box(side),)


def _bronchograms(scene: Scene, side: int, region: tuple[float, float, float], rng: np.random.Generator) -> None:
    """Air-filled bronchi that stay dark inside the white lobe: branches from the hilum outwards, as lost nepers."""
    lateral, y, half = region
    lung = scene.lungs[side]
    part = scene.added[lung.window.rows, lung.window.columns]
    for turn in rng.normal(0, 0.35, 4):
        angle = np.arctan2(y + 25, lateral - 32) + turn
        along = (lung.lateral - 32) * np.float32(np.cos(angle)) + (lung.y + 25) * np.float32(np.sin(angle))
        away = (lung.y + 25) * np.float32(np.cos(angle)) - (lung.lateral - 32) * np.float32(np.sin(angle))
        width = max(1.7, 0.7 * scene.canvas.pixel_mm)
        tube = np.maximum(1 - np.abs(away) * np.float32(1 / width), 0)
        tube *= ramp(along - 14, 6.0) * ramp(np.float32(0.55 * half + 34) - along, 12.0)
        part -= tube * np.float32(0.10 * 1.7 / width)


def pneumonia(scene: Scene, lesion: Lesion) -> Boxes:
    """A segment veiled unevenly, with a denser core and a smaller satellite; mostly in the lower zones."""
    boxes: Boxes = ()
    for index, side in enumerate(lesion.sides):
        lung, anatomy = scene.lungs[side], scene.anatomy
        half = (24 + 26 * lesion.severity) * (1.0 if index == 0 else 0.75)
        lateral = (0.40 + 0.34 * lesion.across) * anatomy.cage_half_width
        y = scene.down_to_y(side, 0.50 + 0.42 * lesion.down)
        core = Patch(lateral, y, half, 0.85 * half, lesion.turn, 1.3, 11.0, 0.32)
        share = patch_share(scene, lung, core, lesion.rng)
        beside = Patch(lateral - 0.8 * half, y - 0.9 * half, 0.5 * half, 0.5 * half, 0.0, 1.0, 11.0, 0.32)
        np.maximum(share, np.float32(0.75) * patch_share(scene, lung, beside, lesion.rng), out=share)
        share *= np.float32(0.26 + 0.40 * lesion.severity)
        boxes += scene.box_of(lung, lung.fill(share), 0.3)
    return boxes or (scene.lung_box(lesion.sides[0]),)


def infiltration(scene: Scene, lesion: Lesion) -> Boxes:
    """Several faint, ill-defined, blotchy veils scattered over a lung or both."""
    boxes: Boxes = ()
    for side in lesion.sides:
        lung, anatomy = scene.lungs[side], scene.anatomy
        spots = lesion.rng.random((4, 3))
        share = np.zeros_like(lung.path)
        for spot in spots:
            size = 20 + 14 * spot[2] + 16 * lesion.severity
            lateral = (0.34 + 0.14 * lesion.across + 0.34 * spot[0]) * anatomy.cage_half_width
            down = 0.18 + 0.34 * lesion.down + 0.46 * spot[1]
            patch = Patch(lateral, scene.down_to_y(side, down), size, 0.8 * size, lesion.turn, 1.0, 9.0, 0.38)
            veil = patch_share(scene, lung, patch, lesion.rng)
            np.maximum(share, veil, out=share)
        share *= np.float32(0.14 + 0.26 * lesion.severity)
        boxes += scene.box_of(lung, lung.fill(share), 0.3)
    return boxes or (scene.lung_box(lesion.sides[0]),)


def congest(anatomy: Anatomy, lesion: Lesion) -> Anatomy:
    """Edema's fuller vessels and wider heart and vascular pedicle."""
    return replace(
        anatomy,
        vessel_gain=anatomy.vessel_gain * (1.08 + 0.36 * lesion.severity),
        heart_width=anatomy.heart_width * (1.03 + 0.07 * lesion.severity),
        mediastinum_half_width=anatomy.mediastinum_half_width + 3 * lesion.severity,
    )


def edema(scene: Scene, lesion: Lesion) -> Boxes:
    """Haze around both hila like a bat's wings, blurring the vessels; septal lines at the edge of the bases."""
    boxes: Boxes = ()
    for side, lung in scene.lungs.items():
        anatomy = scene.anatomy
        reach = 40 + 26 * lesion.severity
        lateral = 34.0 + 0.30 * reach + side * anatomy.mediastinum_shift
        wing = Patch(lateral, scene.down_to_y(side, 0.58), reach, 1.35 * reach, 0.0, 1.1, 9.0, 0.14)
        share = patch_share(scene, lung, wing, lesion.rng)
        share *= np.float32(0.10 + 0.46 * lesion.severity)
        share += np.float32(0.04 + 0.08 * lesion.severity)
        replaced = lung.fill(share)
        _septal_lines(scene, side, lesion)
        boxes += scene.box_of(lung, replaced, 0.35)
    return boxes or (scene.lung_box(RIGHT),)


def _septal_lines(scene: Scene, side: int, lesion: Lesion) -> None:
    """Kerley B lines: short and level, at the wall just above the diaphragm."""
    count = 12
    anatomy = scene.anatomy
    y = scene.down_to_y(side, 0.78) + np.linspace(0, 42, count) + lesion.rng.normal(0, 1, count)
    wall = anatomy.cage_half_width - lesion.rng.uniform(3, 6, count)
    length = lesion.rng.uniform(9, 17, count)
    ends = np.empty((count, 2, 2))
    ends[:, 0, 0], ends[:, 1, 0] = side * wall, side * (wall - length)
    ends[:, 0, 1], ends[:, 1, 1] = y, y + 1.5
    strength = 0.10 + 0.25 * lesion.severity
    scene.ink.segments(ends, np.full(count, 1.2), np.full(count, strength))
