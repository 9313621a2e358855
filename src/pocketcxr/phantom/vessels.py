"""The lungs' vessels: two trees that branch from the hila, drawn in ink and masked by the lung that is left."""

import numpy as np

from pocketcxr.phantom.anatomy import Anatomy
from pocketcxr.phantom.canvas import Ink
from pocketcxr.phantom.thorax import LEFT, RIGHT

VESSEL_NEPERS_PER_MM = 0.060
"""Attenuation of blood in place of lung, per mm of vessel width."""
FULL_INK_MM = 12.0
"""Vessel width that ink of value 1 stands for."""
GENERATIONS = 6


def draw_tree(ink: Ink, anatomy: Anatomy, side: int, rng: np.random.Generator) -> None:
    """One lung's tree. The random stream is used alike at every image size; what would not show is not drawn."""
    shift = anatomy.mediastinum_shift
    hilum = np.array([shift + side * (34 if side < 0 else 37), -24.0 if side < 0 else -32.0])
    reach = anatomy.cage_half_width / 131
    down = (0.5 * (anatomy.dome_y_left + anatomy.dome_y_right) + 40) / 130
    angles = np.radians([-88, -62, -30, 0, 26, 48, 66, 82]) + rng.normal(0, 0.1, 8)
    starts = hilum + np.stack((np.zeros(8), np.linspace(-14, 16, 8)), axis=1)
    widths = np.array([5.0, 4.4, 3.6, 3.2, 4.2, 5.2, 6.2, 6.4]) * rng.uniform(0.85, 1.15, 8) * anatomy.vessel_gain
    lengths = np.array([26, 27, 25, 22, 25, 28, 29, 27]) * rng.uniform(0.8, 1.2, 8)
    stretch = np.array([side * reach, max(down, 0.55)])
    smallest = 0.35 * ink.canvas.pixel_mm
    for generation in range(GENERATIONS):
        steps = np.stack((np.cos(angles), np.sin(angles)), axis=1) * lengths[:, None] * stretch
        middles = starts + steps / 2 + rng.normal(0, 1.2, steps.shape)
        ends = starts + steps
        shown = widths > smallest
        values = np.minimum(widths / FULL_INK_MM, 1)[shown]
        for a, b in ((starts, middles), (middles, ends)):
            ink.segments(np.stack((a[shown], b[shown]), axis=1), widths[shown], values)
        if generation == GENERATIONS - 1:
            break
        spread = rng.uniform(0.18, 0.55, len(angles))
        lean = rng.normal(0, 0.1, len(angles))
        angles = np.concatenate((angles + spread + lean, angles - spread + lean))
        starts = np.concatenate((ends, ends))
        widths = np.concatenate((widths, widths)) * rng.uniform(0.60, 0.82, len(angles))
        lengths = np.concatenate((lengths, lengths)) * rng.uniform(0.68, 0.95, len(angles))


def draw_hilum(ink: Ink, anatomy: Anatomy, side: int) -> None:
    """The pulmonary artery as it leaves the mediastinum."""
    x = anatomy.mediastinum_shift + side * (26 if side < 0 else 30)
    y = -26.0 if side < 0 else -36.0
    gain = anatomy.vessel_gain
    # Discs along the artery: its width and thickness shrink as branches leave it.
    step = np.linspace(0, 1, 8)
    down = np.stack((x + side * (2 + 15 * step), y - 3 + 36 * step), axis=1)
    ink.discs(down, (7.5 - 3.4 * step) * gain, 0.62 - 0.2 * step)
    up = np.stack((x + side * 14 * step, y - 3 - 12 * step), axis=1)
    ink.discs(up, (5.5 - 2.4 * step) * gain, 0.5 - 0.15 * step)


def draw_vessels(ink: Ink, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Both trees and hila."""
    for side in (RIGHT, LEFT):
        draw_tree(ink, anatomy, side, rng)
        draw_hilum(ink, anatomy, side)
