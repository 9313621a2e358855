"""From what a source says of a finding to what training learns: 1, 0 or NaN."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.rules import label_column
from pocketcxr.manifest.schema import Manifest

Reading = Literal["unknown", "positive", "negative"]

_VALUES: dict[Reading, float] = {"unknown": float("nan"), "positive": 1.0, "negative": 0.0}


class LabelPolicy(BaseModel, frozen=True, extra="forbid"):
    """How the two states that are neither yes nor no are read. Unknown labels are left out of losses and scores."""

    uncertain: Reading = "unknown"
    """The report hedges ("possible effusion"): U-Ignore, U-Ones, U-Zeros of Irvin et al. 2019 (arXiv 1901.07031)."""
    unmentioned: Reading = "unknown"
    """The report says nothing of it."""


def label_matrix(manifest: Manifest, findings: Sequence[str], policy: LabelPolicy) -> NDArray[np.float32]:
    """Labels [image, finding] in the table's row order: 1 present, 0 absent, NaN unknown.

    A finding that the manifest lacks is a whole column of NaN: nobody looked for it.
    """
    values = {
        LabelState.PRESENT.value: 1.0,
        LabelState.ABSENT.value: 0.0,
        LabelState.UNCERTAIN.value: _VALUES[policy.uncertain],
        LabelState.UNMENTIONED.value: _VALUES[policy.unmentioned],
    }
    labels = np.full((manifest.num_images, len(findings)), np.nan, dtype=np.float32)
    for column, finding in enumerate(findings):
        if finding in manifest.findings:
            states = manifest.table[label_column(finding)]
            labels[:, column] = states.map(values).to_numpy(dtype=np.float32)
    return labels
