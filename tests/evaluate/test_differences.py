"""Paired differences: the same patients for both, exact zero against itself, a clear error when not comparable."""

from dataclasses import replace

import numpy as np
import pytest

from pocketcxr.domain.errors import ManifestError
from pocketcxr.evaluate.differences import compare
from pocketcxr.evaluate.ranking import rank


def generator() -> np.random.Generator:
    return np.random.default_rng(3)


def shuffled(table, order):
    return replace(
        table,
        image_ids=tuple(table.image_ids[i] for i in order),
        patient_ids=tuple(table.patient_ids[i] for i in order),
        labels=table.labels[order],
        probabilities=table.probabilities[order],
    )


def test_a_model_does_not_differ_from_itself(score_table) -> None:
    report = compare(score_table(), score_table(), generator(), 100)
    assert report.mean_auroc is not None
    assert (report.mean_auroc.low, report.mean_auroc.value, report.mean_auroc.high) == (0, 0, 0)


def test_the_difference_is_that_of_the_two_reports_and_turns_its_sign_with_the_order(score_table) -> None:
    first, second = score_table(seed=1, skill=1.5), score_table(seed=2, skill=0.5)
    there, back = compare(first, second, generator(), 200), compare(second, first, generator(), 200)
    expected = rank(first, generator(), 1).mean_auroc.value - rank(second, generator(), 1).mean_auroc.value
    assert there.mean_auroc.value == pytest.approx(expected)
    assert back.mean_auroc.value == pytest.approx(-expected)
    assert back.mean_auroc.low == pytest.approx(-there.mean_auroc.high)
    assert there.mean_over == first.findings


def test_the_order_of_the_rows_does_not_matter(score_table) -> None:
    first, second = score_table(seed=1), score_table(seed=2)
    order = np.random.default_rng(0).permutation(second.num_images)
    expected = compare(first, second, generator(), 100)
    assert compare(first, shuffled(second, order), generator(), 100) == expected


def test_pairing_narrows_the_interval_of_two_models_that_err_alike(score_table) -> None:
    first = score_table(seed=1)
    nearly = replace(first, probabilities=np.clip(first.probabilities + np.float32(0.02) * first.labels, 0, 1))
    paired = compare(nearly, first, generator(), 300).mean_auroc
    alone = rank(first, generator(), 300).mean_auroc
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)
    assert paired.excludes_zero


def test_other_images_are_refused_with_an_example(score_table) -> None:
    first = score_table()
    other = replace(first, image_ids=("other.png", *first.image_ids[1:]))
    with pytest.raises(ManifestError, match=r"1 only in the first, 1 only in the second, for example '0000\.png'"):
        compare(first, other, generator(), 50)


def test_other_labels_or_patients_for_the_same_images_are_refused(score_table) -> None:
    first = score_table()
    with pytest.raises(ManifestError, match="other patients or labels"):
        compare(first, score_table(truth_seed=9), generator(), 50)
    with pytest.raises(ManifestError, match="other patients or labels"):
        compare(first, replace(first, patient_ids=first.image_ids), generator(), 50)


def test_only_findings_both_models_score_are_compared(score_table) -> None:
    first, second = score_table(seed=1), score_table(seed=2)
    probabilities = second.probabilities.copy()
    probabilities[:, 0] = np.nan
    fewer = replace(
        second, findings=second.findings[:2], labels=second.labels[:, :2], probabilities=probabilities[:, :2]
    )
    report = compare(first, fewer, generator(), 60)
    assert [row.finding for row in report.findings] == ["Cardiomegaly", "Effusion"]
    assert report.findings[0].auroc is None
    assert report.mean_over == ("Effusion",)


def test_no_shared_finding_is_refused(score_table) -> None:
    first = score_table()
    with pytest.raises(ManifestError, match="share no finding"):
        compare(first, replace(first, findings=("a", "b", "c")), generator(), 50)
