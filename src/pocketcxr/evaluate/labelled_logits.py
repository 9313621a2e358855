"""What a model said of labelled images, before any sigmoid: what calibration and operating points are chosen on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.errors import EmptyCohortError, ManifestError


@dataclass(frozen=True, eq=False)
class LabelledLogits:
    """Logits and labels of n images.

    Raises EmptyCohortError where there is no image, ManifestError where shapes or values break the rules.
    """

    findings: tuple[str, ...]
    patient_ids: tuple[str, ...]
    """One an image: patients are the units of the bootstrap."""
    logits: NDArray[np.float64]
    """[n, finding]; a whole column is NaN where the model never learnt the finding."""
    labels: NDArray[np.float32]
    """[n, finding]: 1 present, 0 absent, NaN unknown."""

    def __post_init__(self) -> None:
        if not self.patient_ids:
            raise EmptyCohortError("calibration: zero images; give images with labels")
        expected = (len(self.patient_ids), len(self.findings))
        for name, matrix in (("logits", self.logits), ("labels", self.labels)):
            if matrix.shape != expected:
                raise ManifestError(f"calibration: {name} are {matrix.shape}; expected {expected}")
        for column, finding in enumerate(self.findings):
            _check(finding, self.logits[:, column], self.labels[:, column])

    def column(self, finding: str) -> "OneFinding":
        """The images with a known label of `finding`. Raises ValueError for a finding that is not among them."""
        place = self.findings.index(finding)
        rows = np.flatnonzero(~np.isnan(self.labels[:, place]))
        patients = tuple(self.patient_ids[row] for row in rows)
        return OneFinding(finding, rows, patients, self.logits[rows, place], self.labels[rows, place] == 1)


@dataclass(frozen=True, eq=False)
class OneFinding:
    """The m images with a known label of one finding; logits are NaN where it was never learnt."""

    finding: str
    rows: NDArray[np.intp]
    """Of the cohort."""
    patient_ids: tuple[str, ...]
    logits: NDArray[np.float64]
    is_present: NDArray[np.bool_]

    def take(self, kept: NDArray[np.bool_]) -> "OneFinding":
        """The images of the mask [m]."""
        patients = tuple(self.patient_ids[place] for place in np.flatnonzero(kept))
        return OneFinding(self.finding, self.rows[kept], patients, self.logits[kept], self.is_present[kept])

    @property
    def num_present(self) -> int:
        """Images that have the finding."""
        return int(self.is_present.sum())

    @property
    def num_absent(self) -> int:
        """Images known to be without it."""
        return int((~self.is_present).sum())

    def why_too_few(self, least: int) -> str | None:
        """Why nothing can be fitted with fewer than `least` images of either kind; None where it can."""
        if not len(self.rows):
            return "no image has a known label"
        if np.isnan(self.logits).any():
            return "the model never learnt the finding"
        if min(self.num_present, self.num_absent) < least:
            return f"{self.num_present} images with it and {self.num_absent} without it; {least} of each are needed"
        return None


def _check(finding: str, logits: NDArray[np.float64], labels: NDArray[np.float32]) -> None:
    num_unknown = int(np.isnan(logits).sum())
    if num_unknown not in {0, len(logits)}:
        raise ManifestError(
            f"calibration: {num_unknown} of {len(logits)} logits of {finding} are NaN; a finding has a logit in every"
            " image, or in none when it was never learnt"
        )
    if np.isinf(logits).any():
        raise ManifestError(f"calibration: a logit of {finding} is infinite; score the images again")
    num_wrong = int((~np.isnan(labels) & ~np.isin(labels, (0, 1))).sum())
    if num_wrong:
        raise ManifestError(
            f"calibration: {num_wrong} labels of {finding} are neither 1, 0 nor NaN (unknown); correct them"
        )
