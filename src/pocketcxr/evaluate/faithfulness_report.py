"""Faithfulness by finding and on average, with patient-bootstrap intervals, beside a random and a fixed map."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES, Estimate, estimate_each, estimate_mean
from pocketcxr.evaluate.faithfulness_pairs import (
    HIGHER_IS_BETTER,
    METRICS,
    ROLES,
    FaithfulnessScores,
    FaithfulnessSettings,
    Metric,
    Role,
)
from pocketcxr.evaluate.patient_means import patient_means


class MetricFigures(BaseModel, frozen=True, extra="forbid"):
    """One metric; an Estimate is None where no image defines it (never learnt, not asked for)."""

    metric: Metric
    is_higher_better: bool
    num_undefined: int
    """Images left out: the model never learnt the finding, or nothing that was removed had an effect."""
    heatmap: Estimate | None
    random: Estimate | None
    """Of the same heatmaps with their cells shuffled."""
    fixed: Estimate | None
    """Of one map for all images."""
    over_random: Estimate | None
    """`heatmap` minus `random`, image by image; where lower is better, below zero is good."""
    over_fixed: Estimate | None
    """`heatmap` minus `fixed`, image by image."""


class MeanCurves(BaseModel, frozen=True, extra="forbid"):
    """Mean probabilities of one kind of map over the images of a finding that the model learnt."""

    role: Role
    deletion: tuple[float, ...]
    """By share deleted, 0 to 1 in equal steps."""
    insertion: tuple[float, ...]
    """By share inserted, 0 to 1 in equal steps."""
    road_most: tuple[float, ...]
    """Without the most salient share of the pixels, by `settings.road_fractions`."""
    road_least: tuple[float, ...]
    """Without the least salient share."""


class FindingFaithfulness(BaseModel, frozen=True, extra="forbid"):
    """One finding's figures."""

    finding: str
    num_images: int
    num_patients: int
    fixed_map: Literal["mean heatmap", "centre blob"]
    metrics: tuple[MetricFigures, ...]
    curves: tuple[MeanCurves, ...]
    """Empty where the model never learnt the finding."""


class FaithfulnessReport(BaseModel, frozen=True, extra="forbid"):
    """Faithfulness of one model and method on one cohort."""

    settings: FaithfulnessSettings
    seed: int
    num_resamples: int
    num_images: int
    """Pairs of image and finding."""
    num_patients: int
    findings: tuple[FindingFaithfulness, ...]
    mean: tuple[MetricFigures, ...]
    """Unweighted means over the findings."""


class MetricDifference(BaseModel, frozen=True, extra="forbid"):
    """First minus second; None where no image defines it for both."""

    metric: Metric
    is_higher_better: bool
    difference: Estimate | None


class FindingFaithfulnessDifference(BaseModel, frozen=True, extra="forbid"):
    """One finding's differences."""

    finding: str
    metrics: tuple[MetricDifference, ...]


class FaithfulnessComparison(BaseModel, frozen=True, extra="forbid"):
    """Two methods, or two engines, on the same images."""

    num_images: int
    num_patients: int
    num_resamples: int
    findings: tuple[FindingFaithfulnessDifference, ...]
    mean: tuple[MetricDifference, ...]


def report_faithfulness(
    scores: FaithfulnessScores, rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES
) -> FaithfulnessReport:
    """All figures with 95 % intervals from drawing patients, each with all of their images and findings."""
    heatmap, random, fixed = (scores.values[:, role] for role in range(len(ROLES)))
    columns = np.concatenate([heatmap, random, fixed, heatmap - random, heatmap - fixed], axis=1)
    values, resampled = _means(columns, scores, rng, num_resamples)
    means = [estimate_mean(values[:, k], resampled[:, :, k]) for k in range(columns.shape[1])]
    return FaithfulnessReport(
        settings=scores.settings,
        seed=scores.seed,
        num_resamples=num_resamples,
        num_images=len(scores.findings),
        num_patients=len(set(scores.patient_ids)),
        findings=tuple(
            _of_finding(scores, finding, estimate_each(values[i], resampled[:, i]))
            for i, finding in enumerate(_in_order(scores.findings))
        ),
        mean=_figures(means, scores.values),
    )


def compare_faithfulness(
    first: FaithfulnessScores,
    second: FaithfulnessScores,
    rng: np.random.Generator,
    num_resamples: int = NUM_RESAMPLES,
) -> FaithfulnessComparison:
    """`first` minus `second` of the judged heatmaps, paired: image by image and patient by patient the same draw.

    Raises ManifestError where they did not measure the same images, findings and settings.
    """
    rows = _rows_of_second(first, second)
    differences = first.values[:, 0] - second.values[rows, 0]
    values, resampled = _means(differences, first, rng, num_resamples)
    means = [estimate_mean(values[:, k], resampled[:, :, k]) for k in range(len(METRICS))]
    return FaithfulnessComparison(
        num_images=len(first.findings),
        num_patients=len(set(first.patient_ids)),
        num_resamples=num_resamples,
        findings=tuple(
            FindingFaithfulnessDifference(
                finding=finding, metrics=_differences(estimate_each(values[i], resampled[:, i]))
            )
            for i, finding in enumerate(_in_order(first.findings))
        ),
        mean=_differences(means),
    )


def _means(
    figures: NDArray[np.float64], scores: FaithfulnessScores, rng: np.random.Generator, num_resamples: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means by finding [finding, k] of the figures [pair, k], and the same in every resample [r, finding, k]."""
    findings = np.array(_in_order(scores.findings))
    is_of = np.array(scores.findings)[:, None] == findings
    by_finding = np.where(is_of[:, :, None], figures[:, None], np.nan)
    means = patient_means(by_finding.reshape(len(figures), -1), scores.patient_ids, rng, num_resamples)
    shape = by_finding.shape[1:]
    return means.values.reshape(shape), means.resampled.reshape(-1, *shape)


def _of_finding(scores: FaithfulnessScores, finding: str, estimates: Sequence[Estimate | None]) -> FindingFaithfulness:
    rows = np.flatnonzero(np.array(scores.findings) == finding)
    return FindingFaithfulness(
        finding=finding,
        num_images=len(rows),
        num_patients=len({scores.patient_ids[row] for row in rows}),
        fixed_map="mean heatmap" if scores.has_mean_map[rows[0]] else "centre blob",
        metrics=_figures(estimates, scores.values[rows]),
        curves=_curves(scores, rows),
    )


def _figures(estimates: Sequence[Estimate | None], values: NDArray[np.float64]) -> tuple[MetricFigures, ...]:
    """`estimates` in the order heatmap, random, fixed, over random, over fixed, the metrics of each together."""
    undefined = np.isnan(values[:, 0]).sum(axis=0)
    count = len(METRICS)
    return tuple(
        MetricFigures(
            metric=metric,
            is_higher_better=metric in HIGHER_IS_BETTER,
            num_undefined=int(undefined[k]),
            heatmap=estimates[k],
            random=estimates[count + k],
            fixed=estimates[2 * count + k],
            over_random=estimates[3 * count + k],
            over_fixed=estimates[4 * count + k],
        )
        for k, metric in enumerate(METRICS)
    )


def _curves(scores: FaithfulnessScores, rows: NDArray[np.intp]) -> tuple[MeanCurves, ...]:
    learnt = rows[~np.isnan(scores.curves[rows, 0, 0, 0])]
    if not len(learnt):
        return ()
    curves, road_curves = scores.curves[learnt].mean(axis=0), scores.road_curves[learnt].mean(axis=0)
    return tuple(
        MeanCurves(
            role=role,
            deletion=tuple(curves[k, 0].tolist()),
            insertion=tuple(curves[k, 1].tolist()),
            road_most=tuple(road_curves[k, 0].tolist()),
            road_least=tuple(road_curves[k, 1].tolist()),
        )
        for k, role in enumerate(ROLES)
    )


def _differences(estimates: Sequence[Estimate | None]) -> tuple[MetricDifference, ...]:
    return tuple(
        MetricDifference(metric=metric, is_higher_better=metric in HIGHER_IS_BETTER, difference=estimates[k])
        for k, metric in enumerate(METRICS)
    )


def _rows_of_second(first: FaithfulnessScores, second: FaithfulnessScores) -> NDArray[np.intp]:
    """Where `second` holds the pairs of `first`, in that order."""
    if (first.settings, first.seed) != (second.settings, second.seed):
        raise ManifestError("faithfulness: the two were measured with other settings or seeds; measure both alike")
    pairs = [tuple(zip(one.image_ids, one.patient_ids, one.findings, strict=True)) for one in (first, second)]
    row_of = {pair: row for row, pair in enumerate(pairs[1])}
    alone = set(pairs[0]) ^ set(pairs[1])
    if alone:
        image_id, _, finding = min(alone)
        raise ManifestError(
            f"faithfulness: {len(alone)} pairs of image and finding were measured in one of the two only (for example"
            f" {finding} in {image_id}); measure both methods on the same images"
        )
    return np.array([row_of[pair] for pair in pairs[0]])


def _in_order(findings: Sequence[str]) -> list[str]:
    """The findings there are, as the glossary sorts them, unknown ones by name at the end."""
    known = [finding for finding in CHESTXRAY14 if finding in findings]
    return [*known, *sorted(set(findings) - set(CHESTXRAY14))]
