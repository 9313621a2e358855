"""How well a model ranks each group of images, and whether it ranks a group otherwise than all other images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr.domain.errors import ManifestError
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES, Estimate, estimate_each, estimate_mean
from pocketcxr.evaluate.ranking import auroc, why_undefined
from pocketcxr.evaluate.resampled_auroc import Counts, draw_counts, resampled_auroc
from pocketcxr.evaluate.scores import ScoreTable

MIN_PATIENTS = 10
"""With and without a finding: with fewer, a group's AUROC hangs on single patients and is not given."""


@dataclass(frozen=True)
class Grouping:
    """One way to part the images, for example by sex."""

    attribute: str
    groups: tuple[str, ...]
    """Every name there may be, in the order to show."""
    of_image: tuple[str, ...]
    """The group of each image of the score table; unknown is a group like others."""


class GroupFinding(BaseModel, frozen=True, extra="forbid"):
    """One finding in one group; `auroc` is None where `why_undefined` says why."""

    finding: str
    num_known: int
    """Images of the group with a known label."""
    num_positive: int
    num_positive_patients: int
    auroc: Estimate | None
    difference: Estimate | None
    """AUROC in the group minus AUROC in all other images; None where either is."""
    why_undefined: str | None


class GroupReport(BaseModel, frozen=True, extra="forbid"):
    """One group; `mean_auroc` is None where no finding has a figure."""

    attribute: str
    group: str
    num_images: int
    num_patients: int
    findings: tuple[GroupFinding, ...]
    mean_auroc: Estimate | None
    """Over `mean_over`: groups with other findings are not to be compared by it, `difference` is."""
    mean_over: tuple[str, ...]
    difference: Estimate | None
    """Mean of the findings' differences."""
    difference_over: tuple[str, ...]


class SubgroupReport(BaseModel, frozen=True, extra="forbid"):
    """Every group of every attribute."""

    num_resamples: int
    min_patients: int = MIN_PATIENTS
    groups: tuple[GroupReport, ...]


@dataclass(frozen=True, eq=False)
class _Part:
    """AUROCs of some of the images. values: [finding], resampled: [r, finding], NaN where `why_not` says why."""

    values: NDArray[np.float64]
    resampled: NDArray[np.float64]
    why_not: tuple[str | None, ...]


def subgroups(
    table: ScoreTable, groupings: Sequence[Grouping], rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES
) -> SubgroupReport:
    """AUROC of every group that has images, each with its 95 % patient-bootstrap interval, and its difference to all
    other images.

    Patients of the whole cohort are drawn, so that a difference is paired also where a patient has images on both
    sides. Raises ManifestError where a grouping is not of this table's images.
    """
    counts = draw_counts(table.patient_ids, rng, num_resamples)
    reports = []
    for grouping in groupings:
        _check(grouping, table)
        of_image = np.array(grouping.of_image)
        for group in grouping.groups:
            is_in = of_image == group
            if is_in.any():
                reports.append(_group(table, (grouping.attribute, group), is_in, counts))
    return SubgroupReport(num_resamples=num_resamples, groups=tuple(reports))


def _check(grouping: Grouping, table: ScoreTable) -> None:
    strange = sorted(set(grouping.of_image) - set(grouping.groups))
    if len(grouping.of_image) != table.num_images or strange:
        raise ManifestError(
            f"subgroups by {grouping.attribute}: {len(grouping.of_image)} images for {table.num_images} scores,"
            f" groups not listed: {strange}; group the images that were scored, in their order"
        )


def _group(table: ScoreTable, name: tuple[str, str], is_in: NDArray[np.bool_], counts: Counts) -> GroupReport:
    inside, rest = _part(table, is_in, counts), _part(table, ~is_in, counts)
    gap, resampled_gap = inside.values - rest.values, inside.resampled - rest.resampled
    aurocs = estimate_each(inside.values, inside.resampled)
    differences = estimate_each(gap, resampled_gap)
    findings = tuple(
        GroupFinding(
            finding=finding,
            num_known=int((~np.isnan(table.labels[is_in, column])).sum()),
            num_positive=int((table.labels[is_in, column] == 1).sum()),
            num_positive_patients=_num_patients(table, is_in & (table.labels[:, column] == 1)),
            auroc=aurocs[column],
            difference=differences[column],
            why_undefined=inside.why_not[column],
        )
        for column, finding in enumerate(table.findings)
    )
    return GroupReport(
        attribute=name[0],
        group=name[1],
        num_images=int(is_in.sum()),
        num_patients=_num_patients(table, is_in),
        findings=findings,
        mean_auroc=estimate_mean(inside.values, inside.resampled),
        mean_over=tuple(row.finding for row in findings if row.auroc is not None),
        difference=estimate_mean(gap, resampled_gap),
        difference_over=tuple(row.finding for row in findings if row.difference is not None),
    )


def _part(table: ScoreTable, is_in: NDArray[np.bool_], counts: Counts) -> _Part:
    labels, scores, drawn = table.labels[is_in], table.probabilities[is_in], counts[is_in]
    why_not = tuple(_why_not(table, is_in, column) for column in range(len(table.findings)))
    values = np.full(len(why_not), np.nan)
    resampled = np.full((counts.shape[1], len(why_not)), np.nan)
    for column, reason in enumerate(why_not):
        if reason is None:
            value = auroc(labels[:, column], scores[:, column])
            areas = resampled_auroc(labels[:, column], scores[:, column], drawn)
            assert value is not None
            assert areas is not None
            values[column], resampled[:, column] = value, areas
    return _Part(values, resampled, why_not)


def _why_not(table: ScoreTable, is_in: NDArray[np.bool_], column: int) -> str | None:
    """Why the finding is not scored in these images; None where it is."""
    reason = why_undefined(table, column)
    if reason is not None:
        return reason
    labels = table.labels[:, column]
    for state, word in ((1, "with"), (0, "without")):
        num = _num_patients(table, is_in & (labels == state))
        if num < MIN_PATIENTS:
            people = "1 patient" if num == 1 else f"{num} patients"
            return f"{people} {word} the finding, fewer than {MIN_PATIENTS}"
    return None


def _num_patients(table: ScoreTable, is_in: NDArray[np.bool_]) -> int:
    return len({table.patient_ids[row] for row in np.flatnonzero(is_in)})
