"""What stays of a sample once its heatmap is gone, and what would be scored without looking at the image.

Everything that never looks is placed relative to the image's width and height, on a grid of GRID x GRID cells.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocketcxr.domain.study import Box
from pocketcxr.evaluate.heatmaps import (
    TOLERANCE,
    LocalisationSample,
    energy_in_box,
    hottest,
    inside,
    near,
)
from pocketcxr.evaluate.localisation_curves import average_precision, ious, ranked

GRID = 65
"""Fixed points tried along each side; odd, so that the image's centre is one of them."""

CENTRE = GRID * GRID // 2
"""Flat index of the image's centre."""


@dataclass(frozen=True, eq=False)
class HeatmapScore:
    """One heatmap against one region."""

    is_hit: bool
    is_near: bool
    """Hit with the tolerance."""
    energy: float
    """NaN where nothing is positive."""
    precision: float
    """Average precision of the pixels."""
    ious: NDArray[np.float64]
    """[level], at localisation_curves.LEVELS."""


@dataclass(frozen=True, eq=False)
class Observed:
    """What stays of a sample: 17 kB of grid, whatever the size of the image."""

    image_id: str
    patient_id: str
    finding: str
    score: HeatmapScore
    area: float
    """Share of the image that the region covers."""
    on_grid: NDArray[np.uint8]
    """Which of the GRID x GRID fixed points lie in the region, as packed bits; at least one does."""
    near_grid: NDArray[np.uint8]
    """Which do so with the tolerance."""
    heatmap: NDArray[np.float32]
    """[GRID, GRID]: the heatmap's mean in every cell."""


def observe(sample: LocalisationSample) -> Observed:
    """The scores of the sample, and its heatmap and region on the grid."""
    heatmap, region = sample.heatmap, sample.region
    tolerance_px = TOLERANCE * max(sample.height, sample.width)
    point = np.array([hottest(heatmap)])
    values = ranked(heatmap, region)
    energy = energy_in_box(heatmap, region)
    score = HeatmapScore(
        is_hit=bool(near(point, region, 0)[0]),
        is_near=bool(near(point, region, tolerance_px)[0]),
        energy=np.nan if energy is None else energy,
        precision=average_precision(values),
        ious=ious(values),
    )
    points = _grid_points(sample.height, sample.width)
    on_grid = _on_grid(sample, points)
    is_near = on_grid.ravel() | near(points, region, tolerance_px)
    shrunk = Image.fromarray(heatmap.astype(np.float32, copy=False)).resize((GRID, GRID), Image.Resampling.BOX)
    return Observed(
        image_id=sample.image_id,
        patient_id=sample.patient_id,
        finding=sample.finding,
        score=score,
        area=float(region.mean()),
        on_grid=np.packbits(on_grid),
        near_grid=np.packbits(is_near),
        heatmap=np.asarray(shrunk),
    )


def fixed_hits(packed: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """[n, GRID * GRID] of packed bits: whether each fixed point hits in each sample."""
    return np.unpackbits(np.stack(packed), axis=1, count=GRID * GRID)


def best_fixed_point(hits: NDArray[np.uint8]) -> int:
    """Flat grid index of the point that hits most often in `hits` [n, points]; of equals the nearest to the centre."""
    num_hits = hits.sum(axis=0, dtype=np.int64)
    row, column = np.divmod(np.arange(GRID * GRID), GRID)
    distance = np.hypot(row - GRID // 2, column - GRID // 2)
    return int(np.lexsort((distance, -num_hits))[0])


def mean_heatmap_scores(observed: Sequence[Observed]) -> list[HeatmapScore | None]:
    """For every sample of one finding, the score of the mean heatmap of all *other* patients; None where none is.

    This is what a model draws that has learnt where the finding usually lies and never looks at the image. Leaving the
    patient out needs no second cohort, so it is there for every data set, and no image helps to score itself.
    """
    rows_of = defaultdict[str, list[int]](list)
    for row, one in enumerate(observed):
        rows_of[one.patient_id].append(row)
    scores: list[HeatmapScore | None] = [None] * len(observed)
    if len(rows_of) < 2:
        return scores
    total = _sum(observed)
    for rows in rows_of.values():
        others = (total - _sum([observed[row] for row in rows])) / (len(observed) - len(rows))
        for row in rows:
            scores[row] = _on_grid_score(others, observed[row])
    return scores


def _sum(observed: Sequence[Observed]) -> NDArray[np.float64]:
    """[GRID, GRID]: the sum of the heatmaps."""
    total = np.zeros((GRID, GRID))
    for one in observed:
        total += one.heatmap
    return total


def _on_grid_score(heatmap: NDArray[np.float64], of: Observed) -> HeatmapScore:
    """The score of a heatmap [GRID, GRID] on the sample's region, by the grid's cells."""
    on_grid, is_near = fixed_hits([of.on_grid, of.near_grid]).astype(np.bool_)
    mask = on_grid.reshape(GRID, GRID)
    (x, y), values, energy = hottest(heatmap), ranked(heatmap, mask), energy_in_box(heatmap, mask)
    point = int(y) * GRID + int(x)
    return HeatmapScore(
        is_hit=bool(on_grid[point]),
        is_near=bool(is_near[point]),
        energy=np.nan if energy is None else energy,
        precision=average_precision(values),
        ious=ious(values),
    )


def _grid_points(height: int, width: int) -> NDArray[np.float64]:
    """[GRID * GRID, (x, y)]: the centres of the grid's cells in pixels of the image, in reading order."""
    centres = (np.arange(GRID) + 0.5) / GRID
    x, y = np.meshgrid(centres * width, centres * height)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _on_grid(sample: LocalisationSample, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[GRID, GRID]: which fixed points lie in the region; of one smaller than a cell, the cell it lies on."""
    scale_x, scale_y = GRID / sample.width, GRID / sample.height
    boxes = [Box(box.x * scale_x, box.y * scale_y, box.w * scale_x, box.h * scale_y) for box in sample.boxes]
    on_grid = inside(boxes, GRID, GRID)
    if sample.mask is not None:
        columns, rows = points.astype(np.intp).T
        on_grid |= sample.mask[rows, columns].reshape(GRID, GRID)
    if not on_grid.any():
        y, x = np.argwhere(sample.region).mean(axis=0)
        on_grid[int((y + 0.5) * scale_y), int((x + 0.5) * scale_x)] = True
    return on_grid
