"""best.safetensors: the learnt weights and all that is needed to use them again."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float
from pydantic import BaseModel
from torch import Tensor

from pocketcxr._version import __version__
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.config import NetConfig
from pocketcxr.train.tensors import read_tensors, write_tensors


class TrainingSummary(BaseModel, frozen=True, extra="forbid"):
    """What a net was trained on and how: goes into its card."""

    source: str
    """The manifest's source."""
    splits_sha256: str = ""
    """Digest of who was in which split; "" in weights of before it was kept. Tells whether images are unseen."""
    is_simulated: bool
    num_images: int
    num_labelled: int
    """Images with at least one known label; the others only a teacher spoke of."""
    num_patients: int
    unlabelled_sources: tuple[str, ...] = ()
    """Sources of the manifests whose images came without labels, phantoms marked."""
    num_from_unlabelled: int = 0
    """Of num_images, those that came from them."""
    objective: tuple[str, ...]
    """Kinds of the objective's terms."""
    teacher: str | None
    """Name of the teacher's net."""
    seed: int
    steps: int
    """Steps of one batch the schedule was made for."""
    batch_size: int


class ModelHeader(BaseModel, frozen=True, extra="forbid"):
    """What the weights are of."""

    version: int = 1
    pocketcxr_version: str = __version__
    net: NetConfig
    findings: tuple[str, ...]
    """What the outputs mean, in order."""
    unlearnt: tuple[str, ...] = ()
    """Findings nobody taught: without labels of both classes or a teacher who knew them. Their scores mean nothing."""
    preprocess: PreprocessSpec
    training: TrainingSummary
    step: int = 0
    """Steps done when these weights were kept."""
    validation_auroc: float | None = None
    """Mean over the findings that have one."""
    is_averaged: bool = False
    """Whether the weights are a moving average."""
    num_reference_images: int = 0
    """Validation images the reference of the heatmaps is of; 0 in files without one."""


class Weights(NamedTuple):
    """What best.safetensors holds."""

    header: ModelHeader
    tensors: dict[str, Tensor]
    """State of the net by name, on the CPU."""
    reference: Float[Tensor, "finding h w"] | None
    """What is taken from its class maps (models.heads.Reference)."""


def write_weights(
    path: Path,
    tensors: Mapping[str, Tensor],
    header: ModelHeader,
    reference: Float[Tensor, "finding h w"] | None = None,
) -> None:
    """Replace the weights at `path`. Raises CheckpointError when the disk refuses; then the old ones survive."""
    further = {} if reference is None else {_REFERENCE: reference}
    write_tensors(path, {**tensors, **further}, header)


def read_weights(path: Path) -> Weights:
    """What the file holds. Raises CheckpointError for missing, damaged or foreign files."""
    header, tensors = read_tensors(path, ModelHeader)
    reference = tensors.pop(_REFERENCE, None)
    return Weights(header, tensors, reference)


_REFERENCE = "heatmap_reference"
"""Beside the names of the net's own state."""
