"""One self-contained page of what heatmaps are worth: no script, no address, light and dark, phone and print."""

from pathlib import Path

from markupsafe import Markup

from pocketcxr.evaluate import explanation_wording, wording
from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.explanation_content import ExplanationContent, MethodRow
from pocketcxr.evaluate.explanation_plots import curve_plot
from pocketcxr.evaluate.faithfulness_pairs import Metric
from pocketcxr.evaluate.faithfulness_report import MetricFigures
from pocketcxr.evaluate.localisation import Localisation
from pocketcxr.evaluate.pages import data_address, template, write_whole
from pocketcxr.evaluate.plots import Scale, axis, interval_bar, scale_around_zero, verdict


def write_explanation(content: ExplanationContent, path: Path) -> None:
    """Write the page to `path`, replacing it whole."""
    write_whole(render(content), path)


def render(content: ExplanationContent) -> str:
    """The page as text."""
    first, hit_scale = content.methods[0].localisation, _hit_scale(content.methods)
    return template("explanation.html.j2").render(
        content=content,
        wording=wording,
        words=explanation_wording,
        first=content.methods[0],
        hit_scale=hit_scale,
        hit_ends=Scale(hit_scale.low, hit_scale.high, hit_scale.low),
        over_scale=scale_around_zero([row.over_best_fixed_point for row in first.findings]),
        has_iou=any(method.localisation.mean.iou is not None for method in content.methods),
        judged=[method for method in content.methods if method.faithfulness is not None],
        tested=[method for method in content.methods if method.randomised is not None],
        findings=list(dict.fromkeys(row.finding for one in content.methods for row in one.localisation.findings)),
        axis=axis,
        bar=_bar,
        curve_plot=curve_plot,
        data_address=data_address,
        metric_of=_metric_of,
        row_of=_row_of,
        verdict=verdict,
        is_good=_is_good,
    )


def _bar(estimate: Estimate | None, scale: Scale, style: str) -> Markup | str:
    return "" if estimate is None else interval_bar(estimate, scale, style)


def _hit_scale(methods: tuple[MethodRow, ...]) -> Scale:
    """From nothing to a round figure above every interval; the line marks the best fixed point."""
    means = [method.localisation.mean for method in methods]
    fixed = means[0].best_fixed_point
    reach = max([fixed, *(mean.pointing.high or mean.pointing.value for mean in means if mean.pointing is not None)])
    return Scale(0.0, next((top for top in (0.1, 0.2, 0.4, 0.6, 0.8) if reach <= top), 1.0), fixed)


def _metric_of(method: MethodRow, metric: Metric) -> MetricFigures | None:
    if method.faithfulness is None:
        return None
    return next((one for one in method.faithfulness.mean if one.metric == metric), None)


def _row_of(method: MethodRow, finding: str) -> Localisation | None:
    return next((row for row in method.localisation.findings if row.finding == finding), None)


def _is_good(figures: MetricFigures) -> str:
    """'better' where the heatmap is surely better than its shuffled self, 'worse' where surely worse, else ''."""
    over = figures.over_random
    if over is None or not over.excludes_zero:
        return ""
    return "better" if (over.value > 0) == figures.is_higher_better else "worse"
