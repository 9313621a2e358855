"""pocketcxr export: a run as a bundle that scores X-rays without PyTorch."""

from pathlib import Path
from typing import Annotated

import typer

from pocketcxr.apps.cli import console
from pocketcxr.domain.extras import require


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run: the --out of pocketcxr train or distill.")],
    out: Annotated[Path, typer.Option(help="The bundle: one file when it ends in .zip, a folder otherwise.")],
) -> None:
    """Write a run's best weights as a bundle: ONNX graphs, card, golden vectors. Research use only."""
    for module in ("torch", "onnx", "onnxscript"):
        require(module, "train", "export")
    from pocketcxr.recipes import export as recipe

    with console.progress_bars() as progress:
        recipe.export(run, out, progress)
    console.say(f"bundle: {out}")
    console.say(f"next: pocketcxr predict {out} FILE...")
