"""Whether a PNG or JPEG file is a colour picture; loading an X-ray keeps its gray alone."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image

_STRONG = 40
"""Levels between a pixel's strongest and weakest primary colour. Tinted film and marks on it stay below, or are few."""
_LOOK_PX = 128
_GRAY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"})


def coloured_share(path: Path) -> float:
    """The share of pixels of a strong colour, 0 for a file without colours. For a file that `load` has read."""
    # Pillow warns of oddities that do not touch the pixels.
    with warnings.catch_warnings(action="ignore"), Image.open(path, formats=["PNG", "JPEG"]) as picture:
        if picture.mode in _GRAY_MODES:
            return 0.0
        picture.draft("RGB", (_LOOK_PX, _LOOK_PX))
        small = picture.convert("RGB")
        small.thumbnail((_LOOK_PX, _LOOK_PX), Image.Resampling.BILINEAR, reducing_gap=2.0)
        channels = np.asarray(small).astype(np.int16)
        return float((channels.max(axis=2) - channels.min(axis=2) >= _STRONG).mean())
