"""Golden vectors: whether this machine's engine answers as the trained net did when the bundle was made."""

import io
import tokenize
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.errors import BundleError
from pocketcxr.imaging.preprocess import normalise
from pocketcxr.runtime.bundle import Bundle
from pocketcxr.runtime.card import GOLDEN_FOLDER
from pocketcxr.runtime.session import Engine

IMAGE, PIXELS, LOGITS, HEATMAPS = "image.npy", "pixels.npy", "logits.npy", "heatmaps.npy"
"""A case's four files: uint8 [h, w], uint8 [size, size], float32 [finding], float32 [finding, grid_h, grid_w]."""
PIXEL_TOLERANCE = 1.01
"""Of 255: one grey level, and the rounding of float32 on the way back from model input."""


def verify_golden(engine: Engine) -> float:
    """The largest deviation of this machine's answers from the golden ones, relative to max(1, largest golden value).

    Raises BundleError when a pixel deviates by more than a grey level, or an answer by more than the build's tolerance.
    """
    bundle = engine.bundle
    cases = golden_cases(bundle)
    if not cases:
        raise BundleError(f"{bundle.path} holds no golden vectors in {GOLDEN_FOLDER}; export the run again")
    worst = float(np.max([_deviation(engine, case) for case in cases]))
    tolerance = bundle.card.builds.to_run.tolerance
    if not worst <= tolerance:  # so that NaN is refused too
        raise BundleError(
            f"{bundle.path}: this machine's answers deviate by {worst:.2g} from the golden ones, "
            f"more than {tolerance:g}; update onnxruntime"
        )
    return worst


def golden_cases(bundle: Bundle) -> tuple[str, ...]:
    """The names of the bundle's golden cases: what their four files begin with."""
    names = (name for name in bundle.files if name.startswith(GOLDEN_FOLDER))
    return tuple(sorted(name.removesuffix(IMAGE) for name in names if name.endswith(f".{IMAGE}")))


def _deviation(engine: Engine, case: str) -> float:
    """Of one case: the larger of the logits' and the heatmaps'. Raises BundleError when the preprocessing deviates."""
    bundle, card = engine.bundle, engine.bundle.card
    spec, net = card.preprocess, card.net
    image = _array(bundle, case + IMAGE, np.uint8, (None, None))
    pixels = _array(bundle, case + PIXELS, np.uint8, (spec.size, spec.size))
    prepared = (engine.prepare(image)[0, 0] * spec.std + spec.mean) * 255
    if not np.abs(prepared - pixels).max() <= PIXEL_TOLERANCE:
        raise BundleError(f"{bundle.path}: this machine prepares {case}{IMAGE} differently; update onnxruntime")
    answers = engine.run(normalise(pixels, spec)[None, None])
    maps = (len(card.findings), net.heatmap_height, net.heatmap_width)
    pairs = (
        (answers.logits[0], _array(bundle, case + LOGITS, np.float32, (len(card.findings),))),
        (answers.class_maps[0], _array(bundle, case + HEATMAPS, np.float32, maps)),
    )
    return float(np.max([np.abs(actual - golden).max() / max(1.0, np.abs(golden).max()) for actual, golden in pairs]))


def _array(bundle: Bundle, name: str, dtype: type[np.generic], shape: tuple[int | None, ...]) -> NDArray[Any]:
    """The array in the bundle's file `name`; None in `shape` is any length but 0.

    Raises BundleError where there is no such file, it is no array, or one of another kind.
    """
    if name not in bundle.files:
        raise BundleError(f"{bundle.path} lacks {name}; export the run again")
    try:
        array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(bundle.files[name]), allow_pickle=False)
    # A header is a Python literal, of any length and for any amount of memory.
    except (ValueError, EOFError, SyntaxError, tokenize.TokenError, MemoryError, TypeError, OverflowError) as error:
        raise BundleError(f"{bundle.path}: {name} is no array that can be read ({error}); export the run again") from (
            error
        )
    fits = len(array.shape) == len(shape) and all(
        there == wanted if wanted is not None else there > 0 for there, wanted in zip(array.shape, shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        wanted = " x ".join("?" if side is None else str(side) for side in shape)
        raise BundleError(
            f"{bundle.path}: {name} holds {array.dtype} of shape {array.shape}, not {np.dtype(dtype).name} of {wanted};"
            " export the run again"
        )
    return array
