"""One self-contained HTML page of a run: no script, no address, readable on a phone, in the dark and on paper."""

import math
from pathlib import Path

from markupsafe import Markup

from pocketcxr.evaluate import wording
from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.curves import roc_points
from pocketcxr.evaluate.differences import DifferenceReport
from pocketcxr.evaluate.pages import data_address, template, write_whole
from pocketcxr.evaluate.plots import Curve, Scale, axis, interval_bar, roc_plot, scale_around_zero, verdict
from pocketcxr.evaluate.report_content import ModelRow, ReportContent
from pocketcxr.evaluate.subgroups import GroupReport, SubgroupReport


def write_report(content: ReportContent, path: Path) -> None:
    """Write the page to `path`, replacing it whole."""
    write_whole(render(content), path)


def render(content: ReportContent) -> str:
    """The page as text."""
    return template("report.html.j2").render(
        content=content,
        wording=wording,
        auroc_scale=_auroc_scale(content),
        axis=axis,
        bar=_bar,
        difference_scale=_difference_scale,
        findings=_findings(content),
        groups=() if content.subgroups is None else content.subgroups.groups,
        group_scale=_group_scale(content.subgroups),
        group_differences=_group_differences(content.subgroups),
        roc_plots=_roc_plots(content),
        undefined=_undefined(content),
        verdict=verdict,
        data_address=data_address,
    )


def _bar(estimate: Estimate | None, scale: Scale, style: str) -> Markup | str:
    return "" if estimate is None else interval_bar(estimate, scale, style)


def _auroc_scale(content: ReportContent) -> Scale:
    """From guessing to perfect; further down only where an interval goes there."""
    rankings = [model.ranking for model in content.models]
    estimates = [one for report in rankings for one in (report.mean_auroc, *(row.auroc for row in report.findings))]
    lowest = min((one.value if one.low is None else one.low for one in estimates if one is not None), default=0.5)
    return Scale(min(0.5, math.floor(lowest * 10) / 10), 1.0, 0.5)


def _difference_scale(difference: DifferenceReport) -> Scale:
    return scale_around_zero([difference.mean_auroc, *(row.auroc for row in difference.findings)])


def _group_scale(report: SubgroupReport | None) -> Scale:
    return scale_around_zero([] if report is None else [group.difference for group in report.groups])


def _group_differences(report: SubgroupReport | None) -> list[tuple[GroupReport, str, Estimate]]:
    """Every group's difference to all other images in every finding that has one, the group's order kept."""
    groups = () if report is None else report.groups
    return [(group, row.finding, row.difference) for group in groups for row in group.findings if row.difference]


def _findings(content: ReportContent) -> list[str]:
    """Every finding any model has a row for, in the models' order."""
    return list(dict.fromkeys(row.finding for model in content.models for row in model.ranking.findings))


def _undefined(content: ReportContent) -> list[str]:
    """'Finding (reason)' for every figure that is not there, with the models' names where it is not all of them."""
    missing: dict[tuple[str, str], list[str]] = {}
    for model in content.models:
        for row in model.ranking.findings:
            if row.auroc is None:
                reason = row.why_undefined or "undefined"
                missing.setdefault((wording.spoken(row.finding), reason), []).append(model.name)
    return [
        f"{finding} ({reason})" if len(names) == len(content.models) else f"{finding} for {', '.join(names)} ({reason})"
        for (finding, reason), names in missing.items()
    ]


def _roc_plots(content: ReportContent) -> list[tuple[str, Markup]]:
    plots = []
    for finding in _findings(content):
        curves = [curve for model in content.models if (curve := _curve(model, finding)) is not None]
        if curves:
            spoken = wording.spoken(finding)
            plots.append((spoken, roc_plot(spoken, curves)))
    return plots


def _curve(model: ModelRow, finding: str) -> Curve | None:
    if model.scores is None or finding not in model.scores.findings:
        return None
    column = model.scores.findings.index(finding)
    points = roc_points(model.scores.labels[:, column], model.scores.probabilities[:, column])
    return None if points is None else Curve(model.name, model.role, points)
