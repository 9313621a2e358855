"""pocketcxr concepts: what one finding or one device added to a simulated X-ray does to a model's answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketcxr.apps.cli import console
from pocketcxr.domain.extras import require

if TYPE_CHECKING:
    from rich.table import Table

    from pocketcxr.recipes.concepts import ConceptCheck


def concepts(
    source: Annotated[Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="Folder of a run, or a bundle.")],
    pairs: Annotated[int, typer.Option(min=2, help="Patients drawn with and without each thing.")] = 40,
    finding: Annotated[
        list[str] | None, typer.Option(help="Only this finding; may be given again. Default: all it learnt.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; the run's concepts/, or NAME.concepts.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the patients; not that of the training data.")] = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print concepts.json.")] = False,
) -> None:
    """Add one finding or device to simulated patients: does its answer move, and its heatmap? Research use only.

    Works with any model; one that was trained on real X-rays meets pictures of a strange kind.
    """
    require("torch", "train", "concept checks")
    from pocketcxr.recipes import concepts as recipe

    options = recipe.ConceptOptions(
        num_pairs=pairs, findings=tuple(finding) if finding else None, seed=recipe.SEED if seed is None else seed
    )
    with console.progress_bars() as progress:
        result = recipe.concepts(source, options, out, progress)
    if is_json:
        typer.echo(result.check.model_dump_json(indent=2))
    else:
        for table in (_findings_table(result.check), _devices_table(result.check)):
            console.stdout.print(table, highlight=False)
    console.say(f"pictures of pairs and concepts.json: {result.out}")


def _findings_table(check: "ConceptCheck") -> "Table":
    from pocketcxr.evaluate.wording import figure, interval, spoken

    table = _new_table("SIMULATED patients, one finding added")
    table.caption = (
        "Logit rose: share of pairs. Heatmap: share of its rise where the picture changed, minus the same of another"
        " patient's rise; 0 means that it does not look at this patient."
    )
    table.add_column("finding", no_wrap=True)
    for name in ("pairs", "logit rose", "heatmap", "95 % CI"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in check.concepts.findings:
        of = row.figures
        cells = [figure(of.rose), figure(of.over_other, is_signed=True), interval(of.over_other, is_signed=True)]
        table.add_row(spoken(row.finding), str(row.num_pairs), *cells)
    mean = check.concepts.mean
    table.add_section()
    cells = [figure(mean.rose), figure(mean.over_other, is_signed=True), interval(mean.over_other, is_signed=True)]
    table.add_row("mean", "", *cells, style="bold")
    return table


def _devices_table(check: "ConceptCheck") -> "Table":
    from pocketcxr.evaluate.wording import RESEARCH_ONLY, figure, interval, number, spoken

    table = _new_table("SIMULATED patients, one device added")
    table.caption = (
        "Shortcut: how much a device moves the probabilities, as a share of what the findings themselves do; 0 is"
        f" right. Most for: the finding that it speaks for most, signed. {RESEARCH_ONLY}"
    )
    table.add_column("device", no_wrap=True)
    for name in ("shortcut", "95 % CI", "most for", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for row in check.concepts.devices:
        told = [(one.signed_shortcut.value, one.finding) for one in row.findings if one.signed_shortcut is not None]
        value, name = max(told, default=(0.0, ""))
        most = (spoken(name), number(value, is_signed=True)) if name else ("", "")
        table.add_row(spoken(row.device), figure(row.mean_shortcut), interval(row.mean_shortcut), *most)
    return table


def _new_table(title: str) -> "Table":
    from rich import box
    from rich.table import Table

    return Table(title=title, title_style="bold yellow", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
