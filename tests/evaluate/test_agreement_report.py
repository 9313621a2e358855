"""Agreement reports: intervals, chance beside every figure, and which of two models agrees better."""

import numpy as np
import pytest

from pocketcxr.domain.errors import EmptyCohortError, ManifestError
from pocketcxr.evaluate.agreement import AgreementTable, HeatmapSet, agreement_table
from pocketcxr.evaluate.agreement_report import AgreementReport, agreement_gain, agreement_report

FINDINGS = ("Cardiomegaly", "Mass")


def generator() -> np.random.Generator:
    return np.random.default_rng(5)


def models(noise: float, count: int = 40) -> tuple[HeatmapSet, HeatmapSet]:
    """A reference, and a model that shows the same places under so much noise."""
    reference = np.random.default_rng(0).standard_normal((count, 2, 7, 7)).astype(np.float32)
    other = reference + noise * np.random.default_rng(1).standard_normal(reference.shape).astype(np.float32)
    ids = tuple(f"{number}.png" for number in range(count))
    patients = tuple(f"p{number // 2}" for number in range(count))
    return HeatmapSet(FINDINGS, ids, patients, reference), HeatmapSet(FINDINGS, ids, patients, other)


def table(noise: float) -> AgreementTable:
    return agreement_table(*models(noise))


def test_less_noise_is_more_agreement_and_chance_is_beside_it() -> None:
    report = agreement_report(table(0.5), generator(), 100)
    assert [one.finding for one in report.findings] == list(FINDINGS)
    assert (report.grid_rows, report.grid_columns) == (7, 7)
    for one in report.findings:
        assert (one.num_images, one.num_patients, one.num_undefined) == (40, 20, 0)
        figure, chance, over = (
            one.figures.rank_correlation,
            one.chance.rank_correlation,
            one.over_chance.rank_correlation,
        )
        assert figure is not None
        assert chance is not None
        assert over is not None
        assert figure.low is not None
        assert figure.low < figure.value < (figure.high or 0)
        assert abs(chance.value) < 0.1
        assert over.value == pytest.approx(figure.value - chance.value)
        assert over.excludes_zero
    weaker = agreement_report(table(2.0), generator(), 100).mean.figures.top_10_iou
    assert weaker is not None
    assert report.mean.figures.top_10_iou is not None
    assert weaker.value < report.mean.figures.top_10_iou.value
    assert AgreementReport.model_validate_json(report.model_dump_json()) == report


def test_the_mean_is_over_findings_however_many_images_each_has() -> None:
    first, second = models(0.5)
    asked = np.ones((40, 2), dtype=bool)
    asked[5:, 0] = False
    report = agreement_report(agreement_table(first, second, asked), generator(), 60)
    values = [one.figures.cosine.value for one in report.findings if one.figures.cosine is not None]
    assert report.mean.figures.cosine is not None
    assert report.mean.figures.cosine.value == pytest.approx(np.mean(values))
    assert [one.num_images for one in report.findings] == [5, 40]


def test_constant_maps_are_counted_and_do_not_lower_agreement() -> None:
    first, second = models(0.0)
    second.maps[:10, 1] = 0
    mass = agreement_report(agreement_table(first, second), generator(), 60).findings[1]
    assert mass.num_undefined == 10
    assert mass.figures.rank_correlation is not None
    assert mass.figures.rank_correlation.value == pytest.approx(1)


def test_a_finding_without_any_figure_has_none_and_is_left_out_of_the_mean() -> None:
    first, second = models(0.0)
    second.maps[:, 1] = 3
    report = agreement_report(agreement_table(first, second), generator(), 60)
    assert report.findings[1].figures.rank_correlation is None
    assert report.mean.num_findings == 1
    assert report.mean.figures.rank_correlation is not None


def test_the_gain_is_paired_and_has_the_sign_of_the_better_model() -> None:
    better, worse = table(0.5), table(1.0)
    gain = agreement_gain(better, worse, generator(), 200)
    assert gain.mean.rank_correlation is not None
    assert gain.mean.rank_correlation.value > 0
    assert gain.mean.rank_correlation.excludes_zero
    back = agreement_gain(worse, better, generator(), 200)
    assert back.mean.rank_correlation is not None
    assert back.mean.rank_correlation.value == pytest.approx(-gain.mean.rank_correlation.value)
    same = agreement_gain(better, better, generator(), 60)
    for one in same.findings:
        assert one.figures.cosine is not None
        assert (one.figures.cosine.value, one.figures.cosine.low, one.figures.cosine.high) == (0, 0, 0)


def test_a_spot_that_both_always_mark_is_a_gain_but_none_above_chance() -> None:
    """A model that shows the reference's mean map, whatever the image, agrees more than noise and no better."""
    reference, _ = models(0.0)
    blob = np.exp(-np.add.outer(np.linspace(-1, 1, 7) ** 2, np.linspace(-1, 1, 7) ** 2))
    marked = HeatmapSet(FINDINGS, reference.image_ids, reference.patient_ids, reference.maps + np.float32(3) * blob)
    rng = np.random.default_rng(2)
    noise = rng.standard_normal(marked.maps.shape).astype(np.float32)
    fixed, random = (
        agreement_table(HeatmapSet(FINDINGS, marked.image_ids, marked.patient_ids, maps.astype(np.float32)), marked)
        for maps in (3 * blob + 0.1 * noise, noise)
    )
    gain = agreement_gain(fixed, random, generator(), 200)
    assert gain.mean.rank_correlation is not None
    assert gain.mean.rank_correlation.value > 0.3
    assert gain.mean_over_chance.rank_correlation is not None
    assert abs(gain.mean_over_chance.rank_correlation.value) < 0.05


def test_figures_and_chance_are_averaged_over_the_same_findings() -> None:
    first, second = models(0.5)
    asked = np.ones((40, 2), dtype=bool)
    asked[1:, 1] = False
    report = agreement_report(agreement_table(first, second, asked), generator(), 60)
    assert report.findings[1].chance.cosine is None
    assert report.mean.num_findings == 1
    assert report.mean.figures.cosine == report.findings[0].figures.cosine


def test_nothing_asked_for_and_tables_that_do_not_fit_are_refused() -> None:
    first, second = models(0.5)
    with pytest.raises(EmptyCohortError, match="no image is left"):
        agreement_report(agreement_table(first, second, np.zeros((40, 2), dtype=bool)), generator())
    with pytest.raises(ManifestError, match="different images"):
        agreement_gain(table(0.5), agreement_table(*models(0.5, 30)), generator())
    coarse = HeatmapSet(FINDINGS, first.image_ids, first.patient_ids, first.maps[:, :, :3, :3])
    with pytest.raises(ManifestError, match="coarser"):
        agreement_gain(agreement_table(first, second), agreement_table(first, coarse), generator())
