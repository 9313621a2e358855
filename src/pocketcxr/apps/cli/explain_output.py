"""How `pocketcxr explain` runs its recipes and prints what they found: tables to read, or one JSON document."""

import json
from collections.abc import Sequence
from pathlib import Path

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from pocketcxr._version import __version__
from pocketcxr.apps.cli import console
from pocketcxr.apps.cli.prediction_output import printable
from pocketcxr.domain.prediction import Refusal
from pocketcxr.evaluate.explanation_wording import milliseconds
from pocketcxr.evaluate.wording import RESEARCH_ONLY, figure, interval, number, spoken
from pocketcxr.recipes import explain as cohort_recipe
from pocketcxr.recipes import explain_files as files_recipe
from pocketcxr.recipes.explain_report import ExplanationReport

SOME_REFUSED = 3
JSON_VERSION = 1
"""Of the document on single files; raised when a program that reads it would misread it."""


def explain_cohort(source: Path, options: cohort_recipe.ExplainOptions, out: Path | None, *, is_json: bool) -> None:
    """Explain a manifest's images, print the figures, and end with SOME_REFUSED where that is so."""
    with console.progress_bars() as progress:
        result = cohort_recipe.explain(source, options, out, progress)
    report = result.full_report
    if is_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        is_faithful = any(method.faithfulness is not None for method in report.methods)
        judged = [_faithfulness_table(report)] if is_faithful else []
        for table in (_methods_table(report), *judged, _findings_table(report)):
            console.stdout.print(table, highlight=False)
    for message in report.refused:
        console.say(f"left out: {message}")
    if report.unlearnt:
        console.say(f"no figures for what the model never learnt: {', '.join(report.unlearnt)}")
    console.say(report.unseen)
    console.say(f"report: {result.out / cohort_recipe.PAGE}")
    if report.refused:
        raise typer.Exit(SOME_REFUSED)


def explain_files(
    source: Path, files: Sequence[Path], options: files_recipe.FilesOptions, out: Path, *, is_json: bool
) -> None:
    """Explain single files, print probabilities and pictures, and end with SOME_REFUSED where that is so."""
    with console.progress_bars() as progress:
        results = files_recipe.explain_files(source, files, options, out, progress)
    console.say(RESEARCH_ONLY)
    if results.is_simulated:
        console.say(console.SIMULATED)
    if is_json:
        typer.echo(json.dumps(_document(source, options, results), indent=2, allow_nan=False))
    else:
        _print_files(results)
    num_refused = sum(isinstance(answer, Refusal) for answer in results.answers)
    if num_refused:
        console.say(f"{num_refused} of {len(results.answers)} files refused")
        raise typer.Exit(SOME_REFUSED)


def _methods_table(report: ExplanationReport) -> Table:
    """One line a method, then the baselines."""
    table = _new_table("SIMULATED, no patients" if report.is_simulated else None)
    table.add_column("heatmap", no_wrap=True)
    for name in ("hit rate", "95 % CI", "energy", "prec.", "IoU"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("ms", justify="right", no_wrap=True)
    for method in report.methods:
        mean = method.localisation.mean
        cells = [figure(mean.pointing), interval(mean.pointing), figure(mean.energy), figure(mean.precision)]
        cells.append(figure(mean.iou))
        table.add_row(method.method, *cells, milliseconds(method.cost.all_findings))
    mean = report.methods[0].localisation.mean
    table.add_section()
    table.add_row("best fixed point", number(mean.best_fixed_point), style="dim")
    if mean.mean_heatmap is not None:
        of_mean = mean.mean_heatmap
        cells = [_number(one) for one in (of_mean.energy, of_mean.precision, of_mean.iou)]
        table.add_row("mean heatmap", number(of_mean.pointing), "", *cells, style="dim")
    table.add_row("image centre", number(mean.centre), style="dim")
    table.add_row("random point", number(mean.random_point), "", *[number(mean.random_point)] * 3, style="dim")
    return table


def _faithfulness_table(report: ExplanationReport) -> Table:
    """One line a method whose faithfulness was measured."""
    table = _new_table("Faithfulness: does the model follow the heatmap?")
    table.add_column("heatmap", no_wrap=True)
    for name in ("insertion", "95 % CI", "deletion", "95 % CI"):
        table.add_column(name, justify="right", no_wrap=True)
    for method in report.methods:
        if method.faithfulness is not None:
            by_metric = {one.metric: one.heatmap for one in method.faithfulness.mean}
            insertion, deletion = by_metric["insertion"], by_metric["deletion"]
            cells = [figure(insertion), interval(insertion), figure(deletion), interval(deletion)]
            table.add_row(method.method, *cells)
    return table


def _findings_table(report: ExplanationReport) -> Table:
    """The first method, finding by finding, beside the baselines."""
    first = report.methods[0]
    table = _new_table(f"{first.method}, by finding" if len(report.methods) > 1 else None)
    table.caption = (
        "Hit rate: the hottest point lies in a true region. Energy: share of the positive heatmap in it. "
        "Prec.: average precision of the pixels. "
        "Fixed, mean: hit rates of the best fixed point and of the mean heatmap of other patients, which never look; "
        "above, below: surely so, against the best fixed point. "
        f"ms: one image, all findings. {RESEARCH_ONLY}"
    )
    table.add_column("finding", no_wrap=True)
    for name in ("images", "hit rate", "95 % CI", "fixed", "mean", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for row in first.localisation.findings:
        over = row.over_best_fixed_point
        verdict = ("above" if over.value > 0 else "below") if over.excludes_zero else ""
        table.add_row(
            spoken(row.finding),
            f"{row.num_images:,}",
            figure(row.pointing),
            interval(row.pointing),
            number(row.baselines.best_fixed_point),
            _number(row.mean_heatmap.pointing if row.mean_heatmap else None),
            verdict,
        )
    return table


def _new_table(title: str | None) -> Table:
    return Table(title=title, title_style="bold yellow", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def _number(value: float | None) -> str:
    return "" if value is None else number(value)


def _print_files(results: files_recipe.FileResults) -> None:
    for answer in results.answers:
        console.stdout.print(f"[bold]{escape(printable(answer.path))}[/]", soft_wrap=True, highlight=False)
        match answer:
            case Refusal(path, code, message):
                reason = escape(printable(message.removeprefix(f"{path}: ")))
                console.stdout.print(f"  [red]refused ({code.value})[/] {reason}", soft_wrap=True, highlight=False)
            case files_recipe.ExplainedFile(findings=findings):
                for one in findings:
                    picture = escape(printable(str(one.picture)))
                    line = f"  {spoken(one.finding):<20} {one.probability:.3f}  [dim]{picture}[/]"
                    console.stdout.print(line, soft_wrap=True, highlight=False)


def _document(source: Path, options: files_recipe.FilesOptions, results: files_recipe.FileResults) -> dict[str, object]:
    return {
        "version": JSON_VERSION,
        "notice": RESEARCH_ONLY,
        "made_by": f"pocketcxr {__version__}",
        "source": str(source),
        "is_simulated": results.is_simulated,
        "methods": options.methods,
        "results": [_as_data(answer) for answer in results.answers],
    }


def _as_data(answer: files_recipe.ExplainedFile | Refusal) -> dict[str, object]:
    match answer:
        case Refusal(path, code, message):
            return {"path": path, "status": "refused", "code": code.value, "message": message}
        case files_recipe.ExplainedFile(path, findings):
            return {
                "path": path,
                "status": "explained",
                "findings": [
                    {
                        "finding": one.finding,
                        "logit": one.logit,
                        "probability": one.probability,
                        "is_calibrated": one.is_calibrated,
                        "picture": str(one.picture),
                    }
                    for one in findings
                ],
            }
