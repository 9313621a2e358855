"""The page and the Markdown of a comparison say what the figures say, and nothing where there are none."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pocketcxr.evaluate import wording
from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.comparison import (
    ComparisonContent,
    ComparisonRow,
    FailureRow,
    render_html,
    render_markdown,
    seconds,
    share,
    write_comparison,
)
from pocketcxr.evaluate.hierarchical import GapReport, SeededFigure, SeededReport


def report(value: float) -> SeededReport:
    figure = SeededFigure(
        estimate=Estimate(value=value, low=value - 0.02, high=value + 0.03),
        by_seed=(value - 0.01, value + 0.01),
        spread=0.0141,
    )
    return SeededReport(
        seeds=(0, 1), findings={"Effusion": figure, "Hernia": None}, mean=figure, mean_over=("Effusion",)
    )


ALONE = ComparisonRow(
    "c2 alone", "alone", False, 0.7, report(0.71), None, None, None, 4_732_838, 289_941_952, 7.0, 120, 90.5, 5.6e15
)
GAP = GapReport(findings={}, mean=Estimate(value=0.62, low=0.4, high=0.85), mean_over=("Effusion",))
CHOSEN = replace(
    ALONE,
    name="c2 lite0 soft",
    role="distilled",
    is_chosen=True,
    reported=report(0.755),
    minus_alone=report(0.045),
    minus_teacher=report(-0.031),
    gap_closed=GAP,
)
TEACHER = ComparisonRow(
    "teacher xrv", "teacher", False, None, report(0.8), None, None, None, None, None, None, None, None, None
)
CONTENT = ComparisonContent(
    title="1 student",
    created="2026-01-01",
    command="pocketcxr compare g.yaml --out out",
    version="0",
    is_simulated=True,
    choose_split="validation",
    report_split="test",
    num_seeds=2,
    headlines=("c2 gained.",),
    rows=(TEACHER, ALONE, CHOSEN, replace(CHOSEN, name="c2 lite0 <mld>", is_chosen=False, missing_seeds=(1,))),
    failures=(FailureRow("c2 lite0 bad s0", "PocketCxrError", "diverged\nat step 3"),),
    made=(("Machine", "abacus"),),
    notes=("Judge.",),
)


class Text(HTMLParser):
    """The words of a page and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_page_has_every_arm_the_choice_and_the_failures() -> None:
    page = Text(render_html(CONTENT))
    for words in (
        "c2 lite0 <mld>",
        "without seed 1",
        "+0.045",
        "+0.025 to +0.075",
        "62 % (40 to 85)",
        "diverged at step 3",
    ):
        assert words in page.text
    assert wording.SIMULATED in page.text
    assert page.text.count("chosen has the highest mean AUROC on the validation patients") == 1
    assert "joules were not measured" in page.text
    assert "script" not in page.tags
    assert page.text.count("By finding:") == 1  # the chosen arm's


def test_without_partners_choice_or_failures_those_parts_are_left_out() -> None:
    page = Text(render_html(replace(CONTENT, rows=(TEACHER,), failures=(), is_simulated=False))).text
    for words in ("Without a result", "By finding", "The dashed line", wording.SIMULATED):
        assert words not in page


def test_markdown_tables_are_whole() -> None:
    text = render_markdown(CONTENT)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(CONTENT.rows)
    assert len({line.count("|") for line in rows}) == 1
    assert "| **c2 lite0 soft** | 0.700 | 0.755 (0.735 to 0.785) | ± 0.014 | +0.045 (+0.025 to +0.075) |" in text
    assert "- c2 lite0 bad s0: diverged at step 3" in text
    assert "\n\n\n" not in text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (35.2, "35 s"), (720, "12 min"), (12_240, "3.4 h")])
def test_durations_are_short(value: float | None, text: str) -> None:
    assert seconds(value) == text


def test_a_negative_share_has_a_true_minus() -> None:
    assert share(Estimate(value=-0.1, low=-0.3, high=0.2)) == "−10 % (−30 to 20)"
    assert share(None) == "–"


def test_both_files_are_written_and_no_part_stays(tmp_path: Path) -> None:
    write_comparison(CONTENT, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.md"]
