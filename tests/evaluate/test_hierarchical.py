"""Figures over seeds: what they must equal, what must widen them, what they must not make up."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketcxr.domain.errors import ManifestError
from pocketcxr.evaluate.differences import compare
from pocketcxr.evaluate.hierarchical import Arm, SeededFigure, difference, gap_closed, level, resample
from pocketcxr.evaluate.ranking import rank
from pocketcxr.evaluate.scores import ScoreTable

FINDINGS = ("Effusion", "Mass", "Hernia")
NUM_IMAGES = 240
RESAMPLES = 400


def table(skill: float, seed: int, findings: tuple[str, ...] = FINDINGS) -> ScoreTable:
    """Images of 120 patients; Mass is unknown in some, Hernia in none present; more skill ranks better."""
    truth = np.random.default_rng(0)
    labels = (truth.random((NUM_IMAGES, 3)) < 0.3).astype(np.float32)
    labels[::5, 1] = np.nan
    labels[:, 2] = 0
    noise = np.random.default_rng(seed).normal(size=(NUM_IMAGES, 3))
    scores = 1 / (1 + np.exp(-(skill * np.nan_to_num(labels, nan=0.5) + noise)))
    columns = [FINDINGS.index(finding) for finding in findings]
    return ScoreTable(
        findings=findings,
        image_ids=tuple(map(str, range(NUM_IMAGES))),
        patient_ids=tuple(str(row // 2) for row in range(NUM_IMAGES)),
        labels=labels[:, columns],
        probabilities=scores.astype(np.float32)[:, columns],
    )


def arm(skills: list[float], first_seed: int = 0) -> Arm:
    return {seed: table(skill, first_seed + seed) for seed, skill in enumerate(skills)}


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def figure(of: SeededFigure | None) -> SeededFigure:
    assert of is not None
    return of


def width(of: SeededFigure | None) -> float:
    one = figure(of).estimate
    assert one.low is not None
    assert one.high is not None
    return one.high - one.low


def test_with_one_seed_it_is_the_patient_bootstrap() -> None:
    first, second = table(2.0, 1), table(1.0, 2)
    study = resample({"a": {0: first}, "b": {0: second}}, rng(), RESAMPLES)
    plain = compare(first, second, rng(), RESAMPLES)
    ours = difference(study, "a", "b")
    assert ours is not None
    assert figure(ours.mean).estimate == plain.mean_auroc
    assert [figure(ours.findings[name]).estimate for name in FINDINGS[:2]] == [row.auroc for row in plain.findings[:2]]
    assert figure(level(study, "a").mean).estimate == rank(first, rng(), RESAMPLES).mean_auroc
    assert figure(ours.mean).spread is None


def test_equal_tables_differ_by_nothing() -> None:
    study = resample({"a": arm([1.0, 2.0]), "b": arm([1.0, 2.0])}, rng(), RESAMPLES)
    report = difference(study, "a", "b")
    assert report is not None
    one = figure(report.mean)
    assert (one.estimate.value, one.estimate.low, one.estimate.high, one.spread) == (0, 0, 0, 0)


def test_the_interval_widens_with_the_spread_between_seeds() -> None:
    alike, apart = arm([1.5] * 5), arm([0.1, 0.8, 1.5, 2.2, 4.0])
    study = resample({"alike": alike, "apart": apart, "zero": arm([1.0] * 5, 50)}, rng(), RESAMPLES)
    assert figure(level(study, "apart").mean).spread > 2 * figure(level(study, "alike").mean).spread  # type: ignore[operator]
    assert width(level(study, "apart").mean) > 1.5 * width(level(study, "alike").mean)
    differences = [difference(study, name, "zero") for name in ("alike", "apart")]
    assert width(differences[1].mean) > 1.5 * width(differences[0].mean)  # type: ignore[union-attr]


def test_the_mean_is_over_seeds_and_pairs_are_by_seed() -> None:
    first, second = arm([1.0, 2.0, 3.0]), arm([0.5, 1.0, 1.5], 30)
    study = resample({"a": first, "b": second}, rng(), RESAMPLES)
    by_seed = [
        compare(first[seed], second[seed], rng(), 1).mean_auroc.value  # type: ignore[union-attr]
        for seed in range(3)
    ]
    report = difference(study, "a", "b")
    assert report is not None
    one = figure(report.mean)
    assert report.seeds == (0, 1, 2)
    assert one.by_seed == pytest.approx(by_seed)
    assert one.estimate.value == pytest.approx(np.mean(by_seed))
    assert one.spread == pytest.approx(np.std(by_seed, ddof=1))


def test_a_seed_that_only_one_has_takes_no_part() -> None:
    whole, part = arm([1.0, 2.0, 3.0]), {1: table(0.5, 40)}
    study = resample({"a": whole, "b": part}, rng(), RESAMPLES)
    report = difference(study, "a", "b")
    assert report is not None
    assert report.seeds == (1,)
    assert figure(report.mean).estimate == compare(whole[1], part[1], rng(), RESAMPLES).mean_auroc
    assert difference(resample({"a": {0: whole[0]}, "b": part}, rng(), RESAMPLES), "a", "b") is None


def test_a_shared_teacher_meets_every_seed() -> None:
    teacher = table(4.0, 90)
    arms = {"student": arm([1.0, 2.0]), "once": {None: teacher}, "copied": {0: teacher, 1: teacher}}
    study = resample(arms, rng(), RESAMPLES)
    assert difference(study, "student", "once") == difference(study, "student", "copied")
    assert level(study, "once").seeds == ()


def test_it_is_a_function_of_the_generator() -> None:
    arms = {"a": arm([1.0, 2.0]), "b": arm([0.5, 1.0], 30)}
    reports = [difference(resample(arms, np.random.default_rng(seed), 60), "a", "b") for seed in (1, 1, 2)]
    assert reports[0] == reports[1] != reports[2]


def test_a_finding_without_both_classes_or_that_was_never_learnt_has_no_figure() -> None:
    unlearnt = table(1.0, 3)
    unlearnt.probabilities[:, 0] = np.nan
    study = resample({"a": {0: table(1.0, 1), 1: unlearnt}, "b": arm([1.0, 1.0])}, rng(), 60)
    report = difference(study, "a", "b")
    assert report is not None
    assert (report.findings["Hernia"], report.findings["Effusion"]) == (None, None)
    assert report.mean_over == ("Mass",)
    assert figure(report.mean).estimate == figure(report.findings["Mass"]).estimate


def test_unknown_labels_take_no_part() -> None:
    def scored(value: float) -> ScoreTable:
        one = table(2.0, 1)
        probabilities: NDArray[np.float32] = one.probabilities.copy()
        probabilities[np.isnan(one.labels)] = value
        return ScoreTable(one.findings, one.image_ids, one.patient_ids, one.labels, probabilities)

    assert level(resample({"a": {0: scored(0.0)}}, rng(), 60), "a") == level(
        resample({"a": {0: scored(1.0)}}, rng(), 60), "a"
    )


def test_who_is_as_good_as_the_teacher_closed_the_gap_and_who_is_like_alone_did_not() -> None:
    arms = {"alone": arm([0.3, 0.4]), "same": arm([0.3, 0.4]), "teacher": {None: table(3.0, 60)}}
    study = resample({**arms, "copy": {0: table(3.0, 60), 1: table(3.0, 60)}}, rng(), RESAMPLES)
    closed, open_ = (gap_closed(study, name, "alone", "teacher") for name in ("copy", "same"))
    assert closed is not None
    assert closed.mean is not None
    assert (closed.mean.value, closed.mean.low, closed.mean.high) == pytest.approx((1, 1, 1))
    assert open_ is not None
    assert open_.mean is not None
    assert open_.mean.value == 0
    assert closed.findings["Hernia"] is None


@pytest.mark.parametrize("teacher", [0.31, -2.0], ids=["no better", "worse"])
def test_without_a_sure_gap_there_is_no_share_of_it(teacher: float) -> None:
    arms: dict[str, Arm] = {
        "alone": arm([0.3, 0.3]),
        "student": arm([1.0, 1.0], 9),
        "teacher": {None: table(teacher, 79)},
    }
    report = gap_closed(resample(arms, rng(), RESAMPLES), "student", "alone", "teacher")
    assert report is not None
    assert report.mean is None
    assert report.mean_over == FINDINGS[:2]


def _other_patients(one: ScoreTable) -> ScoreTable:
    return ScoreTable(one.findings, one.image_ids, one.image_ids, one.labels, one.probabilities)


def _other_labels(one: ScoreTable) -> ScoreTable:
    return ScoreTable(one.findings, one.image_ids, one.patient_ids, 1 - one.labels, one.probabilities)


@pytest.mark.parametrize(
    ("change", "message"), [(_other_patients, "other images"), (_other_labels, "other labels of Effusion")]
)
def test_what_was_not_tested_alike_is_not_compared(change: Callable[[ScoreTable], ScoreTable], message: str) -> None:
    one = table(1.0, 1)
    with pytest.raises(ManifestError, match=message):
        resample({"a": {0: one}, "b": {0: change(one)}}, rng(), 10)


def test_findings_need_not_be_the_same_nor_in_the_same_order() -> None:
    arms: dict[str, Arm] = {"a": {0: table(2.0, 1)}, "b": {0: table(1.0, 2, ("Mass", "Effusion"))}}
    study = resample(arms, rng(), 60)
    swapped = resample({**arms, "b": {0: table(1.0, 2, ("Effusion", "Mass"))}}, rng(), 60)
    assert difference(study, "a", "b") == difference(swapped, "a", "b")
