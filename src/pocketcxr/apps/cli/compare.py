"""pocketcxr compare: a whole grid of teachers, students, objectives and seeds."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketcxr.apps.cli import console
from pocketcxr.domain.extras import require
from pocketcxr.domain.progress import NO_FIGURES, Progress

if TYPE_CHECKING:
    from rich.table import Table

    from pocketcxr.recipes.compare_config import GridConfig
    from pocketcxr.recipes.compare_results import ArmResult, CompareReport

SOME_FAILED = 1


def compare(
    grid: Annotated[Path, typer.Argument(metavar="GRID.yaml", help="What to compare.")],
    out: Annotated[Path, typer.Option(help="Folder of all runs and results; the same command again goes on.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting, as in base.optim.steps=2000.")
    ] = None,
    is_dry: Annotated[
        bool, typer.Option("--dry-run", help="List the trainings and what is done; train nothing.")
    ] = False,
    is_json: Annotated[bool, typer.Option("--json", help="Print results.json, or the list of a dry run.")] = False,
) -> None:
    """Train and compare teachers x students x objectives x seeds; stop with Ctrl-C, resume with the same command.

    Exit codes: 0 every cell has a result, 1 some failed (failures.json says why), 2 wrong usage.
    """
    require("torch", "train", "comparing")
    from pocketcxr.recipes import compare as recipe
    from pocketcxr.recipes.compare_config import GridConfig
    from pocketcxr.recipes.compare_report import headlines
    from pocketcxr.recipes.config import load_config

    config = load_config(GridConfig, grid, overrides or [])
    if is_dry:
        _show_plan(config, out, str(grid), is_json)
        return
    with _bars_of_cells() as progress:
        result = recipe.compare(config, out, progress, str(grid))
    report = result.report
    if is_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        console.stdout.print(_table(report), highlight=False)
        for line in headlines(report):
            console.say(line)
    for failure in report.failures:
        console.complain(f"{failure.cell}: {failure.message}")
    console.say(f"report: {result.page}")
    if report.failures:
        raise typer.Exit(SOME_FAILED)


def _show_plan(config: "GridConfig", out: Path, where: str, is_json: bool) -> None:
    from rich import box
    from rich.table import Table

    from pocketcxr.recipes.compare import dry_run

    planned = dry_run(config, out, where)
    if is_json:
        cells = [{"cell": cell.name, "state": state, "run": str(cell.folder)} for cell, state in planned]
        typer.echo(json.dumps(cells, indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("training", "steps", "state"):
        table.add_column(name, justify="right" if name == "steps" else "left")
    for cell, state in planned:
        table.add_row(cell.name, f"{cell.config.optim.steps:,}", state)
    console.stdout.print(table, highlight=False)
    counts = Counter(state for _, state in planned)
    told = ", ".join(f"{counts[state]} {state}" for state in ("done", "started", "new", "outdated") if counts[state])
    console.say(f"{len(planned)} trainings: {told}. Nothing was trained.")
    if counts["outdated"]:
        console.say(f"outdated runs will be moved to {out / 'outdated'} and trained anew")


@contextmanager
def _bars_of_cells() -> Iterator[Progress]:
    """A listener that says which cell begins and draws its bars; those of finished cells stay above."""
    from pocketcxr.recipes.compare import CELLS

    with ExitStack() as stack:
        current, bars, count = "", None, ""

        def listen(stage: str, done: int, total: int, figures: Mapping[str, float] = NO_FIGURES) -> None:
            nonlocal current, bars, count
            if stage == CELLS:
                count = f"{min(done + 1, total)}/{total}"
                return
            cell, _, inner = stage.partition(": ")
            if bars is None or cell != current:
                stack.close()
                console.say(f"[{count}] {cell}")
                current, bars = cell, stack.enter_context(console.progress_bars())
            bars(inner, done, total, figures)

        yield listen


def _table(report: "CompareReport") -> "Table":
    """80 columns: the arm, how it ranks, what distillation brought, what it costs."""
    from rich import box
    from rich.table import Table

    from pocketcxr.evaluate.wording import RESEARCH_ONLY

    grid = report.grid
    table = Table(
        title="SIMULATED, no patients" if report.is_simulated else None,
        title_style="bold yellow",
        caption=f"{report.num_images:,} images of {report.num_patients:,} patients, {len(grid.seeds)} seeds;"
        f" * chosen on {grid.choose_split.value}. {RESEARCH_ONLY}",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("arm", overflow="fold")
    for name in (
        grid.choose_split.value[:5],
        grid.report_split.value,
        "± sd",
        "minus alone (95 % CI)",
        "M MACs",
        "min",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for arm in report.arms:
        table.add_row(*_cells(arm), style="bold" if arm.is_chosen else None)
    return table


def _cells(arm: "ArmResult") -> tuple[str, ...]:
    from pocketcxr.evaluate.wording import UNKNOWN, figure, interval, number

    mean = arm.reported.mean
    gain = arm.minus_alone.mean.estimate if arm.minus_alone and arm.minus_alone.mean else None
    return (
        f"{arm.name}{' *' if arm.is_chosen else ''}",
        UNKNOWN if arm.choosing_auroc is None else number(arm.choosing_auroc),
        figure(mean.estimate if mean else None),
        UNKNOWN if mean is None or mean.spread is None else number(mean.spread),
        UNKNOWN if gain is None else f"{figure(gain, True)} ({interval(gain, True)})",
        UNKNOWN if arm.cost.macs is None else f"{arm.cost.macs / 1e6:.1f}",
        UNKNOWN if arm.cost.seconds is None else f"{arm.cost.seconds / 60:.1f}",
    )
