"""The page: whole in one file, honest about every sign, complete for those who cannot see the pictures."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from pocketcxr.domain.study import Box
from pocketcxr.evaluate import wording
from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.differences import DifferenceReport, compare
from pocketcxr.evaluate.heatmaps import LocalisationSample
from pocketcxr.evaluate.localisation import localise
from pocketcxr.evaluate.plots import scale_around_zero
from pocketcxr.evaluate.ranking import rank
from pocketcxr.evaluate.report import render, write_report
from pocketcxr.evaluate.report_content import (
    Comparison,
    GalleryItem,
    LocalisationRow,
    ModelRow,
    ReportContent,
)
from pocketcxr.evaluate.subgroups import Grouping, GroupReport, subgroups

VOID = {"meta", "img", "br", "link", "input", "hr"}


class WellFormed(HTMLParser):
    """Collects what is opened and closed, the addresses and the pictures' alternative texts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.pictures: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.addresses += [values[name] or "" for name in ("src", "href", "xlink:href", "data") if name in values]
        if tag == "img":
            self.pictures.append(values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def difference_of(value: float, low: float | None, high: float | None) -> DifferenceReport:
    mean = Estimate(value=value, low=low, high=high)
    return DifferenceReport(
        num_images=3000,
        num_patients=1200,
        num_resamples=2000,
        findings=(),
        mean_auroc=mean,
        mean_auprc=mean,
        mean_over=("Mass",),
    )


@pytest.fixture(scope="module")
def content(score_table) -> ReportContent:
    tables = {"Teacher": score_table(1, skill=2), "Alone": score_table(2), "Distilled <b>": score_table(3, skill=1.4)}
    probabilities = tables["Alone"].probabilities.copy()
    probabilities[:, 2] = np.nan
    tables["Alone"] = replace(tables["Alone"], probabilities=probabilities)
    models = tuple(
        ModelRow(name, role, rank(table, np.random.default_rng(0), 50), 4_732_838, 289_941_952, 6.34, table)
        for (name, table), role in zip(tables.items(), ("teacher", "alone", "distilled"), strict=True)
    )
    comparison = compare(tables["Distilled <b>"], tables["Alone"], np.random.default_rng(0), 50)
    heatmap = np.random.default_rng(0).random((20, 20)).astype(np.float32)
    samples = [LocalisationSample("i", "p", "Pleural_Thickening", heatmap, (Box(2, 2, 9, 9),), 20, 20)]
    return ReportContent(
        title="A run & its report",
        created="25 November 2026",
        command="pocketcxr quickstart",
        seed=7,
        version="0.1.0",
        is_simulated=True,
        models=models,
        comparisons=(Comparison("Distilled <b>", "Alone", comparison),),
        localisation=(LocalisationRow("Distilled <b>", localise(samples, np.random.default_rng(0), 50)),),
        gallery=(GalleryItem(b"\x89PNG", "Mass 0.80", "A chest X-ray with a warm spot"),),
        made=(("Images", "2,000 phantoms"),),
        notes=("A further limit.",),
        predict_command="pocketcxr predict bundle.zip X.png",
    )


def test_the_page_is_well_formed_and_needs_nothing_but_itself(content: ReportContent) -> None:
    page = WellFormed()
    page.feed(render(content))
    assert page.open == []
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert all(address.startswith("data:") for address in page.addresses)
    assert not re.search(r"https?:|url\(|@import", render(content))


def test_what_cannot_be_seen_is_said(content: ReportContent) -> None:
    text = render(content)
    page = WellFormed()
    page.feed(text)
    assert [picture["alt"] for picture in page.pictures] == ["A chest X-ray with a warm spot"]
    assert '<html lang="en">' in text
    assert all("aria-label=" in svg or "aria-hidden=" in svg for svg in re.findall(r"<svg[^>]*>", text))
    assert all("scope=" in header for header in re.findall(r"<th[ >][^>]*>?", text))


def test_the_page_holds_every_part(content: ReportContent) -> None:
    text = render(content)
    for expected in (
        "A run &amp; its report",
        "Distilled &lt;b&gt; minus Alone",
        "seed 7",
        "4.73 million",
        "290 million",
        "ROC curves of Teacher, Distilled &lt;b&gt; for Hernia",
        "Hernia for Alone (the model never learnt the finding)",
        "Pleural Thickening",
        "Best fixed point",
        "2,000 phantoms",
        "A further limit.",
        "pocketcxr predict bundle.zip X.png",
        wording.RESEARCH_ONLY,
        wording.SIMULATED,
        wording.ONE_SEED,
    ):
        assert expected in text
    assert "Distilled <b>" not in text


def test_groups_are_shown_beside_all_others_and_a_small_one_has_no_figure(score_table) -> None:
    table = score_table(skill=1.5)
    is_odd = [int(patient.removeprefix("patient-")) % 2 for patient in table.patient_ids]
    sex = Grouping("sex", ("female", "male"), tuple("female" if odd else "male" for odd in is_odd))
    age = Grouping("age", ("0-17", "18-39"), ("0-17",) * 6 + ("18-39",) * (table.num_images - 6))
    # The women's scores of the first finding are turned round: that stands out.
    probabilities = table.probabilities.copy()
    probabilities[np.array(is_odd) == 1, 0] = 1 - probabilities[np.array(is_odd) == 1, 0]
    table = replace(table, probabilities=probabilities)
    report = subgroups(table, (sex, age), np.random.default_rng(0), 100)
    model = ModelRow("M", "model", rank(table, np.random.default_rng(0), 50))
    text = render(ReportContent("One", "today", "evaluate", 0, "0.1.0", False, (model,), subgroups=report))
    page = WellFormed()
    page.feed(text)
    assert page.open == []
    section = text.split('<h2 id="groups">')[1].split("</section>")[0]
    rows = re.findall(r'<tr><th scope="row">([^<]*)</th><td class="figure">', section)
    assert rows == ["sex: female", "sex: male", "age: 0-17", "age: 18-39"]
    assert wording.figure(report.groups[0].difference, True) in section
    assert '<small>2</small></td><td class="figure">0<small>of 3</small>' in section
    assert '<th scope="row">sex: female</th><td>Cardiomegaly</td>' in section
    calm = report.model_copy(update={"groups": tuple(_without_differences(group) for group in report.groups)})
    text = render(ReportContent("One", "today", "evaluate", 0, "0.1.0", False, (model,), subgroups=calm))
    assert "have an interval without zero" not in text


def _without_differences(group: GroupReport) -> GroupReport:
    findings = tuple(row.model_copy(update={"difference": None}) for row in group.findings)
    return group.model_copy(update={"findings": findings, "difference": None})


def test_a_single_model_without_costs_makes_a_page_without_empty_parts(content: ReportContent) -> None:
    model = replace(content.models[0], parameters=None, macs=None, milliseconds=None, scores=None, role="model")
    alone = ReportContent("One", "today", "pocketcxr evaluate", None, "0.1.0", False, (model,))
    text = render(alone)
    assert "mean AUROC" in wording.headline(alone)
    for absent in ("Parameters", "MACs", "seed ", "ROC curves", "minus", "heatmaps point", "Simulated", "Try it"):
        assert absent not in text.split("</style>")[1].replace(wording.ONE_SEED, "")


def test_the_page_is_the_same_for_the_same_content_and_replaces_the_old_one(
    content: ReportContent, tmp_path: Path
) -> None:
    path = tmp_path / "run" / "report.html"
    write_report(replace(content, title="old"), path)
    write_report(content, path)
    assert path.read_text(encoding="utf-8") == render(content)
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (0.041, 0.02, 0.062, "Distillation brought +0.041 mean AUROC (95 % CI +0.020 to +0.062) on 3,000 images"),
        (-0.03, -0.05, -0.01, "Distillation did harm in this run: −0.030 mean AUROC (95 % CI −0.050 to −0.010)"),
        (0.01, -0.01, 0.03, "No clear effect of distillation in this run: +0.010"),
        (0.01, None, None, "No clear effect of distillation in this run: +0.010 mean AUROC (95 % CI –)"),
    ],
)
def test_the_headline_says_what_happened_whatever_it_is(
    content: ReportContent, value: float, low: float | None, high: float | None, expected: str
) -> None:
    comparison = Comparison("Distilled <b>", "Alone", difference_of(value, low, high))
    assert expected in wording.headline(replace(content, comparisons=(comparison,)))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (812, "812"), (4_732_838, "4.73 million"), (289_941_952, "290 million"), (999_900, "1000 thousand")],
)
def test_counts_are_read_in_words(value: int | None, text: str) -> None:
    assert wording.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.8126, "+0.813"), (-0.0126, "−0.013"), (0.0, "0.000"), (-0.0001, "0.000")]
)
def test_signed_numbers_carry_a_true_sign(value: float, text: str) -> None:
    assert wording.number(value, True) == text


def test_the_difference_scale_holds_every_interval() -> None:
    scale = scale_around_zero(
        [Estimate(value=0.01, low=-0.02, high=0.07), None, Estimate(value=0, low=None, high=None)]
    )
    assert (scale.low, scale.high) == (-0.1, 0.1)
    assert scale.x(-0.1) < scale.x(0) < scale.x(0.1)
    assert scale.x(0) - scale.x(-0.1) == pytest.approx(scale.x(0.1) - scale.x(0))
