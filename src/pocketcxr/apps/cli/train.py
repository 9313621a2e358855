"""pocketcxr train: from a manifest to a trained net."""

from pathlib import Path
from typing import Annotated

import typer

from pocketcxr.domain.extras import require


def train(
    out: Annotated[Path, typer.Option(help="Folder of the run; the same command again goes on with it.")],
    config: Annotated[Path | None, typer.Option(help="YAML file with what differs from the defaults.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting, as in optim.steps=2000.")
    ] = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print how training ended as JSON.")] = False,
) -> None:
    """Train a net (teacher or student) on a manifest; stop with Ctrl-C, resume with the same command."""
    require("torch", "train", "training")
    from pocketcxr.apps.cli.training import run_training
    from pocketcxr.recipes import train as recipe

    run_training(recipe.train, config, overrides or [], out, is_json)
