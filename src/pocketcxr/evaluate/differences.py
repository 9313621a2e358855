"""Two models on the same images: how much better one ranks, with the interval of the paired difference."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr.domain.errors import ManifestError
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES, Estimate, estimate_each, estimate_mean
from pocketcxr.evaluate.ranking import point_areas, resampled_areas
from pocketcxr.evaluate.scores import ScoreTable


class FindingDifference(BaseModel, frozen=True, extra="forbid"):
    """One finding's first minus second; None where either model has no figure."""

    finding: str
    auroc: Estimate | None
    auprc: Estimate | None


class DifferenceReport(BaseModel, frozen=True, extra="forbid"):
    """First minus second, image by image and patient by patient the same draw."""

    num_images: int
    num_patients: int
    num_resamples: int
    findings: tuple[FindingDifference, ...]
    mean_auroc: Estimate | None
    """Mean difference over `mean_over`."""
    mean_auprc: Estimate | None
    mean_over: tuple[str, ...]
    """The findings both models have figures for."""


def compare(
    first: ScoreTable, second: ScoreTable, rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES
) -> DifferenceReport:
    """`first` minus `second`, each difference with its 95 % paired patient-bootstrap interval.

    Raises ManifestError where the two did not score the same images with the same patients and labels. A finding that
    only one of the two scores is left out.
    """
    first, second = _paired(first, second)
    values = point_areas(first), point_areas(second)
    resampled = resampled_areas([first, second], rng, num_resamples)
    auroc, auroc_resampled = values[0].auroc - values[1].auroc, resampled[0].auroc - resampled[1].auroc
    auprc, auprc_resampled = values[0].auprc - values[1].auprc, resampled[0].auprc - resampled[1].auprc
    findings = tuple(
        FindingDifference(finding=finding, auroc=of_auroc, auprc=of_auprc)
        for finding, of_auroc, of_auprc in zip(
            first.findings,
            estimate_each(auroc, auroc_resampled),
            estimate_each(auprc, auprc_resampled),
            strict=True,
        )
    )
    return DifferenceReport(
        num_images=first.num_images,
        num_patients=first.num_patients,
        num_resamples=num_resamples,
        findings=findings,
        mean_auroc=estimate_mean(auroc, auroc_resampled),
        mean_auprc=estimate_mean(auprc, auprc_resampled),
        mean_over=tuple(row.finding for row in findings if row.auroc is not None),
    )


def _paired(first: ScoreTable, second: ScoreTable) -> tuple[ScoreTable, ScoreTable]:
    """Both tables with the findings they share and with the second's rows in the first's order."""
    only_first = set(first.image_ids) - set(second.image_ids)
    only_second = set(second.image_ids) - set(first.image_ids)
    if only_first or only_second:
        example = min(only_first or only_second)
        raise ManifestError(
            f"compare: the two did not score the same images ({len(only_first)} only in the first, {len(only_second)}"
            f" only in the second, for example {example!r}); evaluate both on the same manifest and split"
        )
    shared = tuple(finding for finding in first.findings if finding in second.findings)
    if not shared:
        raise ManifestError("compare: the two share no finding; evaluate both on the same manifest")
    row_of = {image: row for row, image in enumerate(second.image_ids)}
    rows = np.array([row_of[image] for image in first.image_ids])
    first, second = _select(first, shared, np.arange(first.num_images)), _select(second, shared, rows)
    if first.patient_ids != second.patient_ids or not np.array_equal(first.labels, second.labels, equal_nan=True):
        raise ManifestError(
            "compare: the two saw other patients or labels for the same images;"
            " evaluate both with the same manifest and label policy"
        )
    return first, second


def _select(table: ScoreTable, findings: tuple[str, ...], rows: NDArray[np.intp]) -> ScoreTable:
    columns = [table.findings.index(finding) for finding in findings]
    return ScoreTable(
        findings=findings,
        image_ids=tuple(table.image_ids[row] for row in rows),
        patient_ids=tuple(table.patient_ids[row] for row in rows),
        labels=table.labels[rows][:, columns],
        probabilities=table.probabilities[rows][:, columns],
    )
