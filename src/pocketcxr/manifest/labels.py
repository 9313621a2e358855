"""From what a source says of a finding to what training learns: 1, 0, NaN, or a value between 1 and 0."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from pocketcxr.domain.errors import UnknownNameError
from pocketcxr.domain.findings import known_findings, narrower
from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.rules import label_column
from pocketcxr.manifest.schema import Manifest

SoftValue = Annotated[float, Field(gt=0, lt=1)]
Reading = Literal["unknown", "positive", "negative"] | SoftValue
"""How a state is read: left out, 1, 0, or as a probability strictly between 0 and 1 (label smoothing of uncertain
labels, Pham et al. 2019, arXiv 1911.06475, who draw it from 0.55 to 0.85 for U-Ones and from 0 to 0.3 for U-Zeros)."""


class FindingPolicy(BaseModel, frozen=True, extra="forbid"):
    """How one finding differs from the others; None: it does not."""

    uncertain: Reading | None = None
    unmentioned: Reading | None = None


class LabelPolicy(BaseModel, frozen=True, extra="forbid"):
    """How the states that are neither yes nor no are read. Unknown labels are left out of losses and scores.

    A finding that nobody looked for (LabelState.NOT_LABELLED) is unknown under every policy.
    """

    uncertain: Reading = "unknown"
    """The report hedges ("possible effusion"): U-Ignore, U-Ones, U-Zeros of Irvin et al. 2019 (arXiv 1901.07031)."""
    unmentioned: Reading = "unknown"
    """The report says nothing of it."""
    by_finding: Mapping[str, FindingPolicy] = {}
    """Findings that are read otherwise, by name."""
    implied: Literal["positive", "unknown"] = "positive"
    """How a finding that nobody looked for is read where a narrower one is present: a nodule is a lung lesion, whoever
    labelled nodules only. Absence is never implied."""

    def values(self, finding: str) -> dict[str, float]:
        """What each LabelState text means for the finding: 1, 0, NaN or a soft value."""
        own = self.by_finding.get(finding, FindingPolicy())
        return {
            LabelState.PRESENT.value: 1.0,
            LabelState.ABSENT.value: 0.0,
            LabelState.UNCERTAIN.value: _value(self.uncertain if own.uncertain is None else own.uncertain),
            LabelState.UNMENTIONED.value: _value(self.unmentioned if own.unmentioned is None else own.unmentioned),
            LabelState.NOT_LABELLED.value: float("nan"),
        }

    def hard(self) -> "LabelPolicy":
        """The same without soft values, which become unknown: for scores, where a label is yes, no or nothing."""
        by_finding = {
            finding: FindingPolicy(uncertain=_hard(own.uncertain), unmentioned=_hard(own.unmentioned))
            for finding, own in self.by_finding.items()
        }
        return self.model_copy(
            update={
                "uncertain": _hard(self.uncertain),
                "unmentioned": _hard(self.unmentioned),
                "by_finding": by_finding,
            }
        )


def label_matrix(manifest: Manifest, findings: Sequence[str], policy: LabelPolicy) -> NDArray[np.float32]:
    """Labels [image, finding] in the table's row order: 1 present, 0 absent, NaN unknown, between only if so read.

    A finding that the manifest lacks is unknown, and so is one that a row's source did not look for; but either is 1
    where a finding that is a kind of it is present (unless policy.implied says otherwise). It is never 0 there: that
    some kinds are absent says nothing of the others. Raises UnknownNameError where the policy names no finding.
    """
    _check_names(policy, findings)
    labels = np.full((manifest.num_images, len(findings)), np.nan, dtype=np.float32)
    for column, finding in enumerate(findings):
        is_open = np.ones(manifest.num_images, dtype=np.bool_)
        if finding in manifest.findings:
            states = manifest.table[label_column(finding)]
            labels[:, column] = states.map(policy.values(finding)).to_numpy(dtype=np.float32)
            is_open = (states == LabelState.NOT_LABELLED.value).to_numpy(dtype=np.bool_)
        if policy.implied == "positive" and is_open.any():
            labels[is_open & _has_narrower(manifest, finding), column] = 1
    return labels


def _has_narrower(manifest: Manifest, finding: str) -> NDArray[np.bool_]:
    """Whether a narrower finding is present, as a source said it and not as a policy guessed it."""
    kinds = narrower(finding)
    has_one = np.zeros(manifest.num_images, dtype=np.bool_)
    for name in manifest.findings:
        if name in kinds:
            has_one |= (manifest.table[label_column(name)] == LabelState.PRESENT.value).to_numpy(dtype=np.bool_)
    return has_one


def _check_names(policy: LabelPolicy, findings: Sequence[str]) -> None:
    for name in policy.by_finding:
        if name not in findings and name not in known_findings():
            raise UnknownNameError.of("finding of the label policy", name, {*findings, *known_findings()})


def _value(reading: Reading) -> float:
    match reading:
        case "unknown":
            return float("nan")
        case "positive":
            return 1.0
        case "negative":
            return 0.0
        case float():
            return reading


def _hard(reading: Reading | None) -> Reading | None:
    return "unknown" if isinstance(reading, float) else reading
