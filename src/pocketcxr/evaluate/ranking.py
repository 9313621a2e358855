"""How well a model ranks images: AUROC and AUPRC by finding and on average, with patient-bootstrap intervals."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr.domain.errors import UsageError
from pocketcxr.evaluate.bootstrap import (
    NUM_RESAMPLES,
    Estimate,
    estimate_each,
    estimate_mean,
    patient_weights,
)
from pocketcxr.evaluate.curves import Areas, RankedImages, areas, by_score
from pocketcxr.evaluate.scores import ScoreTable


class FindingRanking(BaseModel, frozen=True, extra="forbid"):
    """One finding's figures; `auroc` and `auprc` are None where `why_undefined` says why."""

    finding: str
    num_known: int
    """Images with a known label."""
    num_positive: int
    """Images that have the finding; `num_positive / num_known` is the AUPRC of guessing."""
    num_positive_patients: int
    auroc: Estimate | None
    auprc: Estimate | None
    why_undefined: str | None


class RankingReport(BaseModel, frozen=True, extra="forbid"):
    """A model's ranking of one cohort."""

    num_images: int
    num_patients: int
    num_resamples: int
    findings: tuple[FindingRanking, ...]
    mean_auroc: Estimate | None
    """Unweighted mean over `mean_over`."""
    mean_auprc: Estimate | None
    mean_over: tuple[str, ...]
    """The findings that have figures."""
    undefined: tuple[str, ...]
    """The findings that have none; each one's `why_undefined` says why."""


def auroc(labels: NDArray[np.floating], scores: NDArray[np.floating]) -> float | None:
    """Area under the ROC curve of one finding [n]; NaN labels are left out.

    None where the known labels are not of both classes or a score is NaN. Any monotone score will do: logits or
    probabilities.
    """
    ranked = by_score(labels, scores)
    return None if ranked is None else float(areas(ranked, np.ones((1, len(labels)))).auroc[0])


def average_precision(labels: NDArray[np.floating], scores: NDArray[np.floating]) -> float | None:
    """Area under the precision-recall curve (step-wise, as scikit-learn) of one finding [n]; None as for `auroc`."""
    ranked = by_score(labels, scores)
    return None if ranked is None else float(areas(ranked, np.ones((1, len(labels)))).auprc[0])


def mean_auroc(labels: NDArray[np.floating], scores: NDArray[np.floating]) -> float | None:
    """Mean AUROC over the findings of [n, finding] that have one; None where none has."""
    each = [auroc(labels[:, column], scores[:, column]) for column in range(labels.shape[1])]
    defined = [value for value in each if value is not None]
    return float(np.mean(defined)) if defined else None


def rank(table: ScoreTable, rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES) -> RankingReport:
    """AUROC and AUPRC of every finding and on average, each with its 95 % patient-bootstrap interval."""
    value = point_areas(table)
    (resampled,) = resampled_areas([table], rng, num_resamples)
    aurocs = estimate_each(value.auroc, resampled.auroc)
    auprcs = estimate_each(value.auprc, resampled.auprc)
    rows = []
    for column, finding in enumerate(table.findings):
        positive = table.labels[:, column] == 1
        patients = {table.patient_ids[row] for row in np.flatnonzero(positive)}
        rows.append(
            FindingRanking(
                finding=finding,
                num_known=int((~np.isnan(table.labels[:, column])).sum()),
                num_positive=int(positive.sum()),
                num_positive_patients=len(patients),
                auroc=aurocs[column],
                auprc=auprcs[column],
                why_undefined=why_undefined(table, column),
            )
        )
    return RankingReport(
        num_images=table.num_images,
        num_patients=table.num_patients,
        num_resamples=num_resamples,
        findings=tuple(rows),
        mean_auroc=estimate_mean(value.auroc, resampled.auroc),
        mean_auprc=estimate_mean(value.auprc, resampled.auprc),
        mean_over=tuple(row.finding for row in rows if row.auroc is not None),
        undefined=tuple(row.finding for row in rows if row.auroc is None),
    )


def point_areas(table: ScoreTable) -> Areas:
    """Every finding's areas [finding] on the images as they are; NaN where undefined."""
    value = _areas(_ranked(table), np.ones((1, table.num_images)))
    return Areas(value.auroc[0], value.auprc[0])


def resampled_areas(tables: Sequence[ScoreTable], rng: np.random.Generator, num_resamples: int) -> list[Areas]:
    """Each table's areas [r, finding] over the *same* resamples; the tables hold the same images in the same order.

    Raises UsageError where `num_resamples` is not positive.
    """
    if num_resamples < 1:
        raise UsageError(f"bootstrap: {num_resamples} resamples asked for; ask for at least 1 (2000 is the default)")
    ranked = [_ranked(table) for table in tables]
    blocks: list[list[Areas]] = [[] for _ in tables]
    for weights in patient_weights(tables[0].patient_ids, rng, num_resamples):
        for block, columns in zip(blocks, ranked, strict=True):
            block.append(_areas(columns, weights))
    return [
        Areas(np.concatenate([part.auroc for part in block]), np.concatenate([part.auprc for part in block]))
        for block in blocks
    ]


def why_undefined(table: ScoreTable, column: int) -> str | None:
    """Why the finding in `column` has no figures; None where it has."""
    labels = table.labels[:, column]
    if np.isnan(labels).all():
        return "no image has a known label"
    if not (labels == 1).any():
        return "no image has the finding"
    if not (labels == 0).any():
        return "no image is known to be without the finding"
    if np.isnan(table.probabilities[:, column]).any():
        return "the model never learnt the finding"
    return None


def _ranked(table: ScoreTable) -> list[RankedImages | None]:
    return [by_score(table.labels[:, c], table.probabilities[:, c]) for c in range(len(table.findings))]


def _areas(columns: Sequence[RankedImages | None], weights: NDArray[np.float64]) -> Areas:
    shape = (len(weights), len(columns))
    result = Areas(np.full(shape, np.nan), np.full(shape, np.nan))
    for index, ranked in enumerate(columns):
        if ranked is not None:
            result.auroc[:, index], result.auprc[:, index] = areas(ranked, weights)
    return result
