"""pocketcxr distill: from a manifest and a teacher to a student."""

from pathlib import Path
from typing import Annotated

import typer

from pocketcxr.domain.extras import require


def distill(
    out: Annotated[Path, typer.Option(help="Folder of the run; the same command again goes on with it.")],
    config: Annotated[Path | None, typer.Option(help="YAML file with what differs from the defaults.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting, as in teacher.run=runs/teacher."),
    ] = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print how training ended as JSON.")] = False,
) -> None:
    """Train a student that learns from a teacher; stop with Ctrl-C, resume with the same command."""
    require("torch", "train", "distilling")
    from pocketcxr.apps.cli.training import run_training
    from pocketcxr.recipes import distill as recipe

    run_training(recipe.distill, config, overrides or [], out, is_json)
