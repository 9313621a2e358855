"""`pocketcxr prepare`: a data set's folder -> a manifest, and what is in it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketcxr.apps.cli import console

if TYPE_CHECKING:
    from rich.table import Table

    from pocketcxr.manifest.summary import Summary


def prepare(
    source: Annotated[str, typer.Argument(help="What the folder holds: chestxray14.")],
    root: Annotated[Path, typer.Argument(help="The folder with the label table, the lists and the images.")],
    out: Annotated[Path, typer.Option(help="The manifest to write, a .parquet file.")],
    labels_only: Annotated[bool, typer.Option("--labels-only", help="Do not look at the images.")] = False,
    label_table: Annotated[str, typer.Option(help="Name of the label table.")] = "Data_Entry_2017_v2020.csv",
    validation_fraction: Annotated[float, typer.Option(help="Share of the training patients for validation.")] = 0.125,
    seed: Annotated[int, typer.Option(help="Equal seeds choose equal validation patients.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts to stdout, as JSON.")] = False,
) -> None:
    """Read a data set, check it, split its patients and write the manifest."""
    from pocketcxr.domain.extras import require

    require("pandera", "train", "pocketcxr prepare")
    from pocketcxr.recipes import prepare as recipe

    config = recipe.PrepareConfig(
        source=source,
        root=root,
        validation_fraction=validation_fraction,
        seed=seed,
        label_table=label_table,
        labels_only=labels_only,
    )
    with console.progress_bars() as progress:
        summary = recipe.prepare(config, out, progress)
    console.stderr.print(_table(summary))
    for note in summary.notes:
        console.say(note)
    console.say(f"{summary.num_images:,} images of {summary.num_patients:,} patients: {out}")
    if as_json:
        typer.echo(json.dumps(asdict(summary), indent=2))


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
