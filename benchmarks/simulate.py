"""Prints how many simulated radiographs one core draws in a second, findings included, by image size."""

from time import process_time

import numpy as np

from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.study import ViewPosition
from pocketcxr.phantom.render import RenderRequest, render

SIZES = (64, 96, 256)
SECONDS = 4.0
MEAN_FINDINGS = 1.5


def requests(size: int, rng: np.random.Generator) -> RenderRequest:
    """A request with a few random findings of random severity."""
    present = rng.random(len(CHESTXRAY14)) < MEAN_FINDINGS / len(CHESTXRAY14)
    severities = np.where(present, rng.random(len(CHESTXRAY14)), -1.0)
    view = ViewPosition.AP if rng.random() < 0.4 else ViewPosition.PA
    return RenderRequest(size, 0, int(rng.integers(1_000_000)), 0, view, tuple(severities.tolist()))


def images_per_second(size: int) -> float:
    """Images a second of processor time, so that other work on the machine does not count; warmed up by one image."""
    rng = np.random.default_rng(0)
    render(requests(size, rng))
    start, count = process_time(), 0
    while process_time() - start < SECONDS:
        render(requests(size, rng))
        count += 1
    return count / (process_time() - start)


if __name__ == "__main__":
    for image_size in SIZES:
        print(f"{image_size:4d} px  {images_per_second(image_size):7.1f} images/s on one core")
