"""pocketcxr models: the students and teachers there are, and what they cost."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pocketcxr.apps.cli import console
from pocketcxr.domain.extras import require

if TYPE_CHECKING:
    from rich.table import Table

    from pocketcxr.models.catalogue import NetEntry


def models(is_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False) -> None:
    """List students and teachers with their parameters and multiply-accumulates (14 findings, 224 x 224 pixels)."""
    require("torch", "train", "the list of models")
    require("timm", "train", "the list of models")
    from pocketcxr.models.catalogue import catalogue

    with console.progress_bars() as progress:
        entries = catalogue(progress)
    if is_json:
        typer.echo(json.dumps([entry.as_dict() for entry in entries], indent=2))
    else:
        console.stdout.print(_table(entries), highlight=False)
        console.say("Any other timm model with a feature map works too, and xrv:<torchxrayvision weights>.")


def _table(entries: Sequence["NetEntry"]) -> "Table":
    from rich import box
    from rich.table import Table

    caption = (
        "14 findings, one input channel, 224 x 224 pixels. Heatmaps: MACs on top of the logits. "
        "--json also gives the counts with three channels, as published."
    )
    table = Table(caption=caption, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("net", no_wrap=True)
    table.add_column("role", no_wrap=True)
    for name in ("parameters", "MACs (M)", "heatmaps (M)"):
        table.add_column(name, justify="right", no_wrap=True)
    for entry in entries:
        table.add_row(
            entry.name,
            "either" if entry.role == "student or teacher" else entry.role,
            f"{entry.parameters:,}",
            f"{entry.macs / 1e6:,.1f}",
            f"{entry.heatmap_macs / 1e6:.1f}",
        )
    return table
