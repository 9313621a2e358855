"""The localisation report: figures by finding, always beside pointers that look at nothing."""

from collections.abc import Iterator

import numpy as np
import pytest

from pocketcxr.domain.errors import EmptyCohortError
from pocketcxr.domain.study import Box
from pocketcxr.evaluate.heatmaps import LocalisationSample, inside
from pocketcxr.evaluate.localisation import LocalisationReport, localise

SIZE = 60


def generator() -> np.random.Generator:
    return np.random.default_rng(2)


def sample(number: int, box: Box, heatmap: np.ndarray, finding: str = "Mass") -> LocalisationSample:
    return LocalisationSample(f"{number}.png", f"p{number // 2}", finding, heatmap, (box,), *heatmap.shape)


def random_box(rng: np.random.Generator) -> Box:
    width, height = rng.uniform(5, 25, 2)
    return Box(rng.uniform(0, SIZE - width), rng.uniform(0, SIZE - height), width, height)


def perfect(count: int, finding: str = "Mass") -> Iterator[LocalisationSample]:
    rng = np.random.default_rng(0)
    for number in range(count):
        box = random_box(rng)
        yield sample(number, box, inside([box], SIZE, SIZE).astype(np.float32), finding)


def test_heatmaps_equal_to_the_boxes_score_one_and_beat_every_baseline() -> None:
    report = localise(perfect(30), generator(), 100)
    (found,) = report.findings
    assert (found.pointing.value, found.pointing.low, found.pointing.high) == (1, 1, 1)
    assert found.energy is not None
    assert found.energy.value == 1
    assert found.baselines.random_point < found.baselines.best_fixed_point < 1
    assert found.over_best_fixed_point.value == pytest.approx(1 - found.baselines.best_fixed_point)
    assert found.over_centre.value == pytest.approx(1 - found.baselines.centre)
    assert (found.num_images, found.num_patients) == (30, 15)


@pytest.mark.parametrize("seed", range(8))
def test_no_fixed_point_beats_the_best_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    flat = np.zeros((SIZE, SIZE), dtype=np.float32)
    boxes = [random_box(rng) for _ in range(12)]
    report = localise((sample(i, box, flat) for i, box in enumerate(boxes)), generator(), 50)
    baselines = report.findings[0].baselines
    assert baselines.best_fixed_point >= baselines.centre
    assert baselines.best_fixed_point >= baselines.random_point - 0.05
    x, y = baselines.best_fixed_x * SIZE, baselines.best_fixed_y * SIZE
    assert np.mean([box.contains(x, y) for box in boxes]) == pytest.approx(baselines.best_fixed_point)


def test_a_heatmap_that_always_points_at_the_centre_equals_the_centre_baseline() -> None:
    rng = np.random.default_rng(1)
    odd = SIZE + 1
    heatmap = np.zeros((odd, odd), dtype=np.float32)
    heatmap[odd // 2, odd // 2] = 1
    report = localise((sample(i, random_box(rng), heatmap) for i in range(40)), generator(), 100)
    found = report.findings[0]
    assert 0 < found.pointing.value < 1
    assert found.pointing.value == found.baselines.centre
    assert (found.over_centre.low, found.over_centre.high) == (0, 0)
    assert found.pointing.low < found.pointing.value < found.pointing.high


def test_the_fixed_point_is_relative_to_each_image() -> None:
    def samples() -> Iterator[LocalisationSample]:
        for number, (height, width) in enumerate([(40, 80), (100, 50), (64, 64)]):
            box = Box(0.7 * width, 0.1 * height, 0.1 * width, 0.1 * height)
            yield sample(number, box, np.zeros((height, width), dtype=np.float32))

    baselines = localise(samples(), generator(), 50).findings[0].baselines
    assert baselines.best_fixed_point == 1
    assert baselines.best_fixed_x == pytest.approx(0.75, abs=0.06)
    assert baselines.best_fixed_y == pytest.approx(0.15, abs=0.06)
    assert baselines.random_point == pytest.approx(0.01, abs=0.004)


def test_findings_stand_in_their_usual_order_and_count_alike_in_the_mean() -> None:
    def samples() -> Iterator[LocalisationSample]:
        yield from perfect(4, "Nodule")
        flat = np.full((SIZE, SIZE), -1, dtype=np.float32)
        for number in range(12):
            yield sample(number, Box(30, 30, 10, 10), flat, "Cardiomegaly")

    report = localise(samples(), generator(), 100)
    assert [found.finding for found in report.findings] == ["Cardiomegaly", "Nodule"]
    cardiomegaly = report.findings[0]
    assert cardiomegaly.energy is None
    assert cardiomegaly.num_without_energy == 12
    assert report.mean.pointing is not None
    assert report.mean.pointing.value == 0.5
    assert report.mean.energy is not None
    assert report.mean.energy.value == 1
    assert report.mean.best_fixed_point == pytest.approx(
        np.mean([found.baselines.best_fixed_point for found in report.findings])
    )
    assert LocalisationReport.model_validate_json(report.model_dump_json()) == report


def test_no_marked_finding_is_no_cohort() -> None:
    with pytest.raises(EmptyCohortError, match="regions"):
        localise(iter(()), generator())
