"""What the input gate measures of a picture: its small, contrast-free copy for the net, gray scale, screen grids."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NET_SIZE = 64
"""Side of the net's input in pixels."""
_LOOK_PX = 256
"""Longest side of the copy that everything but screen grids is measured on."""
_FLAT = 6
"""A row or column at the edge with no greater range of gray levels is a border, not the picture."""
_LEAST_LEFT = 0.4
"""Of either side, how much is kept whatever its range: a flat picture is not all border."""
_PATCH_PX = 256
_AXIS = 3
"""Frequencies this near to an axis are left out: anti-scatter grids, JPEG blocks and frames lie there."""


class GrayScale(NamedTuple):
    """How the gray scale is used inside the borders."""

    spread: float
    """Gray levels between the 1st and the 99th percentile."""
    black_share: float
    """Of the pixels, those at most 2."""
    white_share: float
    """Of the pixels, those at least 253."""


def look(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture [h, w] scaled down to at most 256 pixels a side, without its one-coloured borders."""
    picture = Image.fromarray(image)
    picture.thumbnail((_LOOK_PX, _LOOK_PX), Image.Resampling.BILINEAR, reducing_gap=2.0)
    small = np.asarray(picture)
    rows = _kept(small.max(axis=1).astype(int) - small.min(axis=1))
    small = small[rows]
    return small[:, _kept(small.max(axis=0).astype(int) - small.min(axis=0))]


def gray_scale(small: NDArray[np.uint8]) -> GrayScale:
    """How a picture that `look` gave uses the gray scale."""
    low, high = np.percentile(small, [1, 99])
    return GrayScale(float(high - low), float((small <= 2).mean()), float((small >= 253).mean()))


def net_input(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A picture that `look` gave as net input [1, 1, 64, 64]: mean 0, deviation 1 within, 0 beside it."""
    height, width = small.shape
    scale = NET_SIZE / max(height, width)
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    scaled = np.asarray(Image.fromarray(small).resize(shape, Image.Resampling.BILINEAR), dtype=np.float32)
    # From percentiles, so that a lead letter or a burnt-out corner does not set the scale.
    inner = np.clip(scaled, *np.percentile(scaled, [1, 99]))
    values = np.clip((scaled - inner.mean()) / max(float(inner.std()), 1.0), -3, 3)
    top, left = (NET_SIZE - shape[1]) // 2, (NET_SIZE - shape[0]) // 2
    placed = np.zeros((1, 1, NET_SIZE, NET_SIZE), dtype=np.float32)
    placed[0, 0, top : top + shape[1], left : left + shape[0]] = values
    return placed


def grid_peak(image: NDArray[np.uint8]) -> float:
    """How far the strongest fine, slanting wave stands out of its surroundings in the spectrum; 0 for a small image.

    In decades of power over the median at its frequency, of the middle 256 x 256 pixels as they are.
    """
    height, width = image.shape
    if min(height, width) < _PATCH_PX:
        return 0.0
    top, left = (height - _PATCH_PX) // 2, (width - _PATCH_PX) // 2
    patch = image[top : top + _PATCH_PX, left : left + _PATCH_PX].astype(np.float32)
    window = np.hanning(_PATCH_PX).astype(np.float32)
    spectrum = np.fft.rfft2((patch - patch.mean()) * window[:, None] * window[None, :])
    decades = np.log10(np.abs(spectrum) ** 2 + 1.0)
    down = np.abs(np.fft.fftfreq(_PATCH_PX, 1 / _PATCH_PX))[:, None]
    across = np.arange(_PATCH_PX // 2 + 1)[None, :]
    ring = np.rint(np.hypot(down, across)).astype(int)
    is_looked_at = (ring > _PATCH_PX // 8) & (ring < _PATCH_PX // 2) & (down > _AXIS) & (across > _AXIS)
    above = [
        float(values.max() - np.median(values))
        for radius in range(_PATCH_PX // 8 + 1, _PATCH_PX // 2)
        if (values := decades[is_looked_at & (ring == radius)]).size
    ]
    return max(above)


def _kept(ranges: NDArray[np.int_]) -> slice:
    """The rows (or columns) left when flat ones are cut off at both ends."""
    lively = np.flatnonzero(ranges > _FLAT)
    if len(lively) == 0 or lively[-1] - lively[0] + 1 < _LEAST_LEFT * len(ranges):
        return slice(None)
    return slice(int(lively[0]), int(lively[-1]) + 1)
