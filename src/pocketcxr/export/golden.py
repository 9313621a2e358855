"""Golden vectors: small made images of awkward shapes with what the trained net says of them."""

import io

import numpy as np
from numpy.typing import NDArray

from pocketcxr.export.parity import torch_answers
from pocketcxr.imaging.preprocess import PreprocessSpec, normalise, square
from pocketcxr.models.outputs import Net
from pocketcxr.runtime.card import GOLDEN_FOLDER
from pocketcxr.runtime.golden import HEATMAPS, IMAGE, LOGITS, PIXELS

SHAPES: dict[str, tuple[int, int]] = {
    "tall": (331, 190),
    "wide": (123, 250),
    "odd": (97, 96),
    "tiny": (17, 19),
}
"""(height, width) of the cases; 'same' is added at the model's own size, where nothing is resized."""


def golden_images(spec: PreprocessSpec) -> dict[str, NDArray[np.uint8]]:
    """Made images by case: no pixel comes from a person. Always the same."""
    rng = np.random.default_rng(0)
    return {name: _made_image(shape, rng) for name, shape in {**SHAPES, "same": (spec.size, spec.size)}.items()}


def golden_files(net: Net, spec: PreprocessSpec) -> dict[str, bytes]:
    """The golden folder's files by path: for every case image, pixels at model size, torch's logits and maps."""
    files: dict[str, bytes] = {}
    for name, image in golden_images(spec).items():
        pixels = square(image, spec)
        logits, class_maps = torch_answers(net, normalise(pixels, spec)[None, None])
        for part, array in ((IMAGE, image), (PIXELS, pixels), (LOGITS, logits[0]), (HEATMAPS, class_maps[0])):
            files[f"{GOLDEN_FOLDER}{name}.{part}"] = _npy(array)
    return files


def _made_image(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Two dark fields in a bright one, noise, a bright border: slopes, grain and edges for the resize to get wrong."""
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij")
    image = 200 - 60 * rows**2
    for centre in (-0.45, 0.45):
        image -= 130 * np.exp(-(((columns - centre) / 0.3) ** 2) - (rows / 0.6) ** 2)
    image += rng.normal(scale=12, size=shape)
    image[0], image[-1], image[:, 0], image[:, -1] = 255, 255, 255, 255
    return np.clip(image, 0, 255).astype(np.uint8)


def _npy(array: NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()
