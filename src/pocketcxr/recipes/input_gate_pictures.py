"""The pictures that the input gate learns from and is measured on: simulated, labelled by what was done to them."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.errors import UnknownNameError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.drawing import request_of
from pocketcxr.phantom.handling import (
    View,
    cropped_view,
    developed,
    framed,
    inverted,
    reshaped,
    screen_photograph,
    turned_view,
    usual_view,
)
from pocketcxr.phantom.not_chest import no_radiograph
from pocketcxr.phantom.other_views import lateral, other_part
from pocketcxr.phantom.plan import plan
from pocketcxr.phantom.render import render
from pocketcxr.phantom.strokes import Pixels
from pocketcxr.runtime.input_gate import KINDS
from pocketcxr.runtime.input_gate_pixels import NET_SIZE, look, net_input

PHANTOM_SIDE_PX = 96
"""Side of the phantoms before they are handled: half as fine again as the net sees."""
PREVALENCE_SCALE = 3.0
"""Findings are more frequent than in the clinic: a diseased chest must pass the gate."""
SHARES = (0.50, 0.07, 0.08, 0.10, 0.09, 0.16)
"""Of the pictures, those of each of KINDS."""
_SCREEN_SHARE = 0.04
_STAGE = "drawing"


class GatePictures(NamedTuple):
    """Net inputs float16 [n, 1, 64, 64] and the place of each one's kind in KINDS, int64 [n]."""

    inputs: NDArray[np.float16]
    kinds: NDArray[np.int64]


@dataclass(frozen=True)
class Chests:
    """Simulated frontal chests to handle."""

    pixels: tuple[Pixels, ...]

    def one(self, rng: np.random.Generator) -> Pixels:
        """One of them, at times mirrored: the heart on the right is rare, a mirrored file is not."""
        pixels = self.pixels[int(rng.integers(len(self.pixels)))]
        pixels = reshaped(pixels, rng) if rng.random() < 0.7 else pixels
        return pixels[:, ::-1] if rng.random() < 0.2 else pixels


def draw_chests(num: int, seed: int, side: int = PHANTOM_SIDE_PX, progress: Progress = silent) -> Chests:
    """`num` phantoms, side x side pixels."""
    config = PhantomConfig(images=num, size=side, seed=seed, prevalence_scale=PREVALENCE_SCALE)
    pixels = []
    for image in plan(config):
        pixels.append(render(request_of(config, image)).pixels)
        progress(_STAGE, len(pixels), num)
    return Chests(tuple(pixels))


def picture(kind: str, chests: Chests, rng: np.random.Generator, side: int = PHANTOM_SIDE_PX) -> Pixels:
    """One picture of a kind of KINDS, its longer side `side`. Raises UnknownNameError."""
    match kind:
        case "frontal":
            return _frontal(chests, rng, side)
        case "lateral":
            # Without veils: a film of one white lung must not look like a side view.
            shown = framed(lateral(side, rng), _mostly_upright(rng), side, rng)
            return developed(shown, rng, is_veiled=False) if rng.random() < 0.7 else shown
        case "inverted":
            return inverted(_frontal(chests, rng, side))
        case "rotated":
            return _handled(chests.one(rng), turned_view(rng), side, rng)
        case "heavily-cropped":
            return _handled(chests.one(rng), cropped_view(rng), side, rng)
        case "not-a-chest-radiograph":
            return _not_chest(rng, side)
    raise UnknownNameError.of("kind of picture", kind, KINDS)


def gate_pictures(num: int, chests: Chests, rng: np.random.Generator, progress: Progress = silent) -> GatePictures:
    """`num` pictures of all kinds, mixed."""
    kinds = rng.choice(len(KINDS), num, p=SHARES)
    inputs = np.zeros((num, 1, NET_SIZE, NET_SIZE), dtype=np.float16)
    for place, kind in enumerate(kinds):
        inputs[place] = net_input(look(picture(KINDS[kind], chests, rng)))[0]
        if place % 200 == 0:
            progress(_STAGE, place, num)
    progress(_STAGE, num, num)
    return GatePictures(inputs, kinds)


def _frontal(chests: Chests, rng: np.random.Generator, side: int) -> Pixels:
    if rng.random() < 0.1:
        return chests.one(rng)
    shown = _handled(chests.one(rng), usual_view(rng), side, rng)
    return screen_photograph(shown, rng) if rng.random() < _SCREEN_SHARE else shown


def _not_chest(rng: np.random.Generator, side: int) -> Pixels:
    pixels = other_part(side, rng) if rng.random() < 0.33 else no_radiograph(side, rng)
    if rng.random() < 0.4:
        return pixels
    return _handled(pixels, _mostly_upright(rng), side, rng)


def _mostly_upright(rng: np.random.Generator) -> View:
    return turned_view(rng) if rng.random() < 0.2 else usual_view(rng)


def _handled(pixels: Pixels, view: View, side: int, rng: np.random.Generator) -> Pixels:
    shown = framed(pixels, view, side, rng)
    return developed(shown, rng) if rng.random() < 0.85 else shown
