"""The one preprocessing: pad to square, antialiased bilinear resize, normalise.

Training, deployment and the exported `preprocess.onnx` follow this specification; golden vectors hold them together.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field


class PreprocessSpec(BaseModel, frozen=True, extra="forbid"):
    """How decoded gray pixels become model input. Travels: manifest run -> checkpoint -> bundle card -> page."""

    size: Annotated[int, Field(ge=16, le=2048)] = 224
    """Side of the square model input in pixels."""
    mean: float = 0.5
    """Subtracted after scaling pixels to 0..1."""
    std: Annotated[float, Field(gt=0)] = 0.25
    """Divided by after subtracting the mean."""
    padding: Literal["center"] = "center"
    """The image stays in the centre; the shorter side is padded with black to a square before resizing."""


def square(image: NDArray[np.uint8], spec: PreprocessSpec) -> NDArray[np.uint8]:
    """The image [h, w] padded to a square and resized to [size, size], still 8-bit: what the image cache stores."""
    height, width = image.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    padded = np.zeros((side, side), dtype=np.uint8)
    padded[top : top + height, left : left + width] = image
    if side == spec.size:
        return padded
    resized = Image.fromarray(padded).resize((spec.size, spec.size), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.uint8)


def normalise(pixels: NDArray[np.uint8], spec: PreprocessSpec) -> NDArray[np.float32]:
    """8-bit pixels of any shape as float32 model input."""
    scale = np.float32(1.0 / (255.0 * spec.std))
    offset = np.float32(spec.mean / spec.std)
    return pixels.astype(np.float32) * scale - offset


def prepare(image: NDArray[np.uint8], spec: PreprocessSpec) -> NDArray[np.float32]:
    """Model input [1, size, size] (channel first) of one decoded gray image [h, w]."""
    return normalise(square(image, spec), spec)[None]
