"""pocketcxr evaluate: how well a run or a bundle ranks the images of a manifest."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketcxr.apps.cli import console
from pocketcxr.apps.cli.trusted_key import TrustedKey, refuse_untrusted
from pocketcxr.domain.extras import require
from pocketcxr.domain.study import Split

if TYPE_CHECKING:
    from rich.table import Table

    from pocketcxr.recipes.evaluate import EvaluationReport

SOME_REFUSED = 3


def evaluate(
    source: Annotated[Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="Folder of a run, or a bundle.")],
    manifest: Annotated[Path, typer.Option(help="Made by pocketcxr prepare.")],
    split: Annotated[Split, typer.Option(help="Which part of the manifest.")] = Split.TEST,
    out: Annotated[
        Path | None, typer.Option(help="Folder for scores and report; the run's own, or NAME.evaluation.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=1, help="Of the bootstrap.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a run's net sees at once.")] = 64,
    trusted_key: TrustedKey = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print report.json.")] = False,
) -> None:
    """Score the images, write scores.parquet, report.json and report.html. Research use only.

    Exit codes: 0 every image was scored, 3 some could not be read, 1 the work failed, 2 wrong usage.
    """
    require("torch", "train", "evaluation")
    from pocketcxr.recipes import evaluate as recipe

    refuse_untrusted(source, trusted_key)
    options = recipe.EvaluateOptions(manifest, split, batch_size, resamples, seed)
    with console.progress_bars() as progress:
        result = recipe.evaluate(source, options, out, progress)
    report = result.report
    if is_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        console.stdout.print(_table(report), highlight=False)
    for refused in report.refused:
        console.say(f"left out: {refused.path} ({refused.code}): {refused.message}")
    for row in report.ranking.findings:
        if row.why_undefined is not None:
            console.say(f"no figures for {row.finding}: {row.why_undefined}")
    console.say(f"report: {result.out / 'report.html'}")
    if report.refused:
        raise typer.Exit(SOME_REFUSED)


def _table(report: "EvaluationReport") -> "Table":
    from rich.table import Table

    from pocketcxr.evaluate.wording import RESEARCH_ONLY, figure, interval

    ranking = report.ranking
    title = "SIMULATED, no patients" if report.is_simulated else None
    table = Table(title=title, title_style="bold yellow", caption=f"{report.cohort}. {RESEARCH_ONLY}")
    for name in ("AUROC", "95 % CI", "AUPRC", "95 % CI", "with it"):
        if not table.columns:
            table.add_column("finding")
        table.add_column(name, justify="right")
    for row in ranking.findings:
        counts = f"{row.num_positive:,} of {row.num_known:,}"
        table.add_row(
            row.finding, figure(row.auroc), interval(row.auroc), figure(row.auprc), interval(row.auprc), counts
        )
    table.add_section()
    mean = (ranking.mean_auroc, ranking.mean_auprc)
    table.add_row(
        f"mean of {len(ranking.mean_over)}",
        *(text for estimate in mean for text in (figure(estimate), interval(estimate))),
        "",
        style="bold",
    )
    return table
