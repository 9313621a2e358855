"""One planned image, drawn to where its layout wants it, or left as it is there already."""

from dataclasses import dataclass
from pathlib import Path

from pocketcxr.domain.study import Box
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.layouts.choice import layout_named
from pocketcxr.phantom.picture import Drawn, read_truth, write_picture
from pocketcxr.phantom.plan import PlannedImage
from pocketcxr.phantom.render import RenderRequest, render


@dataclass(frozen=True)
class Job:
    """Where images go and what the data set is."""

    out: Path
    config: PhantomConfig

    def path(self, image: PlannedImage) -> Path:
        """The image's file."""
        return self.out / layout_named(self.config.layout).path(image)


def request_of(config: PhantomConfig, image: PlannedImage) -> RenderRequest:
    """What to draw for an image of the plan of `config`."""
    return RenderRequest(config.size, config.seed, image.patient, image.study, image.view, image.severities)


def draw(job: Job, image: PlannedImage) -> Drawn:
    """The truth about an image that is on disk afterwards; one that is there and whole is not drawn again."""
    path = job.path(image)
    drawn = read_truth(path) if path.exists() else None
    if drawn is not None:
        return drawn
    config = job.config
    rendered = render(request_of(config, image))
    boxes = {finding: tuple(_rounded(box) for box in boxes) for finding, boxes in rendered.boxes.items()}
    drawn = Drawn(boxes, tuple(device.value for device in rendered.devices))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, rendered.gray, layout_named(config.layout).picture, drawn)
    return drawn


def _rounded(box: Box) -> Box:
    return Box(round(box.x, 3), round(box.y, 3), round(box.w, 3), round(box.h, 3))
