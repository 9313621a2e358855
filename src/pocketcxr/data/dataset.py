"""A cohort in memory: decoded images, labels and who they belong to, row by row."""

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketcxr.data.cache import cache_images
from pocketcxr.data.images import Images, Rows
from pocketcxr.domain.errors import ConfigError
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.manifest.labels import LabelPolicy, label_matrix
from pocketcxr.manifest.schema import Manifest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CohortRequest:
    """How to open a manifest: which findings, at which size, how raw label states are read, where to cache."""

    findings: tuple[str, ...]
    spec: PreprocessSpec
    policy: LabelPolicy
    cache_folder: Path


@dataclass(frozen=True, eq=False)
class Cohort:
    """The images of one experiment; row i of every field speaks of the same image.

    images      n images, squared as `spec` says; read with `pixels`
    labels      float32 [n, finding]: 1 present, 0 absent, NaN unknown
    refused     files of the manifest that could not be read and are therefore no rows here
    """

    images: Images
    labels: NDArray[np.float32]
    image_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    findings: tuple[str, ...]
    spec: PreprocessSpec
    refused: tuple[Refusal, ...] = ()

    def __len__(self) -> int:
        return len(self.image_ids)

    def pixels(self, rows: Rows) -> NDArray[np.uint8]:
        """The images of these rows, a copy [b, size, size]."""
        return self.images.at(rows)

    def take(self, rows: NDArray[np.int64]) -> "Cohort":
        """These rows as a cohort of their own; no pixel is read."""
        return replace(
            self,
            images=self.images.take(rows),
            labels=self.labels[rows],
            image_ids=tuple(self.image_ids[row] for row in rows),
            patient_ids=tuple(self.patient_ids[row] for row in rows),
        )

    @cached_property
    def labelled_rows(self) -> NDArray[np.int64]:
        """Rows with at least one known label, ascending."""
        return np.flatnonzero(~np.isnan(self.labels).all(axis=1)).astype(np.int64)

    @cached_property
    def unlabelled_rows(self) -> NDArray[np.int64]:
        """Rows without any known label, ascending: only a teacher can say something about them."""
        return np.flatnonzero(np.isnan(self.labels).all(axis=1)).astype(np.int64)

    @property
    def num_labelled(self) -> int:
        """Number of rows with at least one known label."""
        return len(self.labelled_rows)


def open_cohort(manifest: Manifest, request: CohortRequest, progress: Progress = silent) -> Cohort:
    """Every readable image of the manifest as a cohort, in manifest order.

    The first call decodes and caches the images; later ones open the cache. Refused files are logged, listed in
    `refused` and left out. Raises EmptyCohortError when no image can be read.
    """
    cache = cache_images(manifest, request.spec, request.cache_folder, progress)
    labels = label_matrix(manifest, request.findings, request.policy)[cache.rows]
    table = manifest.table.iloc[cache.rows]
    return Cohort(
        images=cache.images,
        labels=labels,
        image_ids=tuple(table["image_id"].astype(str)),
        patient_ids=tuple(table["patient_id"].astype(str)),
        findings=tuple(request.findings),
        spec=request.spec,
        refused=cache.refused,
    )


def hide_labels(cohort: Cohort, labelled_fraction: float, seed: int, among: NDArray[np.bool_] | None = None) -> Cohort:
    """The cohort with labels kept for a share of its patients only; the other images become unlabelled (NaN).

    The share is one of the patients of the rows `among` (None: all), so that images added without labels change
    nothing. Whole patients are kept, at least one unless the share is 0. For one seed the choices are nested: a smaller
    fraction keeps a subset of what a larger one keeps. Raises ConfigError unless 0 <= labelled_fraction <= 1.
    """
    if not 0 <= labelled_fraction <= 1:
        raise ConfigError(f"labelled_fraction is {labelled_fraction}; give a share of 0 to 1")
    rows_of = np.asarray(cohort.patient_ids)
    patients = np.unique(rows_of if among is None else rows_of[among])
    num_kept = max(1, round(labelled_fraction * len(patients))) if labelled_fraction > 0 else 0
    kept = patients[np.random.default_rng(seed).permutation(len(patients))[:num_kept]]
    is_kept = np.isin(rows_of, kept)
    labels = np.where(is_kept[:, None], cohort.labels, np.float32(np.nan)).astype(np.float32)
    hidden = replace(cohort, labels=labels)
    logger.info("labels kept for %d of %d images (%d patients)", hidden.num_labelled, len(cohort), num_kept)
    return hidden
