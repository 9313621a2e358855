"""The input gate: is this picture a frontal chest X-ray at all? Asked before any score, answered with coded reasons.

In this order, and the first refusal ends it: what the DICOM header says, colours, how the gray scale is used, a tiny
net. The net learnt from simulated pictures alone; docs/explanation/input-gate.md says how often it errs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from pocketcxr.domain.errors import BundleError, RefusalCode
from pocketcxr.domain.prediction import Refusal
from pocketcxr.imaging.colour import coloured_share
from pocketcxr.imaging.dicom import read_facts
from pocketcxr.imaging.dicom_facts import NOTHING_KNOWN, SourceFacts
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.runtime.bundle import Bundle
from pocketcxr.runtime.graphs import Interface, check_graph
from pocketcxr.runtime.input_gate_header import header_refusal
from pocketcxr.runtime.input_gate_pixels import NET_SIZE, GrayScale, gray_scale, grid_peak, look, net_input

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

GATE = "input-gate.onnx"
"""The gate's file in a bundle, and beside this module."""
FACTS_KEY = "input_gate"
"""Where GateFacts lie in the file's metadata."""
FRONTAL = "frontal"
KINDS = (FRONTAL, "lateral", "inverted", "rotated", "heavily-cropped", "not-a-chest-radiograph")
"""What the net tells apart; all but the first are the refusal's code."""
_ERRORS_ONLY = 3
HOW_TO_SKIP = "score it with --no-input-gate"
"""In refusals by the net; where there is no command line, say it otherwise."""

_ADVICE: Mapping[RefusalCode, str] = {
    RefusalCode.LATERAL: "looks like a chest from the side - give the frontal view",
    RefusalCode.INVERTED: "looks inverted, black for white - export it as MONOCHROME2, or invert it",
    RefusalCode.ROTATED: "looks turned - turn it upright, the head up",
    RefusalCode.HEAVILY_CROPPED: "shows too little of the chest - give the whole image",
    RefusalCode.NOT_A_CHEST_RADIOGRAPH: "does not look like a chest X-ray - give a frontal chest X-ray",
}


class GateFacts(BaseModel, frozen=True, extra="forbid"):
    """What the gate's file says of itself: what it tells apart, where its limits are, how it was made."""

    version: Literal[1] = 1
    kinds: tuple[str, ...] = KINDS
    least_frontal: Annotated[float, Field(ge=0, le=1)]
    """The least probability of a frontal chest that passes."""
    min_side_px: Annotated[int, Field(ge=16)]
    """The net has not seen coarser pictures."""
    least_spread: Annotated[float, Field(ge=0, le=255)]
    """Gray levels between the 1st and the 99th percentile; with fewer, nothing is shown."""
    most_white_share: Annotated[float, Field(ge=0, le=1)]
    most_black_share: Annotated[float, Field(ge=0, le=1)]
    most_coloured_share: Annotated[float, Field(ge=0, le=1)]
    grid_decades: Annotated[float, Field(ge=0)]
    """From here on a fine wave is taken for the grid of a photographed screen."""
    made_by: str
    seed: int


@dataclass(frozen=True)
class InputWarning:
    """What is odd about a file that is scored all the same."""

    path: str
    code: Literal["photograph-of-a-screen"]
    message: str


@dataclass(frozen=True, eq=False)
class Gate:
    """The gate, ready to run; not tied to one thread."""

    facts: GateFacts
    _net: "InferenceSession"

    def probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of each kind of KINDS, [b, kind], for net inputs [b, 1, 64, 64]."""
        (logits,) = self._net.run(["logits"], {"images": images})
        grown = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: NDArray[np.float32] = grown / grown.sum(axis=1, keepdims=True)
        return shares


def open_gate(data: bytes, where: str) -> Gate:
    """The gate in the bytes of an input-gate.onnx. Raises BundleError when it is none, or from a newer version."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    images, logits = (None, 1, NET_SIZE, NET_SIZE), (None, len(KINDS))
    check_graph(f"{where}: {GATE}", data, Interface({"images": images}, {"logits": logits}))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    # Less than a millisecond on one thread: waking others takes longer.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        facts = GateFacts.model_validate_json(session.get_modelmeta().custom_metadata_map[FACTS_KEY])
    except (errors.Fail, errors.InvalidGraph, errors.InvalidProtobuf, errors.NotImplemented) as error:
        raise BundleError(f"{where}: onnxruntime {onnxruntime.__version__} cannot load {GATE} ({error})") from error
    except (KeyError, ValidationError) as error:
        raise BundleError(
            f"{where}: {GATE} does not say what it is, or is of a newer version ({error}); "
            "pip install --upgrade pocketcxr, or export the run again"
        ) from error
    if facts.kinds != KINDS:
        raise BundleError(f"{where}: {GATE} tells other kinds of picture apart; pip install --upgrade pocketcxr")
    return Gate(facts, session)


def gate_of(bundle: Bundle) -> Gate | None:
    """The bundle's gate; None for a bundle without one. Raises BundleError."""
    return open_gate(bundle.files[GATE], bundle.path) if GATE in bundle.files else None


def packaged_gate() -> bytes:
    """The bytes of the gate that comes with this program, to be packed into bundles."""
    return files("pocketcxr.runtime").joinpath(GATE).read_bytes()


def facts_of_source(radiograph: Radiograph) -> SourceFacts:
    """What the radiograph's file says besides its gray: a DICOM header or colours, read again.

    Raises ImageRefusedError for a damaged header.
    """
    path = Path(radiograph.path)
    if radiograph.source_format == "dicom":
        return read_facts(path)
    return replace(NOTHING_KNOWN, coloured_share=coloured_share(path))


def check(gate: Gate, radiograph: Radiograph, facts: SourceFacts) -> Refusal | tuple[InputWarning, ...]:
    """Why the picture is not to be scored, or what is odd about it (mostly nothing)."""
    refusal = header_refusal(radiograph.path, facts) or _colour_refusal(gate, radiograph.path, facts)
    refusal = refusal or _pixel_refusal(gate, radiograph)
    if refusal is not None:
        return refusal
    if grid_peak(radiograph.image) < gate.facts.grid_decades:
        return ()
    message = f"{radiograph.path}: looks like a photograph of a screen - the file itself would give better scores"
    return (InputWarning(radiograph.path, "photograph-of-a-screen", message),)


def kind_of(gate: Gate, shares: NDArray[np.float32]) -> str:
    """The kind of picture by the probabilities [kind]: frontal if that is likely enough, else the likeliest other."""
    if shares[0] >= gate.facts.least_frontal:
        return FRONTAL
    return KINDS[1 + int(np.argmax(shares[1:]))]


def _colour_refusal(gate: Gate, path: str, facts: SourceFacts) -> Refusal | None:
    if facts.coloured_share is None or facts.coloured_share <= gate.facts.most_coloured_share:
        return None
    what = f"is a colour picture ({facts.coloured_share:.0%} of it strongly coloured) - give a chest X-ray in gray"
    return Refusal(path, RefusalCode.NOT_A_CHEST_RADIOGRAPH, f"{path}: {what}")


def _pixel_refusal(gate: Gate, radiograph: Radiograph) -> Refusal | None:
    path, limits = radiograph.path, gate.facts
    if min(radiograph.height, radiograph.width) < limits.min_side_px:
        what = f"{radiograph.width} x {radiograph.height} pixels; at least {limits.min_side_px} a side are needed"
        return Refusal(path, RefusalCode.TOO_SMALL, f"{path}: {what} - give the full image")
    small = look(radiograph.image)
    refusal = _exposure_refusal(path, limits, gray_scale(small))
    if refusal is not None:
        return refusal
    kind = kind_of(gate, gate.probabilities(net_input(small))[0])
    if kind == FRONTAL:
        return None
    code = RefusalCode(kind)
    return Refusal(path, code, f"{path}: {_ADVICE[code]}; if it is one, {HOW_TO_SKIP}")


def _exposure_refusal(path: str, limits: GateFacts, scale: GrayScale) -> Refusal | None:
    if scale.spread < limits.least_spread:
        what = f"shows next to nothing ({scale.spread:.0f} of 255 gray levels) - export it with its window"
        return Refusal(path, RefusalCode.BLANK, f"{path}: {what}")
    for share, most, end in (
        (scale.white_share, limits.most_white_share, "white"),
        (scale.black_share, limits.most_black_share, "black"),
    ):
        if share > most:
            what = f"{share:.0%} of it is plain {end} - export it with another window, or take it again"
            return Refusal(path, RefusalCode.OVER_EXPOSED, f"{path}: {what}")
    return None
