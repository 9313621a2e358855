"""Round findings: nodules up to 3 cm and masses above."""

import numpy as np

from pocketcxr.phantom.canvas import Map
from pocketcxr.phantom.physics import SOFT_TISSUE_PER_CM
from pocketcxr.phantom.scene import Boxes, Lesion, Scene, heart_border
from pocketcxr.phantom.thorax import Ellipsoid, Lung, cage_half_width, chord

NODULE_DIAMETER_MM = (10.0, 29.0)
MASS_DIAMETER_MM = (32.0, 84.0)


def nodule(scene: Scene, lesion: Lesion) -> Boxes:
    """A round spot below 3 cm; sometimes a second and third, smaller one."""
    radius = 0.5 * (NODULE_DIAMETER_MM[0] + (NODULE_DIAMETER_MM[1] - NODULE_DIAMETER_MM[0]) * lesion.severity)
    rest = lesion.rng.random(9)
    count = 1 if rest[0] < 0.72 else 2 if rest[0] < 0.9 else 3
    is_calcified = rest[1] < 0.18
    boxes: Boxes = ()
    for index in range(count):
        side = lesion.sides[index % len(lesion.sides)]
        across = (lesion.across + rest[2 + index]) % 1.0 if index else lesion.across
        down = (lesion.down + rest[5 + index]) % 1.0 if index else lesion.down
        size = radius * (1.0 if index == 0 else 0.7)
        x, y = place_in_lung(scene, side, (across, down), size)
        solid = Ellipsoid(x, y, size, size * (1 + 0.12 * lesion.turn), 0.6, 0.2 * size)
        boxes += _solid(scene, scene.lungs[side], (solid,), 0.7 if is_calcified else 0.25)
    return boxes


def mass(scene: Scene, lesion: Lesion) -> Boxes:
    """A lump above 3 cm: several lobes, a ragged edge with spicules."""
    side = lesion.sides[0]
    radius = 0.5 * (MASS_DIAMETER_MM[0] + (MASS_DIAMETER_MM[1] - MASS_DIAMETER_MM[0]) * lesion.severity)
    x, y = place_in_lung(scene, side, (lesion.across, lesion.down), radius)
    angles = lesion.rng.uniform(0, 2 * np.pi, 3)
    ratios = lesion.rng.uniform(0.55, 0.75, 3)
    lobes = [Ellipsoid(x, y, 0.92 * radius, 0.8 * radius, float(angles[0]), 0.17 * radius)]
    for angle, ratio in zip(angles, ratios, strict=True):
        offset = 0.36 * radius
        centre = (x + offset * float(np.cos(angle)), y + offset * float(np.sin(angle)))
        lobes.append(
            Ellipsoid(*centre, float(ratio) * radius, float(ratio) * 0.9 * radius, float(angle), 0.15 * radius)
        )
    _spicules(scene, (x, y), radius, lesion.rng)
    return _solid(scene, scene.lungs[side], tuple(lobes), 0.05)


def place_in_lung(scene: Scene, side: int, at: tuple[float, float], radius: float) -> tuple[float, float]:
    """A point (x, y) mm in the open lung between heart and wall, at (across, down) in 0..1."""
    anatomy = scene.anatomy
    top, bottom = scene.down_to_y(side, 0.15) + 0.5 * radius, scene.down_to_y(side, 0.93) - 0.5 * radius
    y = top + at[1] * (bottom - top)
    wall = float(cage_half_width(anatomy, np.array([y], dtype=np.float32))[0])
    middle = side * anatomy.mediastinum_shift
    inner = max(middle + anatomy.mediastinum_half_width + 8, heart_border(anatomy, side, y) + 4)
    inner += 0.35 * radius
    outer = wall - 9 - 0.6 * radius
    lateral = inner + at[0] * (outer - inner) if outer > inner else 0.5 * (inner + outer)
    return side * lateral, y


def _solid(scene: Scene, lung: Lung, lobes: tuple[Ellipsoid, ...], extra_density: float) -> Boxes:
    """Lobes of soft tissue in the lung's place; extra_density is calcium, as a share of soft tissue's attenuation."""
    thickest: Map = np.zeros_like(lung.path)
    for lobe in lobes:
        np.maximum(thickest, chord(scene.canvas, lung.window, lobe), out=thickest)
    replaced = np.minimum(thickest, lung.path)
    lung.path -= replaced
    part = scene.added[lung.window.rows, lung.window.columns]
    part += thickest * np.float32(extra_density * SOFT_TISSUE_PER_CM)
    return scene.box_of(lung, replaced, 0.15) or (scene.solid_box(lobes),)


def _spicules(scene: Scene, centre: tuple[float, float], radius: float, rng: np.random.Generator) -> None:
    count = 22
    angles = rng.uniform(0, 2 * np.pi, count)
    reach = radius * rng.uniform(1.05, 1.45, count)
    out = np.stack((np.cos(angles), np.sin(angles)), axis=1)
    ends = np.stack((out * 0.7 * radius, out * reach[:, None]), axis=1) + np.array(centre)
    scene.ink.segments(ends, np.full(count, 1.6), np.full(count, 0.45))
