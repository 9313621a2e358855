"""Does one heatmap point at its finding? Pointing game and energy in the box, in original pixels.

Pointing game: Zhang et al., IJCV 2018 (arXiv 1608.00507), without a tolerance around the box. Energy in the box: the
energy-based pointing game of Score-CAM (Wang et al., CVPR Workshops 2020, arXiv 1910.01279).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.study import Box


@dataclass(frozen=True, eq=False)
class LocalisationSample:
    """One finding in one image: the heatmap in original pixels and where the finding truly is.

    Raises ManifestError where the shapes differ, the heatmap is not finite or there is no box.
    """

    image_id: str
    patient_id: str
    finding: str
    heatmap: NDArray[np.float32]
    """[height, width] in the heatmap's own units; more means more evidence."""
    boxes: tuple[Box, ...]
    height: int
    width: int

    def __post_init__(self) -> None:
        where = f"localisation: {self.finding} in {self.image_id}"
        if not self.boxes:
            raise ManifestError(f"{where} has no box; pass only images whose finding is marked")
        if self.heatmap.shape != (self.height, self.width):
            raise ManifestError(
                f"{where}: the heatmap is {self.heatmap.shape} and the image {(self.height, self.width)};"
                " place the class map on the original image first"
            )
        if not np.isfinite(self.heatmap).all():
            raise ManifestError(f"{where}: the heatmap holds NaN or infinity; look at the model's weights")


def inside(boxes: Sequence[Box], height: int, width: int) -> NDArray[np.bool_]:
    """Mask [height, width] of the pixels whose centre lies in any of `boxes`."""
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    mask = np.zeros((height, width), dtype=bool)
    for box in boxes:
        in_columns = (columns >= box.x) & (columns < box.x + box.w)
        in_rows = (rows >= box.y) & (rows < box.y + box.h)
        mask |= in_rows[:, None] & in_columns
    return mask


def pointing_game(heatmap: NDArray[np.floating], boxes: Sequence[Box]) -> bool:
    """Whether the centre of the hottest pixel lies in any box; of equally hot pixels the first in reading order."""
    row, column = np.unravel_index(np.argmax(heatmap), heatmap.shape)
    return any(box.contains(x=float(column) + 0.5, y=float(row) + 0.5) for box in boxes)


def energy_in_box(heatmap: NDArray[np.floating], boxes: Sequence[Box]) -> float | None:
    """Share of the heatmap's positive energy that lies in the boxes; None where nothing is positive."""
    positive = np.maximum(heatmap, 0)
    total = float(positive.sum(dtype=np.float64))
    if total == 0:
        return None
    return float(positive[inside(boxes, *heatmap.shape)].sum(dtype=np.float64)) / total
