"""What findings are drawn into: the patient's lungs on the canvas, and where a finding of this patient sits."""

from dataclasses import dataclass

import numpy as np

from pocketcxr.domain.study import Box
from pocketcxr.phantom.anatomy import Anatomy
from pocketcxr.phantom.canvas import Canvas, Ink, Map
from pocketcxr.phantom.randomness import FINDING, stream
from pocketcxr.phantom.thorax import LEFT, RIGHT, Ellipsoid, Lung, chord, heart_solids

Boxes = tuple[Box, ...]

FIRST_DAY_INDEX = 64
"""Random streams of a finding's place have indices below; those of its day above."""
MOST_FINDINGS = 32


@dataclass(frozen=True)
class Lesion:
    """Where one finding sits in one patient, and how far it has gone.

    severity: 0..1. sides: thorax.RIGHT and/or LEFT. across, down: 0..1 within the lung. turn: -1..1.
    All but severity stay the same in follow-ups, up to a small jitter. rng: for the details, the patient's own too.
    """

    severity: float
    sides: tuple[int, ...]
    across: float
    down: float
    turn: float
    rng: np.random.Generator


@dataclass(frozen=True)
class LesionKey:
    """What a lesion's place is drawn from; `number` is the finding's place in CHESTXRAY14."""

    seed: int
    patient: int
    study: int
    number: int


def draw_lesion(key: LesionKey, severity: float, right: float, both: float) -> Lesion:
    """A lesion on the right with chance `right`, on both sides with chance `both`, else on the left."""
    rng = stream(key.seed, key.patient, FINDING, key.number)
    day = stream(key.seed, key.patient, FINDING, FIRST_DAY_INDEX + key.study * MOST_FINDINGS + key.number)
    roll = rng.random()
    sides = (RIGHT,) if roll < right else (RIGHT, LEFT) if roll < right + both else (LEFT,)
    across, down, turn = rng.random(), rng.random(), rng.uniform(-1, 1)
    jitter = day.normal(0, 0.035, 3)
    return Lesion(
        severity=float(np.clip(severity, 0, 1)),
        sides=sides,
        across=float(np.clip(across + jitter[0], 0, 1)),
        down=float(np.clip(down + jitter[1], 0, 1)),
        turn=float(turn + jitter[2]),
        rng=rng,
    )


@dataclass
class Scene:
    """One image in the making. added: nepers beyond tissue and lungs, [size, size]; ink: fine lines, as vessels."""

    canvas: Canvas
    anatomy: Anatomy
    lungs: dict[int, Lung]
    ink: Ink
    added: Map

    def box_of(self, lung: Lung, change: Map, share: float = 0.25) -> Boxes:
        """The box around `change` over a lung's window; empty where nothing changed."""
        box = self.canvas.change_box(change, lung.window, share)
        return () if box is None else (box,)

    def lung_box(self, side: int) -> Box:
        """The box of a whole lung field, clipped to the image."""
        box = self.canvas.change_box(self.lungs[side].whole, self.lungs[side].window, 0.45)
        if box is None:
            return Box(0.0, 0.0, float(self.canvas.size), float(self.canvas.size))
        return box

    def down_to_y(self, side: int, down: float) -> float:
        """Height y of the lung at `down`: 0 the apex, 1 the dome of the diaphragm."""
        return self.anatomy.apex_y + down * (self.anatomy.dome_y(side) - self.anatomy.apex_y)

    def solid_box(self, solids: tuple[Ellipsoid, ...]) -> Box:
        """The box of several solids, at least one pixel and clipped to the image."""
        corners = np.concatenate([_outline(solid) for solid in solids])
        return self.clipped(self.canvas.to_pixels(corners))

    def clipped(self, points: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Box:
        """The box of pixel coordinates [n, 2], at least one pixel wide and inside the image."""
        size = float(self.canvas.size)
        low = np.clip(points.min(axis=0), 0, size - 1)
        high = np.clip(points.max(axis=0), low + 1, size)
        return Box(float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))


def _outline(solid: Ellipsoid) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    turn = np.linspace(0, 2 * np.pi, 24)
    c, s = np.cos(solid.angle), np.sin(solid.angle)
    u, v = solid.a * np.cos(turn), solid.b * np.sin(turn)
    return np.stack((solid.x + u * c - v * s, solid.y + u * s + v * c), axis=1)


def displace_by_heart(canvas: Canvas, lungs: dict[int, Lung], solids: tuple[Ellipsoid, ...]) -> None:
    """The heart and great vessels take their thickness from the lungs' path."""
    for lung in lungs.values():
        thickest = np.zeros_like(lung.path)
        for solid in solids:
            np.maximum(thickest, chord(canvas, lung.window, solid), out=thickest)
        lung.path -= thickest
        np.maximum(lung.path, 0, out=lung.path)


def heart_border(anatomy: Anatomy, side: int, y: float) -> float:
    """How far the heart reaches to a side at height y, mm from the midline (0 above and below it)."""
    reach = 0.0
    for solid in heart_solids(anatomy):
        outline = _outline(solid)
        near = np.abs(outline[:, 1] - y) < 12
        if near.any():
            reach = max(reach, float((side * outline[near, 0]).max()))
    return reach
