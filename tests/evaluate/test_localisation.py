"""The localisation report: figures by finding, always beside pointers that look at nothing."""

from collections.abc import Iterator

import numpy as np
import pytest

from pocketcxr.domain.errors import EmptyCohortError, ManifestError
from pocketcxr.domain.study import Box
from pocketcxr.evaluate.heatmaps import LocalisationSample, inside
from pocketcxr.evaluate.localisation import LocalisationReport, localise
from pocketcxr.evaluate.localisation_curves import LEVELS
from pocketcxr.evaluate.localisation_thresholds import choose_thresholds

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


def blob(box: Box, height: float = 1.0) -> np.ndarray:
    """A heatmap whose hottest half is the box: 1 in it, 0.5 in a frame of 4 pixels around it, 0.1 elsewhere."""
    wide = Box(box.x - 4, box.y - 4, box.w + 8, box.h + 8)
    heatmap = 0.1 + 0.4 * inside([wide], SIZE, SIZE) + 0.5 * inside([box], SIZE, SIZE)
    return (height * heatmap).astype(np.float32)


def blobs(first: int, count: int, finding: str = "Mass") -> Iterator[LocalisationSample]:
    rng = np.random.default_rng(first)
    for number in range(first, first + count):
        box = random_box(rng)
        yield sample(number, box, blob(box, height=number + 1), finding)


def test_the_threshold_is_the_level_of_the_best_validation_iou_and_gives_the_test_iou() -> None:
    thresholds = choose_thresholds(blobs(100, 20))
    assert LEVELS[thresholds.by_finding["Mass"].level] == 0.55  # the lowest above the frame
    (found,) = localise(blobs(0, 20), generator(), 60, thresholds).findings
    assert (found.threshold, found.num_threshold_images) == (0.55, 20)
    assert found.iou is not None
    assert found.iou.value == found.precision.value == 1
    assert {hits.at_least: hits.share.value for hits in found.iou_hits} == {0.1: 1, 0.3: 1, 0.5: 1}
    assert found.mean_heatmap is not None
    assert found.mean_heatmap.iou is not None
    assert found.over_mean_heatmap is not None
    assert found.over_mean_heatmap.iou is not None
    assert found.over_mean_heatmap.iou.value == pytest.approx(1 - found.mean_heatmap.iou)


def test_without_thresholds_of_a_finding_it_has_no_iou() -> None:
    def both() -> Iterator[LocalisationSample]:
        yield from blobs(0, 6)
        yield from blobs(10, 6, "Nodule")

    for report in (
        localise(both(), generator(), 60),
        localise(both(), generator(), 60, choose_thresholds(blobs(50, 4, "Hernia"))),
    ):
        assert all(found.iou is None and found.threshold is None and not found.iou_hits for found in report.findings)
        assert report.mean.iou is None
    mass_only = localise(both(), generator(), 60, choose_thresholds(blobs(50, 4)))
    assert [found.iou is None for found in mass_only.findings] == [False, True]
    assert mass_only.mean.iou is not None
    assert mass_only.findings[0].iou is not None
    assert mass_only.mean.iou.value == mass_only.findings[0].iou.value
    assert LocalisationReport.model_validate_json(mass_only.model_dump_json()) == mass_only


def test_thresholds_refuse_to_score_whom_they_were_chosen_on() -> None:
    with pytest.raises(ManifestError, match=r"2 of 4 samples .*\(first: 4.png\).*validation patients"):
        localise(blobs(2, 4), generator(), 60, choose_thresholds(blobs(4, 4)))
    # Another image of the same patient (two images each) leaks as well.
    with pytest.raises(ManifestError, match="1 of 1 samples"):
        localise(blobs(8, 1), generator(), 60, choose_thresholds(blobs(9, 1)))
    with pytest.raises(EmptyCohortError, match="validation"):
        choose_thresholds(iter(()))


def test_what_is_scored_does_not_move_the_threshold() -> None:
    thresholds = choose_thresholds(blobs(100, 10))
    first, second = (localise(blobs(start, 10), generator(), 60, thresholds) for start in (0, 20))
    assert first.findings[0].threshold == second.findings[0].threshold == 0.55


def test_the_mean_heatmap_is_that_of_all_other_patients() -> None:
    """Three patients, two cells: each patient's own heatmap is hot where its box is, the others' where theirs are."""
    left, right = Box(0, 0, 30, 60), Box(30, 0, 30, 60)

    def samples() -> Iterator[LocalisationSample]:
        for number, box in enumerate([left, left, right]):
            heatmap = inside([box], SIZE, SIZE) * np.float32(1 if box is left else 0.5)
            yield LocalisationSample(f"{number}.png", f"p{number}", "Mass", heatmap, (box,), SIZE, SIZE)

    (found,) = localise(samples(), generator(), 60).findings
    assert found.pointing.value == 1
    assert found.mean_heatmap is not None
    # The first two see {left, right}, of which left is hotter: hits. The third sees left twice.
    assert found.mean_heatmap.pointing == pytest.approx(2 / 3)
    assert found.mean_heatmap.energy == pytest.approx((2 / 3 + 2 / 3 + 0) / 3, abs=0.02)
    assert found.over_mean_heatmap is not None
    assert found.over_mean_heatmap.pointing.value == pytest.approx(1 / 3)


def test_a_model_that_draws_the_same_for_everybody_is_its_mean_heatmap() -> None:
    rng = np.random.default_rng(5)
    heatmap = np.kron(rng.normal(size=(5, 5)), np.ones((13, 13))).astype(np.float32)  # 65 x 65, as the grid
    boxes = [Box(*rng.integers(0, 40, 2).tolist(), *rng.integers(5, 25, 2).tolist()) for _ in range(30)]

    def samples(first: int) -> Iterator[LocalisationSample]:
        return (sample(first + number, box, heatmap) for number, box in enumerate(boxes))

    (found,) = localise(samples(0), generator(), 60, choose_thresholds(samples(100))).findings
    over = found.over_mean_heatmap
    assert over is not None
    assert over.energy is not None
    assert over.iou is not None
    for figure in (over.pointing, over.energy, over.precision, over.iou):
        assert (figure.value, figure.low, figure.high) == pytest.approx((0, 0, 0), abs=1e-6)


def test_one_patient_has_no_mean_heatmap_of_others() -> None:
    report = localise(blobs(0, 2), generator(), 60)
    assert report.findings[0].mean_heatmap is report.findings[0].over_mean_heatmap is None
    assert report.mean.mean_heatmap is report.mean.over_mean_heatmap is None


@pytest.mark.parametrize("seed", range(4))
def test_a_tolerance_only_adds_hits_for_the_model_and_every_baseline(seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(20, SIZE, SIZE)).astype(np.float32)
    report = localise((sample(i, random_box(rng), heatmap) for i, heatmap in enumerate(maps)), generator(), 60)
    (found,) = report.findings
    assert found.pointing_tolerant.value >= found.pointing.value
    for name in ("centre", "best_fixed_point", "random_point"):
        told = found.baselines.model_dump()
        assert told[f"{name}_tolerant"] >= told[name] - 0.01  # random_point: pixels here, cells of the grid there
    assert found.mean_heatmap is not None
    assert found.mean_heatmap.pointing_tolerant >= found.mean_heatmap.pointing
    assert report.mean.pointing_tolerant is not None
    assert report.mean.pointing_tolerant.value == found.pointing_tolerant.value


def test_a_mask_of_the_box_gives_the_report_of_the_box() -> None:
    def samples(is_mask: bool) -> Iterator[LocalisationSample]:
        rng = np.random.default_rng(3)
        # Boxes of whole cells of the grid, so that the points of the grid are in both or in neither.
        for number in range(12):
            x, y, w, h = (5 * int(side) for side in rng.integers((0, 0, 1, 1), (8, 8, 5, 5)))
            box = Box(x, y, w, h)
            mask = inside([box], 65, 65)
            heatmap = np.random.default_rng(number).normal(size=(65, 65)).astype(np.float32)
            boxes = () if is_mask else (box,)
            yield LocalisationSample(
                f"{number}.png", f"p{number}", "Mass", heatmap, boxes, 65, 65, mask if is_mask else None
            )

    assert localise(samples(True), generator(), 60) == localise(samples(False), generator(), 60)


def test_a_finding_smaller_than_a_cell_takes_its_cell() -> None:
    big = np.zeros((650, 650), dtype=np.float32)
    big[333, 444] = 1
    mask = big > 0
    report = localise(
        [LocalisationSample(f"{i}.png", f"p{i}", "Nodule", big, (), 650, 650, mask) for i in range(3)], generator(), 60
    )
    (found,) = report.findings
    assert found.pointing.value == found.baselines.best_fixed_point == 1
    assert (found.baselines.best_fixed_x, found.baselines.best_fixed_y) == (44.5 / 65, 33.5 / 65)
    assert found.mean_heatmap is not None
    assert found.mean_heatmap.pointing == found.mean_heatmap.precision == 1
