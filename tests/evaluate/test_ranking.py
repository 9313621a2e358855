"""The ranking report: what it counts, what it leaves out by name, and what its intervals promise."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from pocketcxr.domain.errors import UsageError
from pocketcxr.evaluate.ranking import RankingReport, auroc, rank
from pocketcxr.evaluate.scores import ScoreTable


def generator() -> np.random.Generator:
    return np.random.default_rng(11)


def test_the_report_agrees_with_scikit_learn_and_counts_images_and_patients(score_table) -> None:
    table = score_table()
    report = rank(table, generator(), 200)
    for column, row in enumerate(report.findings):
        labels, scores = table.labels[:, column], table.probabilities[:, column]
        assert row.auroc is not None
        assert row.auprc is not None
        assert row.auroc.value == pytest.approx(roc_auc_score(labels, scores))
        assert row.auprc.value == pytest.approx(average_precision_score(labels, scores))
        assert row.auroc.low < row.auroc.value < row.auroc.high
        assert row.num_positive == labels.sum()
        assert row.num_positive_patients <= min(row.num_positive, 40)
    assert report.mean_auroc is not None
    assert report.mean_auroc.value == pytest.approx(np.mean([row.auroc.value for row in report.findings if row.auroc]))
    assert (report.num_images, report.num_patients, report.num_resamples) == (120, 40, 200)


def test_the_same_generator_gives_the_same_report_and_json_keeps_it(score_table) -> None:
    report = rank(score_table(), generator(), 100)
    assert rank(score_table(), generator(), 100) == report
    assert RankingReport.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize(
    ("labels", "probability", "reason"),
    [
        (0.0, 0.5, "no image has the finding"),
        (1.0, 0.5, "no image is known to be without the finding"),
        (np.nan, 0.5, "no image has a known label"),
        (None, np.nan, "the model never learnt the finding"),
    ],
)
def test_a_finding_without_figures_is_named_with_its_reason_and_left_out_of_the_mean(
    score_table, labels: float | None, probability: float, reason: str
) -> None:
    table = score_table()
    changed_labels, probabilities = table.labels.copy(), table.probabilities.copy()
    if labels is not None:
        changed_labels[:, 2] = labels
    probabilities[:, 2] = probability
    report = rank(replace(table, labels=changed_labels, probabilities=probabilities), generator(), 60)
    assert report.undefined == ("Hernia",)
    assert report.mean_over == ("Cardiomegaly", "Effusion")
    assert report.findings[2].auroc is None
    assert report.findings[2].auprc is None
    assert report.findings[2].why_undefined == reason
    assert report.mean_auroc is not None


def test_with_no_finding_defined_there_is_no_mean(score_table) -> None:
    table = score_table()
    report = rank(replace(table, labels=np.zeros_like(table.labels)), generator(), 60)
    assert report.mean_auroc is None
    assert report.mean_over == ()


def test_resamples_without_the_one_patient_that_has_the_finding_are_dropped_and_counted(score_table) -> None:
    table = score_table(images_a_patient=1)
    labels = table.labels.copy()
    labels[:, 2] = 0
    labels[7, 2] = 1
    report = rank(replace(table, labels=labels), generator(), 1000)
    found = report.findings[2].auroc
    assert found is not None
    assert found.num_dropped / 1000 == pytest.approx((1 - 1 / 120) ** 120, abs=0.06)
    assert report.mean_auroc is not None
    assert report.mean_auroc.num_dropped == 0


def test_the_interval_is_wider_when_patients_repeat_their_images(score_table) -> None:
    once = score_table(images_a_patient=1)
    times = 4
    repeated = ScoreTable(
        once.findings,
        tuple(f"{image}-{k}" for image in once.image_ids for k in range(times)),
        tuple(patient for patient in once.patient_ids for _ in range(times)),
        once.labels.repeat(times, axis=0),
        once.probabilities.repeat(times, axis=0),
    )
    as_if_unrelated = replace(repeated, patient_ids=repeated.image_ids)
    clustered = rank(repeated, generator(), 400).mean_auroc
    naive = rank(as_if_unrelated, generator(), 400).mean_auroc
    assert clustered is not None
    assert naive is not None
    assert clustered.value == pytest.approx(naive.value)
    assert clustered.high - clustered.low > 1.6 * (naive.high - naive.low)


def test_no_resample_is_a_wrong_request(score_table) -> None:
    with pytest.raises(UsageError, match="0 resamples"):
        rank(score_table(), generator(), 0)


@pytest.mark.slow
def test_the_interval_covers_the_true_auroc_about_19_times_in_20() -> None:
    """Normal scores one standard deviation apart: AUROC = Phi(1 / sqrt(2)) = 0.7602."""
    num_covered, num_studies, num_images = 0, 300, 150
    for study in range(num_studies):
        rng = np.random.default_rng(study)
        labels = (np.arange(num_images) < 50).astype(np.float32)[:, None]
        logits = labels + rng.normal(size=labels.shape)
        ids = tuple(map(str, range(num_images)))
        table = ScoreTable(("Mass",), ids, ids, labels, (1 / (1 + np.exp(-logits))).astype(np.float32))
        found = rank(table, rng, 400).findings[0].auroc
        assert found is not None
        num_covered += found.low <= 0.7602 <= found.high
    assert 0.91 <= num_covered / num_studies <= 0.98


def test_the_loop_and_the_report_mean_the_same_auroc(score_table) -> None:
    table = score_table()
    found = rank(table, generator(), 50).findings[0].auroc
    assert found is not None
    assert auroc(table.labels[:, 0], table.probabilities[:, 0]) == pytest.approx(found.value)
