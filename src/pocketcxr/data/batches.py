"""Batches as a pure function of (seed, step): nothing to save, nothing to replay after an interruption."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from torch import Tensor

from pocketcxr.data.augment import AugmentConfig, augment
from pocketcxr.data.dataset import Cohort
from pocketcxr.imaging.preprocess import PreprocessSpec

_ALL_ROWS, _LABELLED, _UNLABELLED = 0, 1, 2


class BatchConfig(BaseModel, frozen=True, extra="forbid"):
    """How batches are drawn from a cohort."""

    batch_size: Annotated[int, Field(ge=1)] = 32
    labelled_share: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of each batch drawn from rows with labels, where some rows have none; None draws all rows alike."""
    augment: AugmentConfig = AugmentConfig()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of the order of the rows and of the augmented views."""


class Share(NamedTuple):
    """Part of every batch: the `number`-th (from 0) of `of` equal, consecutive parts."""

    number: int = 0
    of: int = 1


WHOLE = Share()


@dataclass(frozen=True)
class Batch:
    """What one step sees.

    pixels    float32 [b, 1, s, s] in 0..1, augmented, before normalisation: student and teacher normalise on their own
    labels    float32 [b, finding], NaN where unknown
    indices   int64 [b], rows of the cohort
    view      which augmented version of the images this is
    """

    pixels: Float[Tensor, "b 1 s s"]
    labels: Float[Tensor, "b finding"]
    indices: Int[Tensor, " b"]
    view: int


def batch_indices(num: int, batch_size: int, seed: int, step: int) -> NDArray[np.int64]:
    """Rows of the batch at `step`: consecutive batches run through one shuffled order of all `num` rows an epoch.

    Batches are always full; the one in which an epoch ends goes on with the next epoch's order.
    """
    return _stream(num, batch_size, (seed, _ALL_ROWS), step)[0]


def batch_at(cohort: Cohort, config: BatchConfig, step: int, share: Share = WHOLE) -> Batch:
    """The batch at `step` (from 0), or a share of it, a pure function of the cohort, the config and the step."""
    indices, epoch = _rows_at(cohort, config, step)
    num = len(indices) // share.of
    indices = indices[share.number * num : (share.number + 1) * num]
    num_views = config.augment.num_views
    view = epoch if num_views is None else epoch % num_views
    rows = torch.from_numpy(indices)
    return Batch(
        pixels=pixels_at(cohort, config, rows, view),
        labels=torch.from_numpy(cohort.labels[indices]),
        indices=rows,
        view=view,
    )


def pixels_at(cohort: Cohort, config: BatchConfig, indices: Int[Tensor, " b"], view: int) -> Float[Tensor, "b 1 s s"]:
    """The given rows as the loop sees them in `view`: augmented, float32 in 0..1."""
    images = torch.from_numpy(cohort.pixels(indices.numpy()))
    return augment(images, indices, view, config.seed, config.augment)


def plain_pixels(cohort: Cohort, rows: slice | NDArray[np.int64]) -> Float[Tensor, "b 1 s s"]:
    """The given rows as they are, float32 in 0..1: what evaluation sees."""
    return torch.from_numpy(cohort.pixels(rows)).to(torch.float32).div_(255)[:, None]


def normalise_tensor(pixels: Float[Tensor, "b c s s"], spec: PreprocessSpec) -> Float[Tensor, "b c s s"]:
    """Net input of pixels in 0..1: what imaging.preprocess.normalise does to 8-bit pixels."""
    return (pixels - spec.mean) / spec.std


def _rows_at(cohort: Cohort, config: BatchConfig, step: int) -> tuple[NDArray[np.int64], int]:
    """Rows of the batch and the epoch of its last row (of the faster stream, where there are two)."""
    num_labelled, num_rows = cohort.num_labelled, len(cohort)
    if config.labelled_share is None or num_labelled in {0, num_rows}:
        return _stream(num_rows, config.batch_size, (config.seed, _ALL_ROWS), step)
    num_from_labelled = max(1, round(config.labelled_share * config.batch_size))
    labelled, labelled_epoch = _stream(num_labelled, num_from_labelled, (config.seed, _LABELLED), step)
    rows = cohort.labelled_rows[labelled]
    num_from_others = config.batch_size - num_from_labelled
    if num_from_others == 0:
        return rows, labelled_epoch
    others, others_epoch = _stream(num_rows - num_labelled, num_from_others, (config.seed, _UNLABELLED), step)
    return np.concatenate([rows, cohort.unlabelled_rows[others]]), max(labelled_epoch, others_epoch)


def _stream(num: int, count: int, key: tuple[int, int], step: int) -> tuple[NDArray[np.int64], int]:
    """`count` positions out of the endless sequence of shuffled orders of 0..num-1, and the last one's epoch."""
    positions = np.arange(step * count, (step + 1) * count)
    epochs = positions // num
    picked = [_order(num, key, int(epoch))[positions[epochs == epoch] % num] for epoch in np.unique(epochs)]
    return np.concatenate(picked), int(epochs[-1])


@lru_cache(maxsize=8)
def _order(num: int, key: tuple[int, int], epoch: int) -> NDArray[np.int64]:
    """The shuffled order of one epoch; remembered, because every step of an epoch needs it."""
    seed, stream = key
    order = np.random.default_rng([seed, stream, epoch]).permutation(num).astype(np.int64)
    order.setflags(write=False)
    return order
