"""pocketcxr export: a run as a bundle that scores X-rays without PyTorch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketcxr.apps.cli import console
from pocketcxr.domain.errors import UsageError
from pocketcxr.domain.extras import require

if TYPE_CHECKING:
    from pocketcxr.recipes.export_summary import ExportSummary
    from pocketcxr.runtime.card_gate import Precision


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run: the --out of pocketcxr train or distill.")],
    out: Annotated[Path, typer.Option(help="The bundle: one file when it ends in .zip, a folder otherwise.")],
    manifest: Annotated[
        Path | None, typer.Option(help="Images to calibrate and judge on; those of the run if not given.")
    ] = None,
    builds: Annotated[str, typer.Option(help="What to try, with commas; fp32 is always made.")] = "fp32,fp16,int8",
    gate_images: Annotated[int, typer.Option(min=1, help="Validation images to judge builds on, at most.")] = 400,
    has_gate: Annotated[bool, typer.Option("--gate/--no-gate", help="--no-gate: fp32 alone, nothing measured.")] = True,
    has_input_gate: Annotated[
        bool,
        typer.Option("--input-gate/--no-input-gate", help="Whether the bundle refuses what is no frontal chest X-ray."),
    ] = True,
    is_retrained: Annotated[
        bool | None,
        typer.Option("--qat/--no-qat", help="Train INT8's weights on while rounded; else where INT8 fails alone."),
    ] = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write a run's best weights as a bundle, in the fastest build that keeps the numbers. Research use only.

    fp16 and INT8 are measured on this machine and judged against fp32 on validation images: AUROC, probabilities,
    decisions, heatmaps. INT8 that loses too much is tried again with its worst layers in float, at last with
    its weights trained on while they are rounded.
    """
    for module in ("torch", "onnx", "onnxscript", "cyclonedx"):
        require(module, "train", "export")
    from pocketcxr.recipes import export as recipe
    from pocketcxr.recipes.export_gate import GateOptions
    from pocketcxr.recipes.export_summary import summarise

    precisions = _precisions(builds)
    gate = GateOptions(builds=precisions, num_images=gate_images, is_retrained=is_retrained) if has_gate else None
    with console.progress_bars() as progress:
        recipe.export(run, out, progress, recipe.ExportOptions(manifest, gate, has_input_gate))
    summary = summarise(out)
    if is_json:
        typer.echo(summary.model_dump_json(indent=2))
    else:
        _tell(summary)


def _precisions(text: str) -> "tuple[Precision, ...]":
    from pocketcxr.runtime.card_gate import PRECISIONS

    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in PRECISIONS]
    if unknown:
        raise UsageError(f"--builds {text}: {unknown[0]!r} is no build; available: {', '.join(PRECISIONS)}")
    return tuple(PRECISIONS[name] for name in names)


def _tell(summary: "ExportSummary") -> None:
    from pocketcxr.apps.cli.builds_table import print_builds

    if summary.gate is not None:
        print_builds(summary.gate, console.stdout)
        console.say(f"report: {summary.builds_page}")
    if not summary.has_input_gate:
        console.say("input gate: none; predict scores whatever can be decoded, chest X-ray or not")
    console.say(f"bundle: {summary.out}")
    console.say(f"next: pocketcxr predict {summary.out} FILE...")
