"""One image file: a PNG that says it is simulated and carries the truth about itself."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from pocketcxr._version import __version__
from pocketcxr.domain.study import Box
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.plan import PlannedImage
from pocketcxr.phantom.render import RenderRequest, render

NOTICE = "Simulated chest radiograph, computed by pocketcxr; no pixel comes from a patient. Research use only."
NOTICE_KEY = "Simulated"
TRUTH_KEY = "Truth"
IMAGES = "images"
PART_SUFFIX = ".part"
"""A file with this ending was being written when its writer stopped."""

Boxes = tuple[Box, ...]


@dataclass(frozen=True)
class Job:
    """Where images go and what the data set is."""

    out: Path
    config: PhantomConfig

    def path(self, image: PlannedImage) -> Path:
        """The image's file."""
        return self.out / IMAGES / image.image_id


@dataclass(frozen=True)
class Drawn:
    """What is known only once an image is drawn: each finding's boxes in its pixels, the devices over the chest."""

    boxes: dict[str, Boxes]
    devices: tuple[str, ...]


def draw(job: Job, image: PlannedImage) -> Drawn:
    """The truth about an image that is on disk afterwards; one that is there and whole is not drawn again."""
    path = job.path(image)
    drawn = read_truth(path) if path.exists() else None
    if drawn is not None:
        return drawn
    config = job.config
    request = RenderRequest(config.size, config.seed, image.patient, image.study, image.view, image.severities)
    rendered = render(request)
    boxes = {finding: tuple(_rounded(box) for box in boxes) for finding, boxes in rendered.boxes.items()}
    drawn = Drawn(boxes, tuple(device.value for device in rendered.devices))
    _write(path, Image.fromarray(rendered.pixels), drawn)
    return drawn


def read_truth(path: Path) -> Drawn | None:
    """What a picture written here says about itself; None if it is damaged or is not ours."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            picture.load()
            text = picture.text if isinstance(picture, PngImageFile) else {}
        truth = json.loads(text[TRUTH_KEY])
        boxes = {finding: tuple(Box(*sides) for sides in boxes) for finding, boxes in truth["boxes"].items()}
        return Drawn(boxes, tuple(truth["devices"]))
    except (OSError, SyntaxError, KeyError, ValueError):
        # Pillow reports a broken PNG as any of the first two.
        return None


def _write(path: Path, picture: Image.Image, drawn: Drawn) -> None:
    boxes = {finding: [(box.x, box.y, box.w, box.h) for box in boxes] for finding, boxes in drawn.boxes.items()}
    info = PngInfo()
    info.add_text(NOTICE_KEY, NOTICE)
    info.add_text("Software", f"pocketcxr {__version__}")
    info.add_text(TRUTH_KEY, json.dumps({"boxes": boxes, "devices": drawn.devices}, separators=(",", ":")))
    part = path.with_name(f"{path.name}.{os.getpid()}{PART_SUFFIX}")
    # Level 1 writes a noisy image three times as fast as the default and is hardly larger.
    picture.save(part, format="PNG", compress_level=1, pnginfo=info)
    part.replace(path)


def _rounded(box: Box) -> Box:
    return Box(round(box.x, 3), round(box.y, 3), round(box.w, 3), round(box.h, 3))
