"""The export gate: what a build keeps of the float32 one, whether that is enough, and which build is shipped.

INT8 is not assumed to win: of the builds that keep the numbers the fastest is shipped, and float32 always keeps them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pocketcxr.evaluate.agreement import HeatmapSet, agreement_table
from pocketcxr.evaluate.agreement_report import AgreementEstimates, agreement_report
from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.differences import compare
from pocketcxr.evaluate.reliability import equal_mass, expected_calibration_error
from pocketcxr.evaluate.scores import ScoreTable
from pocketcxr.export.graph import GraphAnswers
from pocketcxr.runtime.card_calibration import Calibration, Interval, OperatingPoint
from pocketcxr.runtime.card_gate import BuildMeasurement, GateLimits

NUM_RESAMPLES = 1000
CLEAR_LEAD = 0.05
"""Of two builds whose times are nearer than this share, timing noise would choose: the more exact one is taken."""


@dataclass(frozen=True, eq=False)
class GateCohort:
    """The images that builds are judged on, and how their logits are told.

    inputs [n, 1, size, size], labels [n, finding] with NaN for unknown. The calibration is the float32 build's.
    """

    findings: tuple[str, ...]
    unlearnt: tuple[str, ...]
    image_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    inputs: NDArray[np.float32]
    labels: NDArray[np.float32]
    calibration: Calibration
    operating_points: tuple[OperatingPoint, ...]

    @property
    def learnt(self) -> tuple[str, ...]:
        """Findings whose outputs mean something."""
        return tuple(finding for finding in self.findings if finding not in self.unlearnt)

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """[n, finding]: calibrated where there is a calibration, NaN where never learnt."""
        lines = {line.finding: (line.slope, line.offset) for line in self.calibration.findings}
        slopes, offsets = np.array([lines.get(finding, (1.0, 0.0)) for finding in self.findings]).T
        offsets[[finding in self.unlearnt for finding in self.findings]] = np.nan
        probabilities: NDArray[np.float64] = expit(slopes * logits.astype(np.float64) + offsets)
        return probabilities


@dataclass(frozen=True)
class Kept:
    """What a build keeps of the float32 one; fields as in BuildMeasurement."""

    auroc_difference: Interval | None
    largest_probability_change: float
    flipped_decisions: float | None
    heatmap_agreement: Interval | None
    heatmap_iou: Interval | None
    ece: float | None


def kept(cohort: GateCohort, build: GraphAnswers, reference: GraphAnswers, seed: int = 0) -> Kept:
    """How the build's answers on the cohort compare with the float32 build's; the bootstrap draws by `seed`."""
    ours, theirs = cohort.probabilities(build.logits), cohort.probabilities(reference.logits)
    rng = np.random.default_rng(seed)
    ranks = compare(_scores(cohort, ours), _scores(cohort, theirs), rng, NUM_RESAMPLES)
    maps = _heatmaps(cohort, build, reference, rng)
    changes = np.abs(ours - theirs)[:, [finding in cohort.learnt for finding in cohort.findings]]
    return Kept(
        auroc_difference=_interval(ranks.mean_auroc),
        largest_probability_change=float(changes.max(initial=0.0)),
        flipped_decisions=_flipped(cohort, ours, theirs),
        heatmap_agreement=None if maps is None else _interval(maps.rank_correlation),
        heatmap_iou=None if maps is None else _interval(maps.top_25_iou),
        ece=_ece(cohort, ours),
    )


def failures(found: Kept, limits: GateLimits) -> tuple[str, ...]:
    """Every limit that the build breaks, in words; empty where it passes."""
    reasons = []
    auroc, agreement = found.auroc_difference, found.heatmap_agreement
    if auroc is None:
        reasons.append("no finding has an AUROC on these images, so a loss would not be seen")
    elif not auroc.value >= -limits.auroc_loss:
        reasons.append(f"mean AUROC changes by {auroc.value:+.4f} (at least {-limits.auroc_loss:g})")
    if agreement is None:
        reasons.append("every heatmap is constant, so their agreement is unknown")
    elif not agreement.value >= limits.heatmap_agreement:
        reasons.append(f"heatmaps agree by {agreement.value:.3f} (at least {limits.heatmap_agreement:g})")
    if not found.largest_probability_change <= limits.probability_change:  # so that NaN fails too
        change = found.largest_probability_change
        reasons.append(f"a probability changes by {change:.3f} (at most {limits.probability_change:g})")
    return tuple(reasons)


def shipped(builds: Sequence[BuildMeasurement]) -> int:
    """The place of the build to ship: of those that pass, the fastest by compute_ms; `builds` by falling exactness.

    Where others come within CLEAR_LEAD of the fastest, the first of them. Raises ValueError where none passes.
    """
    passing = {place: build.compute_ms for place, build in enumerate(builds) if build.passes}
    fastest = min(passing.values())
    return next(place for place, cost in passing.items() if cost <= (1 + CLEAR_LEAD) * fastest)


def _scores(cohort: GateCohort, probabilities: NDArray[np.float64]) -> ScoreTable:
    return ScoreTable(
        findings=cohort.findings,
        image_ids=cohort.image_ids,
        patient_ids=cohort.patient_ids,
        labels=cohort.labels,
        probabilities=probabilities.astype(np.float32),
    )


def _heatmaps(
    cohort: GateCohort, build: GraphAnswers, reference: GraphAnswers, rng: np.random.Generator
) -> AgreementEstimates | None:
    """Agreement over the learnt findings; None where there is none."""
    is_learnt = [finding in cohort.learnt for finding in cohort.findings]
    if not any(is_learnt):
        return None
    first, second = (
        HeatmapSet(cohort.learnt, cohort.image_ids, cohort.patient_ids, one.heatmaps[:, is_learnt])
        for one in (build, reference)
    )
    return agreement_report(agreement_table(first, second), rng, NUM_RESAMPLES).mean.figures


def _flipped(cohort: GateCohort, ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float | None:
    points = [(cohort.findings.index(point.finding), point.threshold) for point in cohort.operating_points]
    if not points:
        return None
    columns, thresholds = [column for column, _ in points], np.array([threshold for _, threshold in points])
    turned = (ours[:, columns] >= thresholds) != (theirs[:, columns] >= thresholds)
    return float(turned.mean())


def _ece(cohort: GateCohort, probabilities: NDArray[np.float64]) -> float | None:
    """Mean over the calibrated findings that have labels here."""
    errors = []
    for line in cohort.calibration.findings:
        column = cohort.findings.index(line.finding)
        known = ~np.isnan(cohort.labels[:, column])
        if known.any():
            told, is_present = probabilities[known, column], cohort.labels[known, column] == 1
            errors.append(expected_calibration_error(told, is_present, equal_mass(told)))
    return float(np.mean(errors)) if errors else None


def _interval(estimate: Estimate | None) -> Interval | None:
    return None if estimate is None else Interval(value=estimate.value, low=estimate.low, high=estimate.high)
