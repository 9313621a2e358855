"""Image files that say they are simulated and carry the truth about themselves: PNG of 8 or 16 bits, and JPEG."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from pocketcxr._version import __version__
from pocketcxr.domain.study import Box

PictureFormat = Literal["png-8", "png-12-in-16", "jpeg"]

NOTICE = "Simulated chest radiograph, computed by pocketcxr; no pixel comes from a patient. Research use only."
NOTICE_KEY = "Simulated"
TRUTH_KEY = "Truth"
PART_SUFFIX = ".part"
"""A file with this ending was being written when its writer stopped."""
JPEG_QUALITY = 90
GREATEST_12_BIT = 4095
"""In PNG of 16 bits, of which 12 are used: as detectors store them."""

Boxes = tuple[Box, ...]


@dataclass(frozen=True)
class Drawn:
    """What is known only once an image is drawn: each finding's boxes in its pixels, the devices over the chest."""

    boxes: dict[str, Boxes]
    devices: tuple[str, ...]


def read_truth(path: Path) -> Drawn | None:
    """What a picture written here says about itself; None if it is damaged or is not ours."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            picture.load()
            text = _texts(picture)
        truth = json.loads(text[TRUTH_KEY])
        boxes = {finding: tuple(Box(*sides) for sides in boxes) for finding, boxes in truth["boxes"].items()}
        return Drawn(boxes, tuple(truth["devices"]))
    except (OSError, SyntaxError, KeyError, ValueError, TypeError):
        # Pillow reports a broken file as any of the first two; the others are what texts of other writers cause.
        return None


def write_picture(path: Path, gray: NDArray[np.float32], kind: PictureFormat, drawn: Drawn) -> None:
    """Writes an image, whole or not at all; gray: 0..255, [height, width]."""
    boxes = {finding: [(box.x, box.y, box.w, box.h) for box in boxes] for finding, boxes in drawn.boxes.items()}
    texts = {
        NOTICE_KEY: NOTICE,
        "Software": f"pocketcxr {__version__}",
        TRUTH_KEY: json.dumps({"boxes": boxes, "devices": drawn.devices}, separators=(",", ":")),
    }
    part = path.with_name(f"{path.name}.{os.getpid()}{PART_SUFFIX}")
    match kind:
        case "png-8":
            _save_png(part, np.rint(gray).astype(np.uint8), texts)
        case "png-12-in-16":
            values = np.rint(gray * np.float32(GREATEST_12_BIT / 255))
            _save_png(part, values.astype(np.uint16), texts)
        case "jpeg":
            # A JPEG file has no text chunks; its comment holds the same texts as JSON.
            comment = json.dumps(texts, separators=(",", ":")).encode("ascii")
            picture = Image.fromarray(np.rint(gray).astype(np.uint8))
            picture.save(part, format="JPEG", quality=JPEG_QUALITY, comment=comment)
    part.replace(path)


def _save_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16], texts: Mapping[str, str]) -> None:
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    # Level 1 writes a noisy image three times as fast as the default and is hardly larger.
    Image.fromarray(pixels).save(path, format="PNG", compress_level=1, pnginfo=info)


def _texts(picture: Image.Image) -> Mapping[str, str]:
    if isinstance(picture, PngImageFile):
        return picture.text
    texts: Mapping[str, str] = json.loads(picture.info["comment"])
    return texts
