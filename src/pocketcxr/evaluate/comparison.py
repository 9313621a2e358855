"""The page and the Markdown of a comparison: recipes say what stands in it, the templates set it."""

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from pocketcxr.evaluate import wording
from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.fronts import Point, front_plot
from pocketcxr.evaluate.hierarchical import GapReport, SeededFigure, SeededReport
from pocketcxr.evaluate.pages import template, write_whole
from pocketcxr.evaluate.plots import Scale, axis, interval_bar, scale_around_zero, verdict
from pocketcxr.evaluate.report_content import Role


@dataclass(frozen=True)
class ComparisonRow:
    """One teacher, student alone or distilled student. Unknown costs are None."""

    name: str
    role: Role
    is_chosen: bool
    choosing_auroc: float | None
    reported: SeededReport
    minus_alone: SeededReport | None
    minus_teacher: SeededReport | None
    gap_closed: GapReport | None
    parameters: int | None
    macs: int | None
    milliseconds: float | None
    seconds: float | None
    """Of one training."""
    images_per_second: float | None
    energy_proxy_macs: float | None
    missing_seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class FailureRow:
    """A cell without a result."""

    cell: str
    kind: str
    message: str


@dataclass(frozen=True)
class ComparisonContent:
    """The whole report; empty parts are left out."""

    title: str
    created: str
    command: str
    version: str
    is_simulated: bool
    choose_split: str
    report_split: str
    num_seeds: int
    headlines: tuple[str, ...]
    rows: tuple[ComparisonRow, ...]
    failures: tuple[FailureRow, ...] = ()
    made: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def write_comparison(content: ComparisonContent, folder: Path) -> None:
    """Write report.html and report.md into `folder`, replacing each whole."""
    write_whole(render_html(content), folder / "report.html")
    write_whole(render_markdown(content), folder / "report.md")


def render_html(content: ComparisonContent) -> str:
    """The page as text: no script, no address, light and dark."""
    gains = [row.minus_alone for row in content.rows if row.minus_alone is not None]
    return template("compare.html.j2").render(
        content=content,
        wording=wording,
        plot=front_plot(_points(content)),
        axis=axis,
        bar=_bar,
        estimate_of=_estimate_of,
        gain_scale=scale_around_zero([_estimate_of(report.mean) for report in gains]),
        finding_scale=_finding_scale,
        seconds=seconds,
        share=share,
        spread=spread,
        verdict=verdict,
    )


def render_markdown(content: ComparisonContent) -> str:
    """The same figures as Markdown tables."""
    return template("compare.md.j2", is_html=False).render(
        content=content, wording=wording, estimate_of=_estimate_of, seconds=seconds, share=share, spread=spread
    )


def seconds(value: float | None) -> str:
    """A training's duration: '35 s', '12 min', '3.4 h'."""
    if value is None:
        return wording.UNKNOWN
    if value < 90:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"


def share(estimate: Estimate | None) -> str:
    """A share in per cent with its interval; a dash where there is none."""
    if estimate is None:
        return wording.UNKNOWN
    value = f"{100 * estimate.value:.0f} %".replace("-", wording.MINUS)
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({100 * estimate.low:.0f} to {100 * estimate.high:.0f})".replace("-", wording.MINUS)


def spread(figure: SeededFigure | None) -> str:
    """The standard deviation between seeds; a dash where there is one seed."""
    return wording.UNKNOWN if figure is None or figure.spread is None else f"± {wording.number(figure.spread)}"


def _estimate_of(figure: SeededFigure | None) -> Estimate | None:
    return None if figure is None else figure.estimate


def _bar(estimate: Estimate | None, scale: Scale, style: str) -> Markup | str:
    return "" if estimate is None else interval_bar(estimate, scale, style)


def _finding_scale(report: SeededReport) -> Scale:
    return scale_around_zero([_estimate_of(figure) for figure in (report.mean, *report.findings.values())])


def _points(content: ComparisonContent) -> list[Point]:
    """Those with known costs; losers among the objectives are dots without a name."""
    return [
        Point(
            row.name,
            row.macs,
            mean.estimate.value,
            mean.estimate.low,
            mean.estimate.high,
            row.role,
            is_labelled=row.is_chosen or row.role != "distilled",
        )
        for row in content.rows
        if row.macs and (mean := row.reported.mean) is not None
    ]
