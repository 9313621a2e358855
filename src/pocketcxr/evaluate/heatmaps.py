"""Does one heatmap point at its finding? Pointing game and energy in the region, in original pixels.

Pointing game: Zhang et al., IJCV 2018 (arXiv 1608.00507). Energy in the region: the energy-based pointing game of
Score-CAM (Wang et al., CVPR Workshops 2020, arXiv 1910.01279). docs/explanation/localisation.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.study import Box

Region = Sequence[Box] | NDArray[np.bool_]
"""Where a finding truly is: boxes, or a mask [height, width]."""

TOLERANCE = 0.03
"""Share of the image's longer side that the pointing game's tolerance is: 15 pixels on the images of PASCAL VOC, whose
longer side is 500 (Zhang et al. 2018, section 5.1; TorchRay's PointingGame has the same 15)."""

ROUNDING = 1e-5
"""Of a heatmap's range: pixels that differ by less are equally hot. Means of float32 maps are off by less than that."""

EDGE_TOLERANCE_PX = 1.0
"""Boxes come rounded: so far may one reach beyond its image, as in a manifest."""


@dataclass(frozen=True, eq=False)
class LocalisationSample:
    """One finding in one image: the heatmap in original pixels and where the finding truly is.

    Raises ManifestError where shapes differ, the heatmap is not finite, a box has no area or lies outside the image,
    the mask is empty, or there is neither box nor mask.
    """

    image_id: str
    patient_id: str
    finding: str
    heatmap: NDArray[np.float32]
    """[height, width] in the heatmap's own units; more means more evidence."""
    boxes: tuple[Box, ...]
    height: int
    width: int
    mask: NDArray[np.bool_] | None = None
    """[height, width]; beside boxes, the finding is where either is."""

    def __post_init__(self) -> None:
        where = f"localisation: {self.finding} in {self.image_id}"
        size = (self.height, self.width)
        if not self.boxes and self.mask is None:
            raise ManifestError(f"{where} has no box and no mask; pass only images whose finding is marked")
        if self.heatmap.shape != size:
            raise ManifestError(
                f"{where}: the heatmap is {self.heatmap.shape} and the image {size};"
                " place the class map on the original image first"
            )
        if not np.isfinite(self.heatmap).all():
            raise ManifestError(f"{where}: the heatmap holds NaN or infinity; look at the model's weights")
        if self.mask is not None and self.mask.shape != size:
            raise ManifestError(
                f"{where}: the mask is {self.mask.shape} and the image {size}; use the masks of this very image"
            )
        if self.mask is not None and not self.mask.any():
            raise ManifestError(f"{where}: the mask is empty; pass only images whose finding is marked")
        for box in self.boxes:
            _check_box(box, where, size)

    @cached_property
    def region(self) -> NDArray[np.bool_]:
        """[height, width]: where the finding truly is, never empty."""
        marked = as_mask(self.boxes, self.height, self.width)
        return marked if self.mask is None else marked | self.mask


def _check_box(box: Box, where: str, size: tuple[int, int]) -> None:
    height, width = size
    if not (box.w > 0 and box.h > 0):
        raise ManifestError(f"{where}: {box} has no area; correct or leave out the box")
    is_inside = box.x >= -EDGE_TOLERANCE_PX and box.y >= -EDGE_TOLERANCE_PX
    is_inside &= box.x + box.w <= width + EDGE_TOLERANCE_PX and box.y + box.h <= height + EDGE_TOLERANCE_PX
    # A box that only lies on the rounding edge would cover no pixel at all.
    is_on_it = box.x < width and box.y < height and box.x + box.w > 0 and box.y + box.h > 0
    if not (is_inside and is_on_it):
        raise ManifestError(
            f"{where}: {box} lies outside the image of {width} x {height}; give boxes in pixels of the file on disk"
        )


def inside(boxes: Sequence[Box], height: int, width: int) -> NDArray[np.bool_]:
    """Mask [height, width] of the pixels whose centre lies in any of `boxes`."""
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    mask = np.zeros((height, width), dtype=bool)
    for box in boxes:
        (in_columns,) = np.nonzero((columns >= box.x) & (columns < box.x + box.w))
        (in_rows,) = np.nonzero((rows >= box.y) & (rows < box.y + box.h))
        if len(in_columns) and len(in_rows):
            mask[in_rows[0] : in_rows[-1] + 1, in_columns[0] : in_columns[-1] + 1] = True
    return mask


def as_mask(region: Region, height: int, width: int) -> NDArray[np.bool_]:
    """The region as a mask [height, width]; a box too small for any pixel's centre takes the pixel it lies on."""
    if isinstance(region, np.ndarray):
        return region
    mask = inside(region, height, width)
    for box in region:
        if box.w < 1 or box.h < 1:
            row, column = int(box.y + box.h / 2), int(box.x + box.w / 2)
            mask[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)] = True
    return mask


def hottest(heatmap: NDArray[np.floating]) -> tuple[float, float]:
    """(x, y), the centre of the hottest pixel; of equally hot ones that nearest to the image's centre.

    A coarse map is constant from the centre of an outer cell to the image's edge (imaging.geometry.place_heatmap), so
    its hottest point is where that cell is, and not in the image's corner. Equal is what differs by rounding alone.
    """
    highest, lowest = float(heatmap.max()), float(heatmap.min())
    rows, columns = np.nonzero(heatmap >= highest - ROUNDING * (highest - lowest))
    height, width = heatmap.shape
    nearest = np.argmin((2 * rows + 1 - height) ** 2 + (2 * columns + 1 - width) ** 2)
    return float(columns[nearest]) + 0.5, float(rows[nearest]) + 0.5


def pointing_game(heatmap: NDArray[np.floating], region: Region, tolerance_px: float = 0.0) -> bool:
    """Whether the hottest pixel lies in the region or, with a tolerance, at most so far from a pixel of it.

    Distances are between the centres of pixels.
    """
    mask = as_mask(region, *heatmap.shape)
    return bool(near(np.array([hottest(heatmap)]), mask, tolerance_px)[0])


def near(points: NDArray[np.float64], mask: NDArray[np.bool_], tolerance_px: float) -> NDArray[np.bool_]:
    """[n]: which of the points [n, (x, y)] lie on a pixel of the mask or so near to the centre of one."""
    height, width = mask.shape
    columns = np.clip(points[:, 0].astype(np.intp), 0, width - 1)
    rows = np.clip(points[:, 1].astype(np.intp), 0, height - 1)
    is_near: NDArray[np.bool_] = mask[rows, columns]
    if tolerance_px > 0 and not is_near.all():
        # From outside, the nearest pixel of a region is one of its outline: a few thousand instead of a million.
        outline = KDTree(np.argwhere(_outline(mask))[:, ::-1] + 0.5)
        distance, _ = outline.query(points[~is_near], distance_upper_bound=np.nextafter(tolerance_px, np.inf))
        is_near[~is_near] = np.isfinite(distance)
    return is_near


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of the mask that have a neighbour outside it, or the image's edge."""
    is_inner = np.zeros_like(mask)
    is_inner[1:-1, 1:-1] = mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    return mask & ~is_inner


def energy_in_box(heatmap: NDArray[np.floating], region: Region) -> float | None:
    """Share of the heatmap's positive energy that lies in the boxes or the mask; None where nothing is positive."""
    positive = np.maximum(heatmap, 0)
    total = float(positive.sum(dtype=np.float64))
    if total == 0:
        return None
    return float(positive[as_mask(region, *heatmap.shape)].sum(dtype=np.float64)) / total
