"""Where things are: between an image's own pixels and the square model input, boxes and heatmaps included.

Coordinates are continuous, (x, y) from the upper left corner: the upper left pixel covers 0..1, its centre is at
(0.5, 0.5).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.study import Box


@dataclass(frozen=True)
class Placement:
    """How `preprocess.square` lays an image into the model input: padded to a square, then resized to size x size."""

    height: int
    width: int
    size: int

    @property
    def side(self) -> int:
        """Side of the padded square in original pixels."""
        return max(self.height, self.width)

    @property
    def top(self) -> int:
        """Rows of padding above the image, original pixels."""
        return (self.side - self.height) // 2

    @property
    def left(self) -> int:
        """Columns of padding left of the image, original pixels."""
        return (self.side - self.width) // 2

    @property
    def scale(self) -> float:
        """Model pixels for one original pixel."""
        return self.size / self.side

    def to_model(self, x: float, y: float) -> tuple[float, float]:
        """A point of the image in model pixels."""
        return (x + self.left) * self.scale, (y + self.top) * self.scale

    def to_original(self, x: float, y: float) -> tuple[float, float]:
        """A point of the model input in original pixels; outside the image where it lies in the padding."""
        return x / self.scale - self.left, y / self.scale - self.top

    def box_to_model(self, box: Box) -> Box:
        """A box of the image in model pixels."""
        x, y = self.to_model(box.x, box.y)
        return Box(x, y, box.w * self.scale, box.h * self.scale)

    def box_to_original(self, box: Box) -> Box:
        """A box of the model input in original pixels, not cut at the image's edge."""
        x, y = self.to_original(box.x, box.y)
        return Box(x, y, box.w / self.scale, box.h / self.scale)


def scale_box(box: Box, x: float, y: float) -> Box:
    """The box when every column becomes `x` columns and every row `y` rows."""
    return Box(box.x * x, box.y * y, box.w * x, box.h * y)


def place_heatmap(class_map: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """A class map [grid_h, grid_w] over the model square as a heatmap [height, width] on the image's own pixels.

    Bilinear between the cells' centres, constant beyond the outer ones; the padding is cut off; values stay in logit
    units.
    """
    grid_height, grid_width = class_map.shape
    placement = Placement(height, width, size=max(height, width))
    rows = _weights(height, placement.top, placement.side, grid_height)
    columns = _weights(width, placement.left, placement.side, grid_width)
    heatmap: NDArray[np.float32] = rows @ class_map.astype(np.float32, copy=False) @ columns.T
    return heatmap


def _weights(length: int, offset: int, side: int, cells: int) -> NDArray[np.float32]:
    """How much each cell counts for each pixel along one axis: [length, cells], rows sum to one."""
    centres = (np.arange(length) + 0.5 + offset) * (cells / side) - 0.5
    centres = np.clip(centres, 0, cells - 1)
    lower = np.minimum(centres.astype(np.intp), max(cells - 2, 0))
    share = (centres - lower).astype(np.float32)
    weights = np.zeros((length, cells), dtype=np.float32)
    pixels = np.arange(length)
    weights[pixels, lower] = 1 - share
    if cells > 1:
        weights[pixels, lower + 1] = share
    return weights
