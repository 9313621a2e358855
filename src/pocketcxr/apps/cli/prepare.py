"""`pocketcxr prepare`: a data set's folder -> a manifest, and what is in it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketcxr.apps.cli import console
from pocketcxr.domain.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from pocketcxr.manifest.summary import Summary


def prepare(
    source: Annotated[str, typer.Argument(help="What the folder holds; an unknown name lists those there are.")],
    root: Annotated[Path | None, typer.Argument(help="The folder with the label tables and the images.")] = None,
    out: Annotated[Path | None, typer.Option(help="The manifest to write, a .parquet file.")] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file with the source's settings.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting, as in split.seed=3. Repeatable."),
    ] = None,
    labels_only: Annotated[bool, typer.Option("--labels-only", help="Do not look at the images.")] = False,
    check_images: Annotated[
        bool, typer.Option("--check-images", help="Look for one exposure under two patients or in two splits.")
    ] = False,
    card: Annotated[Path | None, typer.Option(help="Folder for a data card: card.html and card.json.")] = None,
    list_findings: Annotated[
        bool, typer.Option("--list-findings", help="Show which label text becomes which finding, and end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer to stdout, as JSON.")] = False,
) -> None:
    """Read a data set, check it, split its patients and write the manifest."""
    from pocketcxr.domain.extras import require

    require("pandera", "train", "pocketcxr prepare")
    from pocketcxr.recipes import prepare as recipe

    if list_findings:
        _list_findings(source, as_json)
        return
    settings = recipe.source_config(
        source, config, [*(overrides or ()), *(["images.labels_only=true"] if labels_only else [])]
    )
    if root is None or out is None:
        raise UsageError(f"give the folder and the manifest to write: pocketcxr prepare {source} ROOT --out M.parquet")
    with console.progress_bars() as progress:
        summary = recipe.prepare(settings, root, out, recipe.PrepareOptions(check_images, card), progress)
    console.stderr.print(_table(summary))
    for note in summary.notes:
        console.say(note)
    if card is not None:
        console.say(f"data card: {card / 'card.html'}")
    console.say(f"{summary.num_images:,} images of {summary.num_patients:,} patients: {out}")
    if as_json:
        typer.echo(json.dumps(asdict(summary), indent=2))


def _list_findings(source: str, as_json: bool) -> None:
    from rich.table import Table

    from pocketcxr.recipes.prepare import source_named

    mappings = source_named(source).mappings
    if as_json:
        typer.echo(json.dumps([asdict(mapping) for mapping in mappings], indent=2))
        return
    if not mappings:
        console.say(f"{source}: has no labels of its own; its settings say which text becomes which finding")
        return
    table = Table("label in the source", "finding", "note", title=f"{source}: what becomes what")
    for mapping in mappings:
        table.add_row(mapping.label, mapping.finding or "-", mapping.note)
    console.stdout.print(table)


def _table(summary: "Summary") -> "Table":
    from rich.table import Table

    table = Table(title="SIMULATED, no patients" if summary.is_simulated else None, title_style="bold yellow")
    table.add_column("")
    for name in summary.splits:
        table.add_column(name, justify="right")
    splits = summary.splits.values()
    table.add_row("images", *(f"{split.num_images:,}" for split in splits))
    table.add_row("patients", *(f"{split.num_patients:,}" for split in splits))
    table.add_row("boxes", *(f"{split.num_boxes:,}" for split in splits))
    for view in sorted({view for split in splits for view, count in split.views.items() if count}):
        table.add_row(view, *(f"{split.views[view]:,}" for split in splits))
    table.add_section()
    for finding in summary.findings:
        table.add_row(finding, *(_share(split.present[finding], split.num_images) for split in splits))
    return table


def _share(count: int, total: int) -> str:
    return f"{count:,} {100 * count / total:5.1f} %" if total else f"{count:,}        "
