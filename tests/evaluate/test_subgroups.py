"""Groups: their figures are those of their images alone, differences are paired, and too few patients say nothing."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pocketcxr.domain.errors import ManifestError
from pocketcxr.evaluate.ranking import auroc
from pocketcxr.evaluate.scores import ScoreTable
from pocketcxr.evaluate.subgroups import MIN_PATIENTS, Grouping, GroupReport, SubgroupReport, subgroups

MakeTable = Callable[..., ScoreTable]
RESAMPLES = 200


def grouping(table: ScoreTable, *shares: float) -> Grouping:
    """Images in the groups g0, g1, ..., by chance, and nobody in the last one, 'nobody'."""
    names = tuple(f"g{number}" for number in range(len(shares)))
    chosen = np.random.default_rng(3).choice(len(shares), size=table.num_images, p=shares)
    return Grouping("kind", (*names, "nobody"), tuple(names[number] for number in chosen))


def run(table: ScoreTable, *groupings: Grouping, seed: int = 0) -> SubgroupReport:
    return subgroups(table, groupings, np.random.default_rng(seed), RESAMPLES)


def by_name(report: SubgroupReport) -> dict[str, GroupReport]:
    return {group.group: group for group in report.groups}


def test_a_groups_figures_are_those_of_its_images_alone(score_table: MakeTable) -> None:
    table = score_table(num_images=300)
    parted = grouping(table, 0.4, 0.6)
    report = run(table, parted)
    assert [group.group for group in report.groups] == ["g0", "g1"]
    for group in report.groups:
        rows = np.array(parted.of_image) == group.group
        assert group.num_images == rows.sum()
        assert group.num_patients == len({table.patient_ids[row] for row in np.flatnonzero(rows)})
        for column, finding in enumerate(group.findings):
            assert finding.auroc is not None
            assert finding.auroc.low is not None
            assert finding.difference is not None
            inside = auroc(table.labels[rows, column], table.probabilities[rows, column])
            rest = auroc(table.labels[~rows, column], table.probabilities[~rows, column])
            assert inside is not None
            assert rest is not None
            assert finding.auroc.value == pytest.approx(inside)
            assert finding.difference.value == pytest.approx(inside - rest)
            assert finding.num_positive == (table.labels[rows, column] == 1).sum()
        means = [finding.auroc.value for finding in group.findings if finding.auroc]
        assert group.mean_auroc is not None
        assert group.mean_auroc.value == pytest.approx(np.mean(means))


def test_two_groups_mirror_each_other(score_table: MakeTable) -> None:
    table = score_table(num_images=300)
    first, second = run(table, grouping(table, 0.5, 0.5)).groups
    assert first.difference is not None
    assert second.difference is not None
    assert first.difference.value == pytest.approx(-second.difference.value)
    assert first.difference.low == pytest.approx(-second.difference.high)  # type: ignore[operator]


def test_a_difference_is_paired_by_patient(score_table: MakeTable) -> None:
    """Every patient has the same image in both groups: the difference is zero in every resample."""
    half = score_table(num_images=90, images_a_patient=1)
    table = ScoreTable(
        findings=half.findings,
        image_ids=(*half.image_ids, *(f"again-{name}" for name in half.image_ids)),
        patient_ids=half.patient_ids * 2,
        labels=np.tile(half.labels, (2, 1)),
        probabilities=np.tile(half.probabilities, (2, 1)),
    )
    report = run(table, Grouping("view", ("PA", "AP"), ("PA",) * 90 + ("AP",) * 90))
    for group in report.groups:
        for estimate in (group.difference, *(finding.difference for finding in group.findings)):
            assert estimate is not None
            assert (estimate.value, estimate.low, estimate.high) == (0, 0, 0)


def test_too_few_patients_are_counted_and_not_scored(score_table: MakeTable) -> None:
    table = score_table(num_images=300, images_a_patient=1)
    of_image = ["many"] * 300
    with_it = np.flatnonzero(table.labels[:, 0] == 1)[: MIN_PATIENTS - 1]
    without = np.flatnonzero(table.labels[:, 0] == 0)[:30]
    for row in (*with_it, *without):
        of_image[row] = "few"
    groups = by_name(run(table, Grouping("kind", ("many", "few"), tuple(of_image))))
    row = groups["few"].findings[0]
    assert row.auroc is None
    assert row.difference is None
    assert row.why_undefined == f"{MIN_PATIENTS - 1} patients with the finding, fewer than {MIN_PATIENTS}"
    assert row.num_positive == row.num_positive_patients == MIN_PATIENTS - 1
    assert table.findings[0] not in groups["few"].mean_over
    assert groups["many"].findings[0].auroc is not None
    assert groups["many"].findings[0].difference is None  # the rest is too small
    assert table.findings[0] not in groups["many"].difference_over


def test_a_group_of_few_says_so_and_one_group_of_all_has_no_rest(score_table: MakeTable) -> None:
    table = score_table(num_images=120)
    report = run(table, Grouping("sex", ("female", "unknown"), ("unknown",) * 3 + ("female",) * 117))
    few = by_name(report)["unknown"]
    assert (few.num_images, few.mean_auroc, few.mean_over, few.difference) == (3, None, (), None)
    everybody = run(table, Grouping("sex", ("female",), ("female",) * 120)).groups[0]
    assert everybody.mean_auroc is not None
    assert everybody.difference is None


def test_a_finding_that_was_never_learnt_has_no_figure_in_any_group(score_table: MakeTable) -> None:
    table = score_table(num_images=300)
    probabilities = table.probabilities.copy()
    probabilities[:, 1] = np.nan
    report = run(replace(table, probabilities=probabilities), grouping(table, 0.5, 0.5))
    for group in report.groups:
        assert group.findings[1].why_undefined == "the model never learnt the finding"
        assert group.mean_over == (table.findings[0], table.findings[2])


def test_a_seed_gives_the_same_report_again(score_table: MakeTable) -> None:
    table = score_table(num_images=200)
    parted = grouping(table, 0.5, 0.5)
    assert run(table, parted, seed=1) == run(table, parted, seed=1)
    assert run(table, parted, seed=1) != run(table, parted, seed=2)


@pytest.mark.parametrize("of_image", [("female",) * 119, ("cat",) * 120])
def test_a_grouping_of_other_images_is_refused(of_image: tuple[str, ...], score_table: MakeTable) -> None:
    with pytest.raises(ManifestError, match="subgroups by sex"):
        run(score_table(num_images=120), Grouping("sex", ("female", "male"), of_image))
