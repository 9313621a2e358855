"""The gate lets through what keeps the numbers, says why it refuses the rest, and ships the fastest."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketcxr.export.gate import CLEAR_LEAD, GateCohort, failures, kept, shipped
from pocketcxr.export.graph import GraphAnswers
from pocketcxr.runtime.card_calibration import Calibration, FindingCalibration, OperatingPoint
from pocketcxr.runtime.card_gate import BuildLatency, BuildMeasurement, GateLimits, Precision

NUM_IMAGES = 60
FINDINGS = ("Effusion", "Mass", "Hernia")
LINE = FindingCalibration(
    finding="Effusion",
    method="platt",
    slope=0.5,
    offset=-1.0,
    fitted_on="a test",
    fitted=datetime(2026, 1, 2, tzinfo=UTC),
    num_images=60,
    num_positives=30,
)
POINTS = tuple(
    OperatingPoint(finding=finding, threshold=0.4, criterion="youden", chosen_on="a test") for finding in FINDINGS[:2]
)


@pytest.fixture
def reference() -> GraphAnswers:
    rng = np.random.default_rng(0)
    heatmaps = rng.normal(scale=2, size=(NUM_IMAGES, 3, 4, 4)).astype(np.float32)
    return GraphAnswers(heatmaps.mean(axis=(2, 3)), heatmaps)


@pytest.fixture
def cohort(reference: GraphAnswers) -> GateCohort:
    """Two images a patient; Hernia was never learnt."""
    labels = (reference.logits + np.random.default_rng(1).normal(scale=0.3, size=(NUM_IMAGES, 3)) > 0).astype(
        np.float32
    )
    labels[:, 2] = np.nan
    return GateCohort(
        findings=FINDINGS,
        unlearnt=("Hernia",),
        image_ids=tuple(map(str, range(NUM_IMAGES))),
        patient_ids=tuple(str(row // 2) for row in range(NUM_IMAGES)),
        inputs=np.zeros((NUM_IMAGES, 1, 16, 16), np.float32),
        labels=labels,
        calibration=Calibration(findings=(LINE,), not_calibrated={"Mass": "too few", "Hernia": "never learnt"}),
        operating_points=POINTS,
    )


def moved(reference: GraphAnswers, scale: float) -> GraphAnswers:
    noise = np.random.default_rng(2).normal(scale=scale, size=reference.heatmaps.shape).astype(np.float32)
    heatmaps = reference.heatmaps + noise
    return GraphAnswers(heatmaps.mean(axis=(2, 3)), heatmaps)


def test_a_build_that_says_the_same_keeps_everything(cohort: GateCohort, reference: GraphAnswers) -> None:
    found = kept(cohort, reference, reference)
    assert found.auroc_difference is not None
    assert found.heatmap_agreement is not None
    assert (found.auroc_difference.value, found.auroc_difference.low, found.auroc_difference.high) == (0, 0, 0)
    assert (found.largest_probability_change, found.flipped_decisions) == (0, 0)
    assert found.heatmap_agreement.value == pytest.approx(1)
    assert found.ece is not None
    assert failures(found, GateLimits()) == ()


def test_a_little_noise_passes_and_much_noise_fails_for_every_reason(
    cohort: GateCohort, reference: GraphAnswers
) -> None:
    assert failures(kept(cohort, moved(reference, 0.01), reference), GateLimits()) == ()
    reasons = failures(kept(cohort, moved(reference, 10), reference), GateLimits())
    assert [reason.split()[0] for reason in reasons] == ["mean", "heatmaps", "a"]


def test_probabilities_are_the_calibrated_ones_and_never_learnt_findings_do_not_count(
    cohort: GateCohort, reference: GraphAnswers
) -> None:
    told = cohort.probabilities(reference.logits)
    np.testing.assert_allclose(told[:, 0], 1 / (1 + np.exp(1 - 0.5 * reference.logits[:, 0])), rtol=1e-6)
    assert np.isnan(told[:, 2]).all()
    logits = reference.logits.copy()
    logits[:, 2] += 100
    assert kept(cohort, GraphAnswers(logits, reference.heatmaps), reference).largest_probability_change == 0


def test_turned_decisions_are_a_share_of_images_and_operating_points(
    cohort: GateCohort, reference: GraphAnswers
) -> None:
    logits = reference.logits.copy()
    turned = int((cohort.probabilities(logits)[:, 1] < 0.4).sum())
    logits[:, 1] = 50
    assert kept(cohort, GraphAnswers(logits, reference.heatmaps), reference).flipped_decisions == pytest.approx(
        turned / (2 * NUM_IMAGES)
    )
    without = replace(cohort, operating_points=())
    assert kept(without, reference, reference).flipped_decisions is None


def test_what_cannot_be_seen_is_not_let_through(cohort: GateCohort, reference: GraphAnswers) -> None:
    unlabelled = replace(cohort, labels=np.full_like(cohort.labels, np.nan))
    constant = GraphAnswers(reference.logits, np.zeros_like(reference.heatmaps))
    assert failures(kept(unlabelled, reference, reference), GateLimits()) == (
        "no finding has an AUROC on these images, so a loss would not be seen",
    )
    assert failures(kept(cohort, constant, constant), GateLimits()) == (
        "every heatmap is constant, so their agreement is unknown",
    )


def build(precision: Precision, cost: float, passes: bool) -> BuildMeasurement:
    return BuildMeasurement(
        precision=precision,
        num_float_layers=1,
        num_layers=1,
        failures=() if passes else ("a test",),
        file_bytes=1,
        latencies=(BuildLatency(threads=1, p50_ms=cost, p95_ms=2 * cost),),
        compute_ms=cost,
        memory_mb=None,
        auroc_difference=None,
        largest_probability_change=0.0,
        flipped_decisions=None,
        heatmap_agreement=None,
        heatmap_iou=None,
        ece=None,
        opset=20,
        operators={"Conv": 1},
    )


@given(st.lists(st.tuples(st.floats(0.1, 100), st.booleans()), max_size=4), st.floats(0.1, 100))
def test_what_is_shipped_passes_and_none_that_passes_is_clearly_faster(
    others: list[tuple[float, bool]], float32: float
) -> None:
    builds = [build("fp32", float32, True), *(build("int8", cost, passes) for cost, passes in others)]
    chosen = builds[shipped(builds)]
    assert chosen.passes
    fastest = min(one.compute_ms for one in builds if one.passes)
    assert chosen.compute_ms <= (1 + CLEAR_LEAD) * fastest


def test_a_lead_within_timing_noise_does_not_cost_exactness() -> None:
    assert shipped([build("fp32", 1.0, True), build("int8", 0.97, True)]) == 0
    assert shipped([build("fp32", 1.0, True), build("int8", 0.8, True)]) == 1
    assert shipped([build("fp32", 1.0, True), build("int8", 0.8, False)]) == 0
