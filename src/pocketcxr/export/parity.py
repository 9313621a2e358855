"""Whether two engines agree: torch and onnxruntime on the net, Pillow and onnxruntime on the preprocessing."""

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from pocketcxr.domain.errors import ParityError
from pocketcxr.export.graph import open_session
from pocketcxr.imaging.preprocess import PreprocessSpec, normalise, square
from pocketcxr.models.outputs import Net, evaluating

MODEL_TOLERANCE = 1e-4
"""Relative to the larger of 1 and the largest value that torch gives."""
PIXEL_TOLERANCE = 1
"""Grey levels of 255."""
BATCH_SIZES = (1, 3)
"""A batch the graph was not traced with shows a size frozen into it."""


def check_net(net: Net, model: onnx.ModelProto, pixels: NDArray[np.uint8], spec: PreprocessSpec) -> float:
    """The largest deviation of onnxruntime from torch on square images [n, size, size], logits and class maps alike.

    Relative to max(1, largest torch value). Raises ParityError above MODEL_TOLERANCE, and for NaN.
    """
    session = open_session(model.SerializeToString())
    worst = 0.0
    for batch in _batches(pixels):
        images = normalise(batch, spec)[:, None]
        expected = torch_answers(net, images)
        actual = session.run(["logits", "heatmaps"], {"images": images})
        for name, ours, theirs in zip(("logits", "heatmaps"), expected, actual, strict=True):
            if ours.shape != theirs.shape:
                raise ParityError(
                    f"exported {name} of a batch of {len(batch)} have shape {theirs.shape}, torch gives {ours.shape}: "
                    "a size is frozen into the graph - write the net's forward without Python numbers taken from shapes"
                )
            deviation = float(np.abs(ours - theirs).max() / max(1.0, np.abs(ours).max()))
            if not deviation <= MODEL_TOLERANCE:  # so that NaN is refused too
                raise ParityError(
                    f"exported {name} deviate from torch by {deviation:.3g} (at most {MODEL_TOLERANCE:g}) on a "
                    f"batch of {len(batch)}: the net holds NaN or an operation that onnxruntime computes differently"
                )
            worst = max(worst, deviation)
    return worst


def check_preprocess(model: onnx.ModelProto, spec: PreprocessSpec, images: Sequence[NDArray[np.uint8]]) -> int:
    """The largest deviation of the graph from imaging.preprocess on gray images [h, w], in grey levels.

    Raises ParityError above PIXEL_TOLERANCE.
    """
    session = open_session(model.SerializeToString())
    worst = 0
    for image in images:
        (prepared,) = session.run(["images"], {"image": image})
        levels = np.rint((prepared[0, 0] * spec.std + spec.mean) * 255).astype(np.int64)
        deviation = int(np.abs(levels - square(image, spec)).max())
        if deviation > PIXEL_TOLERANCE:
            raise ParityError(
                f"preprocess.onnx deviates from Pillow by {deviation} of 255 grey levels on an image of {image.shape}: "
                "this onnxruntime resizes differently - use another version"
            )
        worst = max(worst, deviation)
    return worst


def torch_answers(net: Net, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits [b, finding] and class maps [b, finding, h, w] of a net, as it answers outside training."""
    with evaluating(net), torch.no_grad():
        output = net(torch.from_numpy(images))
    return output.logits.numpy(), output.class_maps.numpy()


def _batches(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """The images again and again in batches of every size, until each image was in one."""
    for size in BATCH_SIZES:
        for start in range(0, len(pixels), size):
            yield np.take(pixels, range(start, start + size), axis=0, mode="wrap")
