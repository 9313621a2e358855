"""Findings of the heart and behind it: cardiomegaly, hiatal hernia."""

from dataclasses import replace

import numpy as np

from pocketcxr.phantom.anatomy import Anatomy
from pocketcxr.phantom.canvas import ramp
from pocketcxr.phantom.physics import SOFT_TISSUE_PER_CM
from pocketcxr.phantom.scene import Boxes, Lesion, Scene
from pocketcxr.phantom.thorax import Ellipsoid, chord, heart_solids

CARDIOTHORACIC_RATIO = (0.525, 0.72)
"""Least and gross ratio of heart width to inner chest width, PA; a normal heart stays below 0.5."""
HERNIA_RADIUS_MM = (21.0, 52.0)


def enlarge_heart(anatomy: Anatomy, lesion: Lesion) -> Anatomy:
    """The heart widened to the cardiothoracic ratio of the severity, at least a tenth wider than it was."""
    low, high = CARDIOTHORACIC_RATIO
    width = 2 * anatomy.cage_half_width * (low + (high - low) * lesion.severity**1.2)
    return replace(anatomy, heart_width=max(width, 1.1 * anatomy.heart_width))


def cardiomegaly(scene: Scene) -> Boxes:
    """The box of the heart; the heart itself was enlarged with the anatomy."""
    return (scene.solid_box(heart_solids(scene.anatomy)[:3]),)


def hernia(scene: Scene, lesion: Lesion) -> Boxes:
    """The stomach slid up behind the heart: a round shadow on the diaphragm, air over a level of liquid."""
    anatomy = scene.anatomy
    low, high = HERNIA_RADIUS_MM
    radius = low + (high - low) * lesion.severity
    x = anatomy.mediastinum_shift + 8 + 9 * lesion.turn
    y = 0.5 * (anatomy.dome_y_left + anatomy.dome_y_right) + 8 - 0.78 * radius
    sac = Ellipsoid(x, y, 1.12 * radius, radius, 0.0, 0.19 * radius)
    window = scene.canvas.around(x, y, sac.a, sac.b)
    thickness = chord(scene.canvas, window, sac)
    part = scene.added[window.rows, window.columns]
    for lung in scene.lungs.values():
        inside = chord(scene.canvas, lung.window, sac)
        lung.path -= np.minimum(inside, lung.path)
    level = np.float32(y - 0.2 * radius)
    air = thickness * ramp(level - scene.canvas.y[window.rows, window.columns], max(scene.canvas.edge_mm, 0.8))
    air *= ramp(thickness - 0.9, 0.5)
    part += np.float32(0.02) * thickness
    part -= air * np.float32(0.5 * SOFT_TISSUE_PER_CM)
    return (scene.solid_box((sac,)),)
