"""The builds of one net: float32, float16, INT8, and INT8 with its worst layers left in float where it must be."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
from numpy.typing import NDArray

from pocketcxr.export.graph import weighted_layers
from pocketcxr.export.half import half
from pocketcxr.export.quantize import Quantiser, quantiser
from pocketcxr.runtime.card_gate import FineTuning, Precision

FLOAT_SHARES = (0.1, 0.25, 0.5)
"""Of the layers, those that lose most first: what stays in float at each try after INT8 alone failed."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A build that may be shipped."""

    precision: Precision
    model: onnx.ModelProto
    num_float_layers: int
    num_layers: int
    fine_tuning: FineTuning | None = None
    """How its weights came to differ from the float32 build's; None where they do not."""

    @cached_property
    def data(self) -> bytes:
        """The file."""
        return bytes(self.model.SerializeToString(deterministic=True))


Retrained = tuple[onnx.ModelProto, FineTuning]
"""The same net as a float32 model with weights fine-tuned for INT8, and how."""


@dataclass(frozen=True)
class Retraining:
    """What INT8 falls back on."""

    train: Callable[[], Retrained | None]
    """None where it did not work out."""
    is_wanted: bool = False
    """Whether it is tried even where INT8 passes without."""


def candidates(
    model: onnx.ModelProto,
    precisions: Sequence[Precision],
    images: NDArray[np.float32],
    has_passed: Callable[[], bool],
    retraining: Retraining | None = None,
) -> Iterator[Candidate]:
    """The builds of a float32 `model`, itself first, by falling exactness but for INT8's tries.

    `images` [n, 1, size, size] are model inputs to take INT8's ranges from. INT8 is tried with more and more layers in
    float, and at last with other weights, as long as `has_passed` says no: it is asked once the caller has judged what
    was yielded last.
    """
    num_layers = len(weighted_layers(model))
    yield Candidate("fp32", model, num_layers, num_layers)
    if "fp16" in precisions:
        yield Candidate("fp16", half(model), num_layers, num_layers)
    if "int8" in precisions:
        with quantiser(model, images) as it:
            yield from _int8(it, num_layers, has_passed)
        if retraining is not None and (retraining.is_wanted or not has_passed()):
            yield from _retrained(retraining, images)


def _int8(it: Quantiser, num_layers: int, has_passed: Callable[[], bool]) -> Iterator[Candidate]:
    num_head = num_layers - len(it.layers)
    yield Candidate("int8", it.build(), num_head, num_layers)
    if has_passed():
        return
    by_error = it.by_error()
    for share in FLOAT_SHARES:
        left_out = by_error[: round(share * len(by_error))]
        yield Candidate("int8", it.build(left_out), num_head + len(left_out), num_layers)
        if has_passed():
            return


def _retrained(retraining: Retraining, images: NDArray[np.float32]) -> Iterator[Candidate]:
    found = retraining.train()
    if found is None:
        return
    model, facts = found
    num_layers = len(weighted_layers(model))
    with quantiser(model, images) as it:
        yield Candidate("int8", it.build(), num_layers - len(it.layers), num_layers, facts)
