"""What a recipe achieves, not one run of it: figures over several training seeds, with patients and seeds resampled.

Two things are luck: which patients were in the test set, and which seed weights and batches began from. Both are drawn
again, with replacement and independently, since every seed's model meets every patient (the pigeonhole bootstrap, Owen,
Ann. Appl. Stat. 2007; resampling at two levels: Davison and Hinkley, Bootstrap Methods and their Application, 1997,
section 3.8; Saravanan et al., Neurons Behav. Data Anal. Theory 2020, arXiv 2007.07797). Two arms that are compared meet
the same drawn patients and the same drawn seeds. What that leaves out: docs/how-to/compare.md.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr.domain.errors import ManifestError
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES, Estimate, estimate, estimate_each, resampled_mean
from pocketcxr.evaluate.ranking import point_areas
from pocketcxr.evaluate.resampled_auroc import Counts, draw_counts, resampled_auroc
from pocketcxr.evaluate.scores import ScoreTable

Seed = int | None
"""None: one model, whatever the seed of the others (a teacher that all share)."""
Arm = Mapping[Seed, ScoreTable]
"""One recipe's scores of the same images by training seed."""


class SeededFigure(BaseModel, frozen=True, extra="forbid"):
    """A mean over seeds."""

    estimate: Estimate
    """Its interval holds patients and seeds."""
    by_seed: tuple[float, ...]
    spread: float | None
    """Standard deviation between seeds (n - 1); None with one seed."""


class SeededReport(BaseModel, frozen=True, extra="forbid"):
    """AUROC of one arm, or the difference of two, by finding and on average."""

    seeds: tuple[int, ...]
    """Those the figures are over; empty for one model that all seeds share."""
    findings: dict[str, SeededFigure | None]
    """None where not every seed has a figure."""
    mean: SeededFigure | None
    mean_over: tuple[str, ...]
    """The findings that have figures."""


class GapReport(BaseModel, frozen=True, extra="forbid"):
    """(student - alone) / (teacher - alone): 1 is as good as the teacher, 0 no better than alone."""

    findings: dict[str, Estimate | None]
    mean: Estimate | None
    """Ratio of the mean differences. None where the gap is not surely above zero: a share of nothing says nothing."""
    mean_over: tuple[str, ...]
    """The findings that all three have figures for."""


@dataclass(frozen=True, eq=False)
class ResampledArm:
    """AUROC of one arm: `values` [seed, finding], `resampled` [seed, resample, finding]; NaN where undefined."""

    seeds: tuple[Seed, ...]
    values: NDArray[np.float64]
    resampled: NDArray[np.float64]

    def at(self, seeds: tuple[Seed, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`values` and `resampled` of these seeds; the one model where all share it."""
        rows = [0 if self.seeds == (None,) else self.seeds.index(seed) for seed in seeds]
        return self.values[rows], self.resampled[rows]


@dataclass(frozen=True, eq=False)
class Study:
    """Arms that scored the same images, in the same resamples of patients."""

    findings: tuple[str, ...]
    arms: Mapping[str, ResampledArm]
    num_images: int
    num_patients: int
    num_resamples: int
    draw: int
    """Chooses the seeds that are drawn, alike for all that have as many."""


def resample(arms: Mapping[str, Arm], rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES) -> Study:
    """Every arm in the same resamples of patients; a finding that a table lacks has no figures there.

    Raises ManifestError where two tables hold other images, patients or labels.
    """
    tables = [table for arm in arms.values() for table in arm.values()]
    if not tables:
        raise ManifestError("comparing: there is no model; give at least one arm with scores")
    findings = tuple(dict.fromkeys(finding for table in tables for finding in table.findings))
    for table in tables[1:]:
        _check_same(tables[0], table)
    counts = draw_counts(tables[0].patient_ids, rng, num_resamples)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        drawn = iter(list(pool.map(lambda table: _resampled(table, findings, counts), tables)))
    resampled = {
        name: ResampledArm(
            seeds=tuple(arm),
            values=np.stack([_values(table, findings) for table in arm.values()]),
            resampled=np.stack([next(drawn) for _ in arm]),
        )
        for name, arm in arms.items()
    }
    first = tables[0]
    return Study(findings, resampled, first.num_images, first.num_patients, num_resamples, int(rng.integers(2**62)))


def level(study: Study, name: str) -> SeededReport:
    """AUROC of the arm, mean over its seeds."""
    arm = study.arms[name]
    return _report(study, arm.seeds, arm.values, arm.resampled)


def difference(study: Study, first: str, second: str) -> SeededReport | None:
    """`first` minus `second`, pair by pair over the seeds both have; None where they share none."""
    seeds = _shared_seeds(study, first, second)
    if not seeds:
        return None
    (values, resampled), (minus, resampled_minus) = (study.arms[name].at(seeds) for name in (first, second))
    return _report(study, seeds, values - minus, resampled - resampled_minus)


def gap_closed(study: Study, student: str, alone: str, teacher: str) -> GapReport | None:
    """The share of the gap between teacher and student alone that the student closed; None where they share no seed.

    The interval is the percentile interval of the resampled ratio.
    """
    seeds = _shared_seeds(study, student, alone, teacher)
    if not seeds:
        return None
    shares = _shares(study, len(seeds))
    taught, by_itself, teaching = (study.arms[name].at(seeds) for name in (student, alone, teacher))
    gain = (taught[0] - by_itself[0]).mean(axis=0)
    gap = (teaching[0] - by_itself[0]).mean(axis=0)
    gains = _over_seeds(taught[1] - by_itself[1], shares)
    gaps = _over_seeds(teaching[1] - by_itself[1], shares)
    # The mean is over what all three have.
    defined = ~np.isnan(gain) & ~np.isnan(gap)
    mean_gain, mean_gap = (np.where(defined, values, np.nan) for values in (gain, gap))
    return GapReport(
        findings={
            finding: _ratio((gain[column], gains[:, column]), (gap[column], gaps[:, column]))
            for column, finding in enumerate(study.findings)
        },
        mean=_ratio(_mean_with_resamples(mean_gain, gains), _mean_with_resamples(mean_gap, gaps)),
        mean_over=tuple(finding for finding, is_in in zip(study.findings, defined, strict=True) if is_in),
    )


def _report(
    study: Study, seeds: tuple[Seed, ...], values: NDArray[np.float64], resampled: NDArray[np.float64]
) -> SeededReport:
    """The report of `values` [seed, finding] and `resampled` [seed, resample, finding]."""
    means = values.mean(axis=0)
    drawn = _over_seeds(resampled, _shares(study, len(seeds)))
    estimates = estimate_each(means, drawn)
    defined = ~np.isnan(means)
    mean, of_mean = _mean_with_resamples(means, drawn)
    return SeededReport(
        seeds=tuple(seed for seed in seeds if seed is not None),
        findings={
            finding: None if one is None else _figure(one, values[:, column])
            for column, (finding, one) in enumerate(zip(study.findings, estimates, strict=True))
        },
        mean=_figure(estimate(mean, of_mean), values[:, defined].mean(axis=1)) if defined.any() else None,
        mean_over=tuple(finding for finding, is_in in zip(study.findings, defined, strict=True) if is_in),
    )


def _figure(one: Estimate, by_seed: NDArray[np.float64]) -> SeededFigure:
    spread = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None
    return SeededFigure(estimate=one, by_seed=tuple(by_seed.tolist()), spread=spread)


def _ratio(gain: tuple[float, NDArray[np.float64]], gap: tuple[float, NDArray[np.float64]]) -> Estimate | None:
    if np.isnan(gain[0]) or np.isnan(gap[0]):
        return None
    whole = estimate(float(gap[0]), gap[1])
    if whole.low is None or whole.low <= 0:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = gain[1] / gap[1]
    return estimate(float(gain[0] / gap[0]), np.where(np.isfinite(ratios), ratios, np.nan))


def _mean_with_resamples(
    values: NDArray[np.float64], resampled: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """The mean over the defined `values` [finding], NaN where none is, and in every resample."""
    mean = resampled_mean(values, resampled)
    if mean is None:
        return float("nan"), np.full(len(resampled), np.nan)
    return float(values[~np.isnan(values)].mean()), mean


def _shares(study: Study, num_seeds: int) -> NDArray[np.float64]:
    """[resample, seed]: the share each seed has when as many are drawn as there are; rows sum to 1."""
    drawn = np.random.default_rng(study.draw).integers(num_seeds, size=(study.num_resamples, num_seeds))
    shares: NDArray[np.float64] = (drawn[:, :, None] == np.arange(num_seeds)).mean(axis=1)
    return shares


def _over_seeds(resampled: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """[resample, finding]: the mean over the drawn seeds. NaN times 0 stays NaN: labels decide what is undefined."""
    means: NDArray[np.float64] = np.einsum("rs,srf->rf", shares, resampled)
    return means


def _shared_seeds(study: Study, *names: str) -> tuple[Seed, ...]:
    """The seeds all of these arms have, in the first one's order; (None,) where each is one model."""
    known = [study.arms[name].seeds for name in names if study.arms[name].seeds != (None,)]
    return tuple(seed for seed in known[0] if all(seed in other for other in known)) if known else (None,)


def _values(table: ScoreTable, findings: tuple[str, ...]) -> NDArray[np.float64]:
    values = np.full(len(findings), np.nan)
    values[[findings.index(finding) for finding in table.findings]] = point_areas(table).auroc
    return values


def _resampled(table: ScoreTable, findings: tuple[str, ...], counts: Counts) -> NDArray[np.float64]:
    resampled = np.full((counts.shape[1], len(findings)), np.nan)
    for column, finding in enumerate(table.findings):
        areas = resampled_auroc(table.labels[:, column], table.probabilities[:, column], counts)
        if areas is not None:
            resampled[:, findings.index(finding)] = areas
    return resampled


def _check_same(first: ScoreTable, other: ScoreTable) -> None:
    if first.image_ids != other.image_ids or first.patient_ids != other.patient_ids:
        raise ManifestError(
            f"comparing: two models scored other images ({first.num_images} and {other.num_images}) or in another"
            " order; score all on the same manifest and split"
        )
    for column, finding in enumerate(first.findings):
        if finding in other.findings and not np.array_equal(
            first.labels[:, column], other.labels[:, other.findings.index(finding)], equal_nan=True
        ):
            raise ManifestError(
                f"comparing: two models were tested on other labels of {finding}; give all the same labels policy"
            )
