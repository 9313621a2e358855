"""One decoded chest X-ray, whatever file it came from, and the limits every file must keep."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.errors import ImageRefusedError, RefusalCode
from pocketcxr.domain.study import ViewPosition

SourceFormat = Literal["png", "jpeg", "dicom"]

MAX_PIXELS = 50_000_000
"""The largest chest detectors give about 20 million; more is a decompression bomb or no radiograph."""
MAX_SIDE_PX = 10_000
"""Padding to a square makes side * side pixels of it."""
MAX_FILE_BYTES = 6 * MAX_PIXELS + (1 << 24)
"""Uncompressed colour of 16 bits, and room for a header. Larger files hold something else, and are read into memory."""
MIN_SIDE_PX = 16
"""The smallest model input."""


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One decoded X-ray. image: uint8 [height, width], bright = more attenuation (the sense of MONOCHROME2)."""

    image: NDArray[np.uint8]
    path: str
    source_format: SourceFormat
    bits_stored: int
    pixel_spacing_mm: tuple[float, float] | None
    """Between rows, between columns; None where the file does not say."""
    view_position: ViewPosition

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.image.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.image.shape[1])


def check_size(path: str, height: int, width: int) -> None:
    """Nothing, when an image of this size may be decoded. Raises ImageRefusedError(TOO_LARGE or TOO_SMALL)."""
    if height * width > MAX_PIXELS or max(height, width) > MAX_SIDE_PX:
        raise ImageRefusedError(
            RefusalCode.TOO_LARGE,
            f"{path}: {width} x {height} pixels; at most {MAX_PIXELS:,}, {MAX_SIDE_PX:,} a side - scale it down",
        )
    if min(height, width) < MIN_SIDE_PX:
        raise ImageRefusedError(
            RefusalCode.TOO_SMALL,
            f"{path}: {width} x {height} pixels; at least {MIN_SIDE_PX} a side are needed - give the full image",
        )


def to_8_bits(values: NDArray[np.float64], black: float, white: float) -> NDArray[np.uint8]:
    """Values as 0..255: `black` becomes 0, `white` 255 (either may be the greater), cut off beyond, rounded."""
    scaled = (values - black) * (255.0 / (white - black)) + 0.5
    return np.clip(scaled, 0, 255).astype(np.uint8)


def refuse_constant(path: str, low: float, high: float) -> None:
    """Nothing, when the least and the greatest pixel differ. Raises ImageRefusedError(CONSTANT)."""
    if low == high:
        raise ImageRefusedError(
            RefusalCode.CONSTANT, f"{path}: every pixel is {low:g}, nothing is shown - export the image again"
        )
