"""Findings of the pleural space: effusion, pneumothorax, pleural thickening."""

from dataclasses import replace

import numpy as np

from pocketcxr.phantom.anatomy import Anatomy
from pocketcxr.phantom.canvas import Map, lattice_noise, ramp
from pocketcxr.phantom.scene import Boxes, Lesion, Scene
from pocketcxr.phantom.thorax import Lung

PLEURAL_LINE_NEPERS = 0.16
LIQUID_HEIGHT_MM = (10.0, 150.0)
"""Of the meniscus at the chest wall above the angle, least and gross."""
RIM_MM = (6.0, 62.0)
"""Width of a pneumothorax at the apex, least and gross."""


def between(limits: tuple[float, float], severity: float, power: float = 1.0) -> float:
    """The value at a severity of 0..1 between two limits."""
    return limits[0] + (limits[1] - limits[0]) * float(severity**power)


def push(anatomy: Anatomy, lesion: Lesion, most_mm: float, beyond: float) -> Anatomy:
    """The mediastinum moved away from a one-sided lesion, at most `most_mm`, once severity passes `beyond`."""
    if len(lesion.sides) > 1:
        return anatomy
    shift = -lesion.sides[0] * most_mm * max(lesion.severity - beyond, 0) / (1 - beyond)
    return replace(anatomy, mediastinum_shift=anatomy.mediastinum_shift + shift)


def effusion(scene: Scene, lesion: Lesion) -> Boxes:
    """Liquid in the costophrenic angle: a meniscus that climbs the chest wall and hides the diaphragm."""
    boxes: Boxes = ()
    for side in lesion.sides:
        lung = scene.lungs[side]
        is_lesser = len(lesion.sides) > 1 and side * lesion.turn > 0
        height = between(LIQUID_HEIGHT_MM, lesion.severity, 1.35) * (0.6 if is_lesser else 1.0)
        angle_y = scene.anatomy.dome_y(side) + 0.75 * scene.anatomy.dome_height
        inwards = np.maximum(lung.from_wall, 0)
        # The surface falls away from the wall: steeply for little liquid, as a broad bowl for much.
        sag = np.float32(0.42 * height + 6) * (1 - np.exp(-inwards * np.float32(1 / (14 + 0.16 * height))))
        depth = lung.y - (np.float32(angle_y - height) + sag)
        share = ramp(depth, 5 + 0.05 * height)
        share *= ramp(lung.from_wall + 3, 2.0)
        replaced = lung.fill(share)
        # Liquid before and behind the dome whitens what shows below it.
        boxes += scene.box_of(lung, replaced, 0.12) or scene.box_of(lung, share * lung.whole, 0.12)
    return boxes or (scene.lung_box(lesion.sides[0]),)


def pneumothorax(scene: Scene, lesion: Lesion) -> Boxes:
    """Free air at the apex and along the wall: no vessels, black, bounded by the thin line of the visceral pleura."""
    boxes: Boxes = ()
    for side in lesion.sides[:1]:
        lung = scene.lungs[side]
        apex_rim = between(RIM_MM, lesion.severity, 1.3)
        down = (lung.y - np.float32(scene.anatomy.apex_y)) * np.float32(
            1 / (scene.anatomy.dome_y(side) - scene.anatomy.apex_y)
        )
        reach = 0.5 + 0.6 * lesion.severity
        profile = np.clip(1 - np.maximum(down, 0) * np.float32(1 / reach), 0, 1) ** np.float32(0.45)
        wave = 1 + np.float32(0.10) * np.sin(down * 7 + np.float32(3 * lesion.turn))
        rim = np.float32(apex_rim) * profile * wave + np.float32(22 * max(lesion.severity - 0.5, 0)) * (profile > 0)
        inside = rim - lung.from_wall
        share = ramp(inside, max(scene.canvas.edge_mm, 0.8))
        share *= rim > 2
        freed = lung.path * share
        lung.path -= freed
        lung.air = freed if lung.air is None else lung.air + freed
        _collapse(lung, lesion.severity)
        _pleural_line(scene, lung, inside, rim)
        boxes += scene.box_of(lung, freed, 0.2)
    return boxes or (scene.lung_box(lesion.sides[0]),)


def _collapse(lung: Lung, severity: float) -> None:
    """What is left of the lung holds the same tissue in less room."""
    lung.fill(np.full_like(lung.path, 0.16 * severity**1.5))


def _pleural_line(scene: Scene, lung: Lung, inside: Map, rim: Map) -> None:
    # Drawn at least as wide as a pixel, with its mass kept.
    half_width = max(0.7 * scene.canvas.pixel_mm, 0.8)
    line = np.maximum(1 - np.abs(inside) * np.float32(1 / half_width), 0)
    line *= np.float32(PLEURAL_LINE_NEPERS * 0.8 / half_width)
    line *= (rim > 2) & (lung.whole > 0.5)
    scene.added[lung.window.rows, lung.window.columns] += line


def pleural_thickening(scene: Scene, lesion: Lesion) -> Boxes:
    """A peel of soft tissue along the chest wall or over the apex, with a lumpy inner edge, now and then calcified."""
    boxes: Boxes = ()
    calcium = max(lesion.rng.random() - 0.6, 0) * 0.6
    for side in lesion.sides:
        lung = scene.lungs[side]
        middle = scene.down_to_y(side, 0.12 + 0.8 * lesion.down)
        half_length = 38 + 46 * lesion.severity + 10 * lesion.turn
        thickness = 7 + 17 * lesion.severity
        lumps = lattice_noise(scene.canvas, lung.window, 24.0, lesion.rng)
        along = (lung.y - np.float32(middle)) * np.float32(1 / half_length)
        peel = np.float32(thickness) * np.maximum(1 - along * along, 0) ** np.float32(0.5)
        peel *= 1 + np.float32(0.16) * lumps
        share = ramp(peel - lung.from_wall, 2.2)
        share *= peel > 0.8
        share *= ramp(lung.from_wall + 2, 2.0)
        share *= np.float32(0.6 + 0.3 * lesion.severity)
        replaced = lung.fill(share)
        # The peel also covers the lung from the front and the back of the wall: a faint veil wider than the edge.
        veil = np.maximum(1 - along * along, 0) * ramp(np.float32(2.6) * peel - lung.from_wall, 0.9 * thickness)
        replaced += lung.fill(veil * np.float32(0.14 + 0.14 * lesion.severity))
        scene.added[lung.window.rows, lung.window.columns] += replaced * np.float32(calcium * 0.25)
        boxes += scene.box_of(lung, replaced, 0.3) or scene.box_of(lung, share, 0.3)
    return boxes or (scene.lung_box(lesion.sides[0]),)
