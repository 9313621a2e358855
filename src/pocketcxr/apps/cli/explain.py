"""pocketcxr explain: do the heatmaps of a run or a bundle point at the findings?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketcxr.apps.cli import console
from pocketcxr.domain.extras import require
from pocketcxr.domain.study import Split

if TYPE_CHECKING:
    from rich.table import Table

    from pocketcxr.recipes.explain import ExplanationReport

SOME_REFUSED = 3


def explain(
    source: Annotated[Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="Folder of a run, or a bundle.")],
    manifest: Annotated[Path, typer.Option(help="Made by pocketcxr prepare; its regions are the truth.")],
    split: Annotated[Split, typer.Option(help="Which part of the manifest.")] = Split.TEST,
    out: Annotated[Path | None, typer.Option(help="Folder; the run's explanation/, or NAME.explanation.")] = None,
    overlays: Annotated[int, typer.Option(min=0, help="Pictures to draw, spread over the findings.")] = 28,
    resamples: Annotated[int, typer.Option(min=1, help="Of the bootstrap.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    is_json: Annotated[bool, typer.Option("--json", help="Print localisation.json.")] = False,
) -> None:
    """Compare heatmaps with true boxes, write localisation.json and overlays. Research use only.

    Exit codes: 0 every marked image was explained, 3 some could not be read, 1 the work failed, 2 wrong usage.
    """
    require("torch", "train", "explanation")
    from pocketcxr.recipes import explain as recipe

    options = recipe.ExplainOptions(manifest, split, overlays, resamples, seed)
    with console.progress_bars() as progress:
        result = recipe.explain(source, options, out, progress)
    report = result.full_report
    if is_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        console.stdout.print(_table(report), highlight=False)
    for message in report.refused:
        console.say(f"left out: {message}")
    if report.unlearnt:
        console.say(f"no figures for what the model never learnt: {', '.join(report.unlearnt)}")
    console.say(f"pictures: {result.out / 'overlays'} ({len(result.overlays)})")
    if report.refused:
        raise typer.Exit(SOME_REFUSED)


def _table(report: "ExplanationReport") -> "Table":
    from rich import box
    from rich.table import Table

    from pocketcxr.evaluate.wording import RESEARCH_ONLY, figure, interval, number, spoken

    title = "SIMULATED, no patients" if report.is_simulated else None
    caption = (
        "Hit rate: the hottest point lies in a true box. Energy: share of the positive heatmap in them. "
        "Centre and fixed: hit rates of the image's centre and of the best fixed point, which never look. "
        f"{RESEARCH_ONLY}"
    )
    table = Table(
        title=title,
        title_style="bold yellow",
        caption=caption,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("finding", no_wrap=True)
    for name in ("images", "hit rate", "95 % CI", "energy", "centre", "fixed"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in report.localisation.findings:
        table.add_row(
            spoken(row.finding),
            f"{row.num_images:,}",
            figure(row.pointing),
            interval(row.pointing),
            figure(row.energy),
            number(row.baselines.centre),
            number(row.baselines.best_fixed_point),
        )
    table.add_section()
    mean = report.localisation.mean
    table.add_row(
        f"mean of {len(report.localisation.findings)}",
        f"{mean.num_images:,}",
        figure(mean.pointing),
        interval(mean.pointing),
        figure(mean.energy),
        number(mean.centre),
        number(mean.best_fixed_point),
        style="bold",
    )
    return table
