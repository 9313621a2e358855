"""The engine: a bundle's two graphs in onnxruntime on the CPU."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.errors import BundleError
from pocketcxr.runtime.bundle import Bundle
from pocketcxr.runtime.card import PREPROCESS

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

ERRORS_ONLY = 3
"""onnxruntime's log severity."""


class Answers(NamedTuple):
    """What the model says of a batch, as arrays."""

    logits: NDArray[np.float32]
    """[b, finding]"""
    class_maps: NDArray[np.float32]
    """[b, finding, grid_h, grid_w] over the model's square input, in logit units."""


@dataclass(frozen=True, eq=False)
class Engine:
    """A bundle ready to run; not tied to one thread."""

    bundle: Bundle
    _preprocess: "InferenceSession"
    _model: "InferenceSession"

    def prepare(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Model input [1, 1, size, size] of one gray image [h, w], by the bundle's own graph."""
        (images,) = self._preprocess.run(["images"], {"image": np.ascontiguousarray(image)})
        prepared: NDArray[np.float32] = images
        return prepared

    def run(self, images: NDArray[np.float32]) -> Answers:
        """The answers to model inputs [b, 1, size, size]."""
        logits, class_maps = self._model.run(["logits", "heatmaps"], {"images": images})
        return Answers(logits, class_maps)


def open_engine(bundle: Bundle, num_threads: int | None = None) -> Engine:
    """The bundle's graphs, loaded. `num_threads` None: as many as onnxruntime finds cores.

    Raises BundleError when onnxruntime cannot load them.
    """
    return Engine(
        bundle,
        _session(bundle, PREPROCESS, num_threads),
        _session(bundle, bundle.card.builds.to_run.file, num_threads),
    )


def _session(bundle: Bundle, name: str, num_threads: int | None) -> "InferenceSession":
    # Imported when the first bundle is opened: it takes a quarter of a second, which --help need not spend.
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = num_threads or 0
    options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(bundle.files[name], options, providers=["CPUExecutionProvider"])
    except (errors.Fail, errors.InvalidGraph, errors.InvalidProtobuf, errors.NotImplemented) as error:
        raise BundleError(
            f"{bundle.path}: onnxruntime {onnxruntime.__version__} cannot load {name} ({error})"
        ) from error
