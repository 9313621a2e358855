"""The report of a cohort and its page: before and after by finding, gaps said, nothing from outside the page."""

import re

import numpy as np
import pytest
from scipy.special import expit

from pocketcxr.evaluate.calibration_page import CalibrationContent, headline, render_calibration
from pocketcxr.evaluate.calibration_report import CalibrationOptions, CalibrationReport, calibrate_findings
from pocketcxr.evaluate.labelled_logits import LabelledLogits
from pocketcxr.evaluate.reliability_plot import reliability_plot

FINDINGS = ("Effusion", "Mass", "Hernia")


@pytest.fixture(scope="module")
def data() -> LabelledLogits:
    """Effusion is told too often, Mass is in 12 images, Hernia was never learnt."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2, size=(800, 3))
    labels = (rng.random((800, 3)) < expit(0.5 * logits - 1)).astype(np.float32)
    labels[np.flatnonzero(labels[:, 1] == 1)[12:], 1] = np.nan
    logits[:, 2] = np.nan
    return LabelledLogits(FINDINGS, tuple(f"p{row // 2}" for row in range(800)), logits, labels)


@pytest.fixture(scope="module")
def report(data: LabelledLogits) -> CalibrationReport:
    return calibrate_findings(data, "800 images", options=CalibrationOptions(num_resamples=60))


def page(report: CalibrationReport) -> str:
    return render_calibration(
        CalibrationContent(
            "Calibration of <b>", "today", "1", True, report, "the plain sigmoid", {"Hernia": "no <data>"}
        )
    )


def test_a_distortion_is_measured_before_and_gone_after(report: CalibrationReport) -> None:
    effusion = report.findings[0]
    assert effusion.before is not None
    assert effusion.after is not None
    assert effusion.after.ece_equal_mass.value < effusion.before.ece_equal_mass.value / 2
    assert effusion.after.brier.value < effusion.before.brier.value
    assert effusion.after.mean_probability == pytest.approx(effusion.after.prevalence, abs=0.01)
    assert len(effusion.operating_points) == 4


def test_every_finding_has_a_line_or_a_reason(report: CalibrationReport) -> None:
    effusion, mass, hernia = report.findings
    assert (effusion.why_not, mass.why_not, hernia.why_not) == (None, None, "the model never learnt the finding")
    assert mass.line is not None
    assert mass.line.method == "temperature"
    assert mass.operating_points == ()
    assert "20 of each are needed" in mass.undefined[0].why
    assert (hernia.line, hernia.before, hernia.after) == (None, None, None)
    assert [row.finding for row in report.calibrated] == ["Effusion", "Mass"]


def test_means_are_over_the_calibrated_findings(report: CalibrationReport) -> None:
    means = report.mean_before_and_after("brier")
    assert means is not None
    rows = [row for row in report.findings if row.before is not None and row.after is not None]
    assert means[1] == pytest.approx(np.mean([row.after.brier.value for row in rows if row.after is not None]))
    assert headline(report).endswith("over 2 findings.")


def test_what_was_told_so_far_is_the_before(data: LabelledLogits) -> None:
    told = np.full((800, 3), 0.25)
    effusion = calibrate_findings(data, "", told, CalibrationOptions(num_resamples=60)).findings[0]
    assert effusion.before is not None
    assert effusion.before.mean_probability == 0.25
    assert len(effusion.before.curve) == 1


def test_the_page_stands_alone_escapes_names_and_says_what_was_not_fitted(report: CalibrationReport) -> None:
    text = page(report)
    assert not re.search(r"(src|href)=|<script|https?://(?!www\.w3\.org)", text)
    assert "Calibration of &lt;b&gt;" in text
    assert "Hernia (no &lt;data&gt;)." in text
    assert "Simulated radiographs" in text
    assert text.count('class="roc reliability"') == 2


def test_a_plot_stays_inside_its_frame_and_can_be_read_aloud(report: CalibrationReport) -> None:
    row = report.findings[0]
    assert row.before is not None
    plot = str(reliability_plot("Effusion", row.before, row.after))
    assert 'aria-label="Reliability of Effusion: before, a mean of' in plot
    places = [float(value) for value in re.findall(r'c[xy]="([-\d.]+)"', plot)]
    assert places
    assert all(0 <= value <= 240 for value in places)
