"""Attribution by what a model answers to changed images: any engine that runs it will do, and no gradient is needed.

Both cover pixels with 0, in normalised images the gray of the mean.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pocketcxr.evaluate.predict import Predict
from pocketcxr.explain.options import DEFAULTS, MethodOptions, check_findings

RISE_CELLS = 7
"""Petsiuk et al.: masks are drawn on 7 x 7 cells."""
RISE_SHOWN = 0.5
"""And every cell is shown with this probability."""


def occlusion(
    predict: Predict, images: NDArray[np.float32], findings: Sequence[int], options: MethodOptions = DEFAULTS
) -> NDArray[np.float32]:
    """Maps [b, finding, s, s]: by how much the probability falls when a window is covered, mean over a pixel's windows.

    Zeiler and Fergus, ECCV 2014; the mean as captum's Occlusion takes it. Signed: below zero, covering raises the
    probability. NaN where `predict` says NaN. Raises UnknownNameError for a finding there is not.
    """
    side = images.shape[-1]
    window = max(1, round(side * options.window_share))
    starts = [*range(0, side - window, max(1, window // 2)), side - window]
    places = [(slice(top, top + window), slice(left, left + window)) for top in starts for left in starts]
    times_covered = np.zeros((side, side), dtype=np.float32)
    for rows, columns in places:
        times_covered[rows, columns] += 1
    fallen = np.zeros((len(images), len(findings), side, side), dtype=np.float32)
    for image, sums in zip(images, fallen, strict=True):
        whole = _chosen(predict(image[None]), findings)
        for start in range(0, len(places), options.batch_size):
            some = places[start : start + options.batch_size]
            copies = np.repeat(image[None], len(some), axis=0)
            for copy, (rows, columns) in zip(copies, some, strict=True):
                copy[:, rows, columns] = 0
            falls = whole - _chosen(predict(copies), findings)
            for fall, (rows, columns) in zip(falls, some, strict=True):
                sums[:, rows, columns] += fall[:, None, None]
    return fallen / times_covered


def rise(
    predict: Predict, images: NDArray[np.float32], findings: Sequence[int], options: MethodOptions = DEFAULTS
) -> NDArray[np.float32]:
    """Maps [b, finding, s, s]: the mean probability over random masks, weighed by how much they show of a pixel.

    Petsiuk et al., BMVC 2018. Divided by what the masks did show of the pixel, not by what they would on
    average: a model that looks at nothing then has a flat map with any number of masks. Values are probabilities.
    NaN where `predict` says NaN. Raises UnknownNameError for a finding there is not.
    """
    side = images.shape[-1]
    rng = np.random.default_rng(options.seed)
    cells = (rng.random((options.masks, RISE_CELLS, RISE_CELLS)) < RISE_SHOWN).astype(np.float32)
    shifts = rng.integers(0, _cell_px(side), (options.masks, 2))
    weighed = np.zeros((len(images), len(findings), side * side), dtype=np.float64)
    shown = np.zeros(side * side, dtype=np.float64)
    for start in range(0, options.masks, options.batch_size):
        some = slice(start, start + options.batch_size)
        masks = rise_masks(cells[some], shifts[some], side)
        flat = masks.reshape(len(masks), -1)
        shown += flat.sum(axis=0)
        for row, image in enumerate(images):
            weighed[row] += _chosen(predict(image * masks[:, None]), findings).T @ flat
    # A pixel that no mask shows, which takes very few masks, has no value.
    means = np.divide(weighed, shown, out=np.full_like(weighed, np.nan), where=shown > 0)
    return means.reshape(len(images), len(findings), side, side).astype(np.float32)


def rise_masks(cells: NDArray[np.float32], shifts: NDArray[np.int64], side: int) -> NDArray[np.float32]:
    """Masks [n, side, side] in 0..1: cells [n, 7, 7] made larger by bilinear interpolation, and cut out at `shifts`.

    As Petsiuk et al. do it: enlarged to one cell more than needed, shifted by less than a cell.
    """
    num_cells = cells.shape[-1]
    length = (num_cells + 1) * _cell_px(side)
    centres = (np.arange(length) + 0.5) * num_cells / length - 0.5
    shares = np.stack([np.interp(centres, np.arange(num_cells), row) for row in np.eye(num_cells)], axis=1)
    pixels = shifts[:, :, None] + np.arange(side)
    rows, columns = np.moveaxis(shares.astype(np.float32)[pixels], 1, 0)
    masks: NDArray[np.float32] = rows @ cells @ columns.transpose(0, 2, 1)
    return masks


def _cell_px(side: int) -> int:
    return -(-side // RISE_CELLS)


def _chosen(probabilities: NDArray[np.float32], findings: Sequence[int]) -> NDArray[np.float32]:
    """The columns of `findings`."""
    check_findings(findings, probabilities.shape[1])
    return probabilities[:, list(findings)]
