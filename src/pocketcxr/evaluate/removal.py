"""Taking pixels away in the order of a heatmap, and what stands in their place.

A removed pixel leaves in every channel. What replaces it decides what is measured: a black patch is itself a finding
to a chest X-ray model, so pixels are blurred (RISE: Petsiuk et al., BMVC 2018, arXiv 1806.07421) or filled in from
their neighbours (ROAD: Rong et al., ICML 2022, arXiv 2202.00449).
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array
from scipy.sparse.linalg import cg

from pocketcxr.imaging.geometry import place_heatmap

TIE = 1e-6
"""Pixels whose values differ by less than this share of the heatmap's span count as equal: that is rounding."""
BLUR = 0.2
"""Standard deviation of the blur as a share of the side."""
NEIGHBOURS: tuple[tuple[int, int, float], ...] = tuple(
    (down, right, 1 / 6 if 0 in (down, right) else 1 / 12)
    for down in (-1, 0, 1)
    for right in (-1, 0, 1)
    if (down, right) != (0, 0)
)
"""Rows down, columns right, weight: ROAD's linear imputation (ibid., section 4.2)."""


def on_pixels(heatmap: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """The heatmap [h, w] on the model input's pixels [side, side]: bilinear as on the image, equal values made equal.

    Values are 0 to 1 here, smallest to largest: an order, not a magnitude. All 0 where the heatmap is flat.
    """
    values = place_heatmap(heatmap, side, side).astype(np.float64)
    low, span = values.min(), np.ptp(values)
    if span <= TIE * np.abs(values).max():
        return np.zeros_like(values)
    levels: NDArray[np.float64] = np.round((values - low) / span / TIE) * TIE
    return levels


def removal_order(heatmap: NDArray[np.float32], ties: NDArray[np.float64]) -> NDArray[np.intp]:
    """Flat pixel indices, most salient first (signed: what speaks against the finding comes last).

    `ties` [side, side] is noise: equal pixels leave in its order, never in reading order, so that a flat heatmap is a
    random order and a region of zeros is not peeled from the top.
    """
    values = on_pixels(heatmap, len(ties))
    return np.lexsort((ties.ravel(), -values.ravel()))


def blurred(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The image [c, s, s] under a Gaussian of BLUR times its side, each channel by itself; edges are mirrored."""
    sigma = BLUR * image.shape[-1]
    smooth: NDArray[np.float32] = gaussian_filter(image, sigma=(0, sigma, sigma), mode="reflect")
    return smooth


def transition(
    start: NDArray[np.float32], end: NDArray[np.float32], order: NDArray[np.intp], fractions: Sequence[float]
) -> Iterator[NDArray[np.float32]]:
    """The image [c, s, s] `start` after each share of its pixels, in `order`, has been replaced by those of `end`."""
    channels = start.shape[0]
    for fraction in fractions:
        replaced = order[: round(fraction * len(order))]
        image = start.reshape(channels, -1).copy()
        image[:, replaced] = end.reshape(channels, -1)[:, replaced]
        yield image.reshape(start.shape)


def imputed(image: NDArray[np.float32], removed: NDArray[np.intp], noise: NDArray[np.float32]) -> NDArray[np.float32]:
    """The image [c, s, s] with the `removed` flat pixels filled in from what is left, plus their share of `noise`.

    Every removed pixel is the weighted mean of its eight neighbours, removed ones included: one sparse linear system,
    symmetric and positive definite as long as a pixel is left, so conjugate gradients solve it. They stop at a relative
    residual of 1e-5, errors far below the noise, and are several times faster than a direct solution.
    """
    channels, side, _ = image.shape
    matrix, known = _system(image, removed)
    filled = image.reshape(channels, -1).copy()
    for channel in range(channels):
        solution, _ = cg(matrix, known[channel], rtol=1e-5)
        filled[channel, removed] = solution
    filled[:, removed] += noise.reshape(channels, -1)[:, removed]
    return filled.reshape(channels, side, side)


def _system(image: NDArray[np.float32], removed: NDArray[np.intp]) -> tuple[csr_array[np.float64], NDArray[np.float64]]:
    """Left side [r, r] and right side [c, r] of ROAD's equations; neighbours outside the image do not count."""
    channels, height, width = image.shape
    pixels, count = image.reshape(channels, -1), len(removed)
    unknown = np.full(height * width, -1)
    unknown[removed] = np.arange(count)
    down, right = np.divmod(removed, width)
    total, known = np.zeros(count), np.zeros((channels, count))
    rows, columns, weights = [np.arange(count)], [np.arange(count)], [total]
    for step_down, step_right, weight in NEIGHBOURS:
        row, column = down + step_down, right + step_right
        inside = np.flatnonzero((row >= 0) & (row < height) & (column >= 0) & (column < width))
        neighbour = row[inside] * width + column[inside]
        total[inside] += weight
        is_known = unknown[neighbour] < 0
        known[:, inside[is_known]] += weight * pixels[:, neighbour[is_known]]
        rows.append(inside[~is_known])
        columns.append(unknown[neighbour[~is_known]])
        weights.append(np.full(int((~is_known).sum()), -weight))
    places = np.concatenate(rows), np.concatenate(columns)
    return csr_array((np.concatenate(weights), places), shape=(count, count)), known


def random_squares(side: int, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Masks [count, side, side], each one square of a half to a sixteenth of the side, cut off at the image's edge.

    Nodules take a sixteenth of the side of a chest X-ray, an enlarged heart half of it.
    """
    lengths = np.maximum(1, side // rng.choice([2, 4, 8, 16], size=count))
    upper, left = (rng.integers(1 - lengths, side) for _ in range(2))
    pixels = np.arange(side)
    in_rows, in_columns = (
        (pixels >= first[:, None]) & (pixels < (first + lengths)[:, None]) for first in (upper, left)
    )
    masks: NDArray[np.bool_] = in_rows[:, :, None] & in_columns[:, None, :]
    return masks
