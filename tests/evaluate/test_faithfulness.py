"""Faithfulness of a cohort: true maps beat random and fixed ones, costs are as stated, unknown stays unknown."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from pocketcxr.domain.errors import EmptyCohortError, ManifestError
from pocketcxr.evaluate.faithfulness import FaithfulnessTask, measure_faithfulness
from pocketcxr.evaluate.faithfulness_pairs import (
    METRICS,
    FaithfulnessSample,
    FaithfulnessScores,
    FaithfulnessSettings,
    centre_blob,
    mean_heatmaps,
)
from pocketcxr.evaluate.faithfulness_report import compare_faithfulness, report_faithfulness

SIDE = 16
FINDINGS = ("Mass", "Nodule", "Hernia")
QUICK = FaithfulnessSettings(num_steps=6, road_fractions=(0.2, 0.5), num_squares=20, num_nearby=3)
PLACES = {"Mass": (3, 4), "Nodule": (10, 9)}


def predict(images: np.ndarray) -> np.ndarray:
    """Mass and nodule: how bright their place is against its surroundings. Hernia was never learnt."""
    columns = []
    for row, column in PLACES.values():
        spot = images[:, 0, row - 1 : row + 2, column - 1 : column + 2].mean(axis=(1, 2))
        columns.append(1 / (1 + np.exp(-4 * (spot - images[:, 0].mean(axis=(1, 2))))))
    columns.append(np.full(len(images), np.nan))
    return np.stack(columns, axis=1).astype(np.float32)


def true_map(finding: str) -> np.ndarray:
    row, column = PLACES.get(finding, (0, 0))
    offset = np.arange(SIDE)
    return np.exp(-np.hypot(offset[:, None] - row, offset - column) / 2).astype(np.float32)


def samples(count: int = 8, findings: tuple[str, ...] = FINDINGS, maps: str = "true") -> list[FaithfulnessSample]:
    made = []
    for number in range(count):
        rng = np.random.default_rng(number)
        image = 0.2 * rng.normal(size=(1, SIDE, SIDE)).astype(np.float32)
        for row, column in PLACES.values():
            image[0, row - 1 : row + 2, column - 1 : column + 2] += 1
        for finding in findings:
            noise = rng.normal(size=(SIDE, SIDE)).astype(np.float32)
            heatmap = {"true": true_map(finding), "noise": noise, "inverted": -true_map(finding)}[maps]
            made.append(
                FaithfulnessSample(
                    f"{number}.png", f"patient-{number // 2}", finding, FINDINGS.index(finding), image, heatmap
                )
            )
    return made


@pytest.fixture(scope="module")
def true_scores() -> FaithfulnessScores:
    return measure_faithfulness(FaithfulnessTask(predict, settings=QUICK), samples())


def test_a_true_map_beats_its_shuffled_self_and_the_centre_in_every_metric(true_scores: FaithfulnessScores) -> None:
    report = report_faithfulness(true_scores, np.random.default_rng(0), num_resamples=200)
    assert [one.finding for one in report.findings] == ["Mass", "Nodule", "Hernia"]
    for figures in (report.findings[0].metrics, report.findings[1].metrics, report.mean):
        for one in figures[:4]:
            sign = 1 if one.is_higher_better else -1
            assert one.over_random is not None
            assert one.over_fixed is not None
            assert one.heatmap is not None
            assert one.random is not None
            assert one.over_random.value == pytest.approx(one.heatmap.value - one.random.value, abs=1e-9)
            assert sign * one.over_random.value > 0, one.metric
            assert one.over_random.excludes_zero, one.metric
            assert sign * one.over_fixed.value > 0, one.metric


def test_a_finding_never_learnt_has_no_figures_and_costs_nothing_in_the_mean(true_scores: FaithfulnessScores) -> None:
    report = report_faithfulness(true_scores, np.random.default_rng(0), num_resamples=60)
    hernia = report.findings[2]
    assert all(one.heatmap is None and one.over_random is None for one in hernia.metrics)
    assert {one.num_undefined for one in hernia.metrics} == {8}
    assert hernia.curves == ()
    learnt = [one.metrics[0].heatmap for one in report.findings[:2]]
    assert report.mean[0].heatmap is not None
    assert report.mean[0].heatmap.value == pytest.approx(np.mean([one.value for one in learnt if one is not None]))
    # And max-sensitivity, which nobody asked for, is no zero.
    assert report.mean[-1].heatmap is None


def test_a_random_map_is_about_the_random_baseline() -> None:
    scores = measure_faithfulness(
        FaithfulnessTask(predict, settings=QUICK), samples(24, findings=("Mass",), maps="noise")
    )
    report = report_faithfulness(scores, np.random.default_rng(0), num_resamples=400)
    for one in report.mean[:4]:
        assert one.over_random is not None
        assert abs(one.over_random.value) < 0.05


def test_the_mean_curves_start_and_end_where_image_and_blur_are(true_scores: FaithfulnessScores) -> None:
    report = report_faithfulness(true_scores, np.random.default_rng(0), num_resamples=60)
    heatmap, random, fixed = report.findings[0].curves
    assert (heatmap.role, random.role, fixed.role) == ("heatmap", "random", "fixed")
    for one in (heatmap, random, fixed):
        assert one.deletion[0] == one.insertion[-1] == pytest.approx(heatmap.deletion[0])
        assert one.deletion[-1] == one.insertion[0] == pytest.approx(heatmap.deletion[-1])
        assert len(one.deletion) == QUICK.num_steps + 1
        assert len(one.road_most) == len(one.road_least) == 2


def test_the_cost_is_what_the_settings_say() -> None:
    asked, explained = [], []

    def counting(images: np.ndarray) -> np.ndarray:
        asked.append(len(images))
        return predict(images)

    def explain(images: np.ndarray, columns: list[int]) -> np.ndarray:
        explained.append(len(images))
        return images

    measure_faithfulness(FaithfulnessTask(counting, explain, settings=QUICK), samples(1, findings=("Mass",)))
    cost = QUICK.passes()
    assert sum(explained) == cost.pop("explanations")
    assert sum(asked) == sum(cost.values())
    assert max(asked) <= 32


def test_one_image_is_held_at_a_time() -> None:
    waiting = 0

    def one_by_one() -> Iterator[FaithfulnessSample]:
        nonlocal waiting
        for sample in samples(3, findings=("Mass",)):
            assert waiting == 0
            waiting += 1
            yield sample
            waiting -= 1

    scores = measure_faithfulness(FaithfulnessTask(predict, settings=QUICK), one_by_one())
    assert scores.values.shape == (3, 3, len(METRICS))


def test_draws_belong_to_the_pair_not_to_its_place(true_scores: FaithfulnessScores) -> None:
    task = FaithfulnessTask(predict, settings=QUICK)
    backwards = measure_faithfulness(task, samples()[::-1])
    np.testing.assert_array_equal(backwards.values[::-1], true_scores.values)
    other = measure_faithfulness(replace(task, seed=1), samples(2))
    assert not np.array_equal(other.values[:2, 1], true_scores.values[:2, 1])


def test_unit_and_offset_of_a_heatmap_change_nothing(true_scores: FaithfulnessScores) -> None:
    scaled = [replace(one, heatmap=4 * one.heatmap - 8) for one in samples()]
    scores = measure_faithfulness(FaithfulnessTask(predict, settings=QUICK), scaled)
    np.testing.assert_allclose(scores.values, true_scores.values, atol=1e-4)


def test_max_sensitivity_is_zero_for_a_method_that_never_changes_and_positive_for_one_that_does() -> None:
    def fixed(images: np.ndarray, columns: list[int]) -> np.ndarray:
        return np.ones((len(images), len(columns), 4, 4), np.float32)

    def nervous(images: np.ndarray, columns: list[int]) -> np.ndarray:
        return np.sign(images).repeat(len(columns), axis=1)

    of = {}
    for name, explain in (("fixed", fixed), ("nervous", nervous)):
        scores = measure_faithfulness(
            FaithfulnessTask(predict, explain, settings=QUICK), samples(2, findings=("Mass",))
        )
        of[name] = scores.values[:, 0, METRICS.index("max_sensitivity")]
    assert (of["fixed"] == 0).all()
    assert (of["nervous"] > 0).all()


def test_the_fixed_map_is_the_mean_heatmap_where_there_is_one_and_says_so() -> None:
    pairs = samples(2, findings=("Mass", "Nodule"))
    means = mean_heatmaps(pair for pair in pairs if pair.finding == "Mass")
    np.testing.assert_allclose(means["Mass"], true_map("Mass"), rtol=1e-6)
    scores = measure_faithfulness(FaithfulnessTask(predict, fixed_maps=means, settings=QUICK), pairs)
    report = report_faithfulness(scores, np.random.default_rng(0), num_resamples=60)
    assert [one.fixed_map for one in report.findings] == ["mean heatmap", "centre blob"]
    # Here every heatmap of a finding is the same, so its mean is it.
    mass = scores.values[[finding == "Mass" for finding in scores.findings]]
    np.testing.assert_allclose(mass[:, 0], mass[:, 2])


def test_the_mean_of_maps_on_two_grids_is_refused() -> None:
    first = samples(1, findings=("Mass",))[0]
    with pytest.raises(ManifestError, match="one method and model input"):
        mean_heatmaps([first, replace(first, heatmap=np.zeros((4, 4), np.float32))])


def test_the_centre_blob_falls_from_the_middle() -> None:
    blob = centre_blob(5)
    assert blob[2, 2] == blob.max() == pytest.approx(1)
    assert (np.diff(blob[2, 2:]) < 0).all()
    np.testing.assert_allclose(blob, blob[::-1, ::-1].T)


def test_two_methods_are_compared_on_the_same_images_and_patients(true_scores: FaithfulnessScores) -> None:
    inverted = measure_faithfulness(FaithfulnessTask(predict, settings=QUICK), samples(maps="inverted")[::-1])
    comparison = compare_faithfulness(true_scores, inverted, np.random.default_rng(0), num_resamples=200)
    for one in comparison.mean[:4]:
        assert one.difference is not None
        assert (one.difference.value > 0) == one.is_higher_better
        assert one.difference.excludes_zero
    assert all(one.difference is None for one in comparison.findings[2].metrics)
    same = compare_faithfulness(true_scores, true_scores, np.random.default_rng(0), num_resamples=60)
    assert same.mean[0].difference is not None
    assert same.mean[0].difference.value == same.mean[0].difference.high == 0


def test_other_images_or_settings_are_not_compared(true_scores: FaithfulnessScores) -> None:
    fewer = measure_faithfulness(FaithfulnessTask(predict, settings=QUICK), samples(7))
    with pytest.raises(ManifestError, match=r"3 pairs .* 7\.png"):
        compare_faithfulness(true_scores, fewer, np.random.default_rng(0))
    with pytest.raises(ManifestError, match="other settings or seeds"):
        compare_faithfulness(true_scores, replace(true_scores, seed=3), np.random.default_rng(0))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_heatmap_that_is_not_finite_is_refused_by_name(bad: float) -> None:
    with pytest.raises(ManifestError, match=r"Mass in 0\.png.*NaN or infinity"):
        replace(samples(1)[0], heatmap=np.array([[0, bad]], np.float32))


def test_shapes_that_do_not_fit_are_refused_by_name() -> None:
    first = samples(1)[0]
    with pytest.raises(ManifestError, match=r"Mass in 0\.png: the image is \(1, 16, 15\)"):
        replace(first, image=first.image[:, :, 1:])
    with pytest.raises(ManifestError, match=r"Mass in 0\.png: the heatmap is \(1, 16, 16\)"):
        replace(first, heatmap=first.heatmap[None])


def test_no_image_at_all_is_an_empty_cohort() -> None:
    with pytest.raises(EmptyCohortError, match="no image to explain"):
        measure_faithfulness(FaithfulnessTask(predict), [])
