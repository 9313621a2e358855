"""pocketcxr quickstart: the whole job on simulated radiographs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from pocketcxr.apps.cli import console

if TYPE_CHECKING:
    from pocketcxr.recipes.quickstart import QuickstartResult


def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for data, runs, bundle and report; the same again goes on.")] = Path(
        "quickstart"
    ),
    is_short: Annotated[
        bool, typer.Option("--short", help="The same path in about a minute; its figures mean nothing.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of data, labels, weights and batches.")] = 0,
    is_json: Annotated[bool, typer.Option("--json", help="Print summary.json at the end.")] = False,
) -> None:
    """Simulate X-rays, train a teacher, distil a student, evaluate, explain, export and predict: the whole job."""
    from pocketcxr.apps.cli.builds_table import print_builds
    from pocketcxr.recipes.quickstart import quickstart as run_quickstart
    from pocketcxr.recipes.quickstart_config import SHORT, QuickstartConfig

    config = (SHORT if is_short else QuickstartConfig()).model_copy(update={"seed": seed})
    console.say(
        f"The whole job on {config.num_images:,} simulated radiographs, in {out}/ (Ctrl-C stops, the same goes on)"
    )
    with console.progress_bars() as progress:
        result = run_quickstart(config, out, progress)
    if is_json:
        typer.echo(result.summary.model_dump_json(indent=2))
        return
    console.stdout.print(_table(result))
    if result.summary.builds is not None:
        print_builds(result.summary.builds, console.stdout)
    _say_what_next(result)


def _table(result: "QuickstartResult") -> Table:
    from pocketcxr.evaluate import wording
    from pocketcxr.recipes.quickstart_report import NAMES

    test = result.summary.distilled_minus_alone
    table = Table(
        title=f"Mean AUROC on {test.num_images:,} simulated test images of {test.num_patients:,} patients",
        caption=f"Simulated radiographs. {wording.RESEARCH_ONLY}",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("model", no_wrap=True)
    for column in ("AUROC", "95 % CI", "M params", "M MACs", "ms/image"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, evaluation in result.evaluations.items():
        report = evaluation.report
        auroc = report.ranking.mean_auroc
        table.add_row(
            NAMES[name],
            wording.figure(auroc),
            wording.interval(auroc),
            f"{report.parameters / 1e6:.2f}",
            wording.UNKNOWN if report.macs is None else f"{report.macs / 1e6:.1f}",
            wording.milliseconds(report.milliseconds),
        )
    return table


def _say_what_next(result: "QuickstartResult") -> None:
    from pocketcxr.evaluate import wording
    from pocketcxr.recipes.export_page import builds_page

    for name, difference in (
        ("the student alone", result.summary.distilled_minus_alone),
        ("the teacher", result.summary.distilled_minus_teacher),
    ):
        gain = difference.mean_auroc
        console.say(
            f"Distilled minus {name}: {wording.number(gain.value, True) if gain else wording.UNKNOWN} "
            f"(95 % CI {wording.interval(gain, True)})"
        )
    console.say(wording.ONE_SEED)
    places = result.places
    if result.summary.builds is not None:
        console.say(f"\nBuilds: {builds_page(places.bundle)}")
    console.say(f"Report: {places.report}\nBundle: {places.bundle}\nTry it on an X-ray:")
    console.say(f"  .venv/bin/pocketcxr predict {places.bundle} {result.sample} --heatmaps {places.root}/heatmaps")
