"""Augmentation that respects X-rays: small rigid motion and exposure, nothing that no X-ray could show.

There is no vertical flip (no patient stands on the head). Horizontal flip is off unless asked for: it puts the heart
on the right, turns the side marker into a mirrored letter and makes situs inversus, a finding of its own, look normal.

Every image's change is a pure function of (seed, view, image index): it does not depend on the other images of its
batch, on the step, or on what was drawn before. That makes runs resumable and lets a teacher's answers be cached.
"""

import math
from typing import Annotated, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from torch import Tensor
from torch.nn import functional

Fraction = Annotated[float, Field(ge=0, lt=1)]

_PIXEL_VALUES = np.arange(256, dtype=np.float64) / 255.0
_NUM_UNIFORMS = 8


class AugmentConfig(BaseModel, frozen=True, extra="forbid"):
    """How far an image may be changed; every number is the largest change in either direction, 0 turns it off."""

    rotation_degrees: Annotated[float, Field(ge=0, le=45)] = 5.0
    translate: Fraction = 0.05
    """Shift along each axis, as a share of the side."""
    zoom: Fraction = 0.10
    """Scale between 1 - zoom and 1 + zoom."""
    brightness: Fraction = 0.10
    """Added to pixels in 0..1."""
    contrast: Fraction = 0.15
    """Factor between 1 - contrast and 1 + contrast, around mid-gray."""
    gamma: Fraction = 0.15
    """Exponent between exp(-gamma) and exp(gamma): other exposure and detector curves."""
    noise: Fraction = 0.0
    """Standard deviation of the noise added to pixels in 0..1."""
    horizontal_flip: bool = False
    """Mirror half of the images. Off: it moves the heart and mirrors the side marker (see the top of this file)."""
    num_views: Annotated[int, Field(ge=1)] | None = None
    """Number of different versions of an image; None gives a fresh one each epoch. A teacher cache needs a number."""

    @property
    def moves(self) -> bool:
        """Whether pixels change their place."""
        return self.rotation_degrees > 0 or self.translate > 0 or self.zoom > 0 or self.horizontal_flip

    @property
    def changes_exposure(self) -> bool:
        """Whether pixels change their value."""
        return self.brightness > 0 or self.contrast > 0 or self.gamma > 0


NO_AUGMENTATION = AugmentConfig(
    rotation_degrees=0, translate=0, zoom=0, brightness=0, contrast=0, gamma=0, noise=0, num_views=1
)
"""The identity: pixels / 255, one view."""


class _Drawn(NamedTuple):
    """What was drawn for a batch: uniforms in -1..1 [b, 8] and, if wanted, standard normal noise [b, s, s]."""

    uniforms: NDArray[np.float64]
    noise: NDArray[np.float32] | None


def augment(
    pixels: UInt8[Tensor, "b s s"], indices: Int[Tensor, " b"], view: int, seed: int, config: AugmentConfig
) -> Float[Tensor, "b 1 s s"]:
    """The images changed as `config` allows, float32 in 0..1. `indices` say which image of the cohort each one is."""
    size = pixels.shape[-1]
    drawn = _draw(indices.tolist(), (seed, view), size if config.noise > 0 else 0)
    tables = torch.from_numpy(_exposure_tables(drawn.uniforms, config))
    # Black lies beyond the edge, so it is brought to zero, the value grid_sample pads with, and back afterwards.
    black = tables[:, :1].clone() if config.moves else torch.zeros(len(tables), 1)
    looked_up = (tables - black).gather(1, pixels.flatten(1).long())
    images = looked_up.view(-1, 1, size, size)
    if config.moves:
        images = _move(images, drawn.uniforms, config)
        images = images.add_(black[:, :, None, None]).clamp_(0, 1)
    if drawn.noise is not None:
        images = images.add(torch.from_numpy(drawn.noise)[:, None], alpha=config.noise).clamp_(0, 1)
    return images


def _draw(indices: list[int], key: tuple[int, int], noise_size: int) -> _Drawn:
    """Random numbers of every image, each from its own stream of the counter-based Philox generator."""
    uniforms = np.empty((len(indices), _NUM_UNIFORMS))
    noise = np.empty((len(indices), noise_size, noise_size), dtype=np.float32) if noise_size else None
    stream_key = np.array(key, dtype=np.uint64)
    for row, index in enumerate(indices):
        # The image is the counter's highest word: 2**192 numbers lie between the streams of two images.
        counter = np.array([0, 0, 0, index], dtype=np.uint64)
        generator = np.random.Generator(np.random.Philox(key=stream_key, counter=counter))
        uniforms[row] = generator.random(_NUM_UNIFORMS)
        if noise is not None:
            generator.standard_normal(dtype=np.float32, out=noise[row])
    return _Drawn(uniforms * 2 - 1, noise)


def _exposure_tables(uniforms: NDArray[np.float64], config: AugmentConfig) -> NDArray[np.float32]:
    """For each image the new value in 0..1 of all 256 pixel values [b, 256]: far fewer powers than one a pixel."""
    if not config.changes_exposure:
        return np.tile((np.arange(256, dtype=np.float32) / np.float32(255)), (len(uniforms), 1))
    exponent = np.exp(config.gamma * uniforms[:, 0, None])
    factor = 1 + config.contrast * uniforms[:, 1, None]
    offset = config.brightness * uniforms[:, 2, None]
    values = (_PIXEL_VALUES**exponent - 0.5) * factor + 0.5 + offset
    return np.clip(values, 0, 1).astype(np.float32)


def _move(
    images: Float[Tensor, "b 1 s s"], uniforms: NDArray[np.float64], config: AugmentConfig
) -> Float[Tensor, "b 1 s s"]:
    """The images rotated, zoomed, shifted and, if configured, mirrored in one bilinear resampling."""
    angle = math.radians(config.rotation_degrees) * uniforms[:, 3]
    scale = 1 / (1 + config.zoom * uniforms[:, 4])
    mirror = np.where(uniforms[:, 7] < 0, -1.0, 1.0) if config.horizontal_flip else np.ones(len(uniforms))
    shift = 2 * config.translate * uniforms[:, 5:7]  # grid_sample's coordinates run from -1 to 1
    across = np.stack([mirror * scale * np.cos(angle), scale * np.sin(angle)], axis=1)
    down = np.stack([-mirror * scale * np.sin(angle), scale * np.cos(angle)], axis=1)
    size = images.shape[-1]
    centres = (np.arange(size) * 2 + 1) / size - 1
    # affine_grid would take most of the time of a whole augmentation; a sum of two ramps is the same grid.
    along_rows = torch.from_numpy((across[:, None, None, :] * centres[None, None, :, None]).astype(np.float32))
    along_columns = down[:, None, None, :] * centres[None, :, None, None] + shift[:, None, None, :]
    grid = along_rows + torch.from_numpy(along_columns.astype(np.float32))
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
