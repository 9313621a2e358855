"""Agreement of two models' heatmaps as a report, and which of two models agrees better with a third."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr.domain.errors import EmptyCohortError, ManifestError
from pocketcxr.evaluate.agreement import FIGURES, AgreementTable
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES, Estimate, estimate_each, estimate_mean
from pocketcxr.evaluate.patient_means import patient_means

Figures = NDArray[np.float64]


class AgreementEstimates(BaseModel, frozen=True, extra="forbid"):
    """The figures of agreement; None where no image defines one."""

    rank_correlation: Estimate | None
    """Spearman's rho over the cells: 1 the same order, 0 none, -1 the reverse."""
    top_10_iou: Estimate | None
    """Intersection over union of the hottest 10 % of the area."""
    top_25_iou: Estimate | None
    """Of the hottest 25 %."""
    cosine: Estimate | None
    """Of the maps as they are, signed: a common offset counts as agreement."""


class FindingAgreement(BaseModel, frozen=True, extra="forbid"):
    """One finding's agreement."""

    finding: str
    num_images: int
    num_patients: int
    num_undefined: int
    """Images left out because one of the two maps is constant; they are no disagreement."""
    figures: AgreementEstimates
    chance: AgreementEstimates
    """The same against the other model's map of another patient."""
    over_chance: AgreementEstimates
    """Figures minus chance, paired."""


class MeanAgreement(BaseModel, frozen=True, extra="forbid"):
    """Unweighted means over the findings that have figures and chance (where none has chance: that have figures)."""

    num_findings: int
    figures: AgreementEstimates
    chance: AgreementEstimates
    over_chance: AgreementEstimates


class AgreementReport(BaseModel, frozen=True, extra="forbid"):
    """Agreement of two models on one cohort."""

    grid_rows: int
    grid_columns: int
    """Of the grid the maps were compared on: with few cells the figures are coarse."""
    num_resamples: int
    findings: tuple[FindingAgreement, ...]
    mean: MeanAgreement


class FindingGain(BaseModel, frozen=True, extra="forbid"):
    """One finding's first agreement minus its second, paired."""

    finding: str
    figures: AgreementEstimates
    over_chance: AgreementEstimates
    """The gain of what is above chance. Look here first: a model whose maps look like the third's in every patient
    gains figures and nothing above chance."""


class AgreementGain(BaseModel, frozen=True, extra="forbid"):
    """How much better one model agrees with a third than another does."""

    num_resamples: int
    findings: tuple[FindingGain, ...]
    mean: AgreementEstimates
    """Unweighted means over the findings that have the figure."""
    mean_over_chance: AgreementEstimates


def agreement_report(
    table: AgreementTable, rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES
) -> AgreementReport:
    """Agreement by finding and on average with 95 % patient-bootstrap intervals, beside chance.

    A finding nobody asked for has no row. Raises EmptyCohortError where that leaves none.
    """
    columns = np.flatnonzero(table.is_asked.any(axis=0))
    if len(columns) == 0:
        raise EmptyCohortError("agreement: no image is left to compare; choose a split whose images have the findings")
    figures, chance = table.figures[:, columns], table.chance[:, columns]
    values, resampled = _means(
        np.stack([figures, chance, figures - chance], axis=1), table.patient_ids, rng, num_resamples
    )
    findings = tuple(
        _finding(table, int(column), [_estimates(values[part, place], resampled[:, part, place]) for part in range(3)])
        for place, column in enumerate(columns)
    )
    has_chance = ~np.isnan(values[2, :, 0])
    counted = has_chance if has_chance.any() else ~np.isnan(values[0, :, 0])
    means = [_mean_estimates(values[part, counted], resampled[:, part, counted]) for part in range(3)]
    rows, cells = table.grid
    return AgreementReport(
        grid_rows=rows,
        grid_columns=cells,
        num_resamples=num_resamples,
        findings=findings,
        mean=MeanAgreement(num_findings=int(counted.sum()), figures=means[0], chance=means[1], over_chance=means[2]),
    )


def agreement_gain(
    first: AgreementTable, second: AgreementTable, rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES
) -> AgreementGain:
    """`first` minus `second`, two models' agreements with the same third one, image by image.

    Raises ManifestError where the two are of other images, were compared on unlike grids or share no finding: on a
    coarser grid it is easier to agree.
    """
    if (first.image_ids, first.patient_ids) != (second.image_ids, second.patient_ids):
        raise ManifestError("agreement: the two are of different images; compute both on the same manifest and split")
    if first.grid != second.grid:
        raise ManifestError(
            f"agreement: the two were compared on grids of {first.grid} and {second.grid} cells, and the coarser is"
            " the easier; average the maps onto one grid first"
        )
    shared = tuple(finding for finding in first.findings if finding in second.findings)
    if not shared:
        raise ManifestError("agreement: the two share no finding; choose models of the same findings")
    gains = [
        np.stack([table.figures[:, columns], table.figures[:, columns] - table.chance[:, columns]], axis=1)
        for table, columns in ((table, [table.findings.index(one) for one in shared]) for table in (first, second))
    ]
    values, resampled = _means(gains[0] - gains[1], first.patient_ids, rng, num_resamples)
    return AgreementGain(
        num_resamples=num_resamples,
        findings=tuple(
            FindingGain(
                finding=finding,
                figures=_estimates(values[0, place], resampled[:, 0, place]),
                over_chance=_estimates(values[1, place], resampled[:, 1, place]),
            )
            for place, finding in enumerate(shared)
        ),
        mean=_mean_estimates(values[0], resampled[:, 0]),
        mean_over_chance=_mean_estimates(values[1], resampled[:, 1]),
    )


def _finding(table: AgreementTable, column: int, parts: Sequence[AgreementEstimates]) -> FindingAgreement:
    """parts: figures, chance, figures over chance."""
    asked = np.flatnonzero(table.is_asked[:, column])
    return FindingAgreement(
        finding=table.findings[column],
        num_images=len(asked),
        num_patients=len({table.patient_ids[row] for row in asked}),
        num_undefined=int(np.isnan(table.figures[asked, column, 0]).sum()),
        figures=parts[0],
        chance=parts[1],
        over_chance=parts[2],
    )


def _means(
    stacked: Figures, patient_ids: Sequence[str], rng: np.random.Generator, num_resamples: int
) -> tuple[Figures, Figures]:
    """Means [part, finding, figure] of [n, part, finding, figure], and resampled [r, part, finding, figure]."""
    shape = stacked.shape[1:]
    means = patient_means(stacked.reshape(len(stacked), -1), patient_ids, rng, num_resamples)
    return means.values.reshape(shape), means.resampled.reshape(-1, *shape)


def _estimates(values: Figures, resampled: Figures) -> AgreementEstimates:
    """From values [figure] and resampled [r, figure]."""
    return _named(estimate_each(values, resampled))


def _mean_estimates(values: Figures, resampled: Figures) -> AgreementEstimates:
    """Over findings, from values [finding, figure] and resampled [r, finding, figure]."""
    return _named([estimate_mean(values[:, place], resampled[:, :, place]) for place in range(len(FIGURES))])


def _named(estimates: Sequence[Estimate | None]) -> AgreementEstimates:
    rank_correlation, top_10_iou, top_25_iou, cosine = estimates
    return AgreementEstimates(
        rank_correlation=rank_correlation, top_10_iou=top_10_iou, top_25_iou=top_25_iou, cosine=cosine
    )
