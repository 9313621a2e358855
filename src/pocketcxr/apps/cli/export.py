"""pocketcxr export: a run as a bundle that scores X-rays without PyTorch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketcxr.apps.cli import console
from pocketcxr.domain.errors import UsageError
from pocketcxr.domain.extras import require

if TYPE_CHECKING:
    from pocketcxr.runtime.card_gate import ExportGate, Precision


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run: the --out of pocketcxr train or distill.")],
    out: Annotated[Path, typer.Option(help="The bundle: one file when it ends in .zip, a folder otherwise.")],
    manifest: Annotated[
        Path | None, typer.Option(help="Images to calibrate and judge on; those of the run if not given.")
    ] = None,
    builds: Annotated[str, typer.Option(help="What to try, with commas; fp32 is always made.")] = "fp32,fp16,int8",
    gate_images: Annotated[int, typer.Option(min=1, help="Validation images to judge builds on, at most.")] = 400,
    has_gate: Annotated[bool, typer.Option("--gate/--no-gate", help="--no-gate: fp32 alone, nothing measured.")] = True,
) -> None:
    """Write a run's best weights as a bundle, in the fastest build that keeps the numbers. Research use only.

    fp16 and INT8 are measured on this machine and judged against fp32 on validation images: AUROC, probabilities,
    decisions, heatmaps. INT8 that loses too much is tried again with its worst layers in float.
    """
    for module in ("torch", "onnx", "onnxscript", "cyclonedx"):
        require(module, "train", "export")
    from pocketcxr.recipes import export as recipe
    from pocketcxr.recipes.export_gate import GateOptions

    precisions = _precisions(builds)
    gate = GateOptions(builds=precisions, num_images=gate_images) if has_gate else None
    with console.progress_bars() as progress:
        recipe.export(run, out, progress, recipe.ExportOptions(manifest, gate))
    _tell(out)


def _precisions(text: str) -> "tuple[Precision, ...]":
    known: dict[str, Precision] = {"fp32": "fp32", "fp16": "fp16", "int8": "int8"}
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"--builds {text}: {unknown[0]!r} is no build; available: {', '.join(known)}")
    return tuple(known[name] for name in names)


def _tell(out: Path) -> None:
    from pocketcxr.recipes.export_page import builds_page
    from pocketcxr.runtime.bundle import open_bundle

    gate = open_bundle(out).card.gate
    if gate is not None:
        _print(gate)
        console.say(f"report: {builds_page(out)}")
    console.say(f"bundle: {out}")
    console.say(f"next: pocketcxr predict {out} FILE...")


def _print(gate: "ExportGate") -> None:
    """The builds as columns: their figures would not fit beside each other."""
    from rich.table import Table

    from pocketcxr.recipes.export_page import headers, headline, table

    rows = table(gate)
    shown = Table(box=None, pad_edge=False)
    shown.add_column(no_wrap=True)
    for cells in rows:
        shown.add_column(cells[0], justify="right")
    for place, header in enumerate(headers(gate)[1:], start=1):
        shown.add_row(header, *(_stacked(cells[place]) for cells in rows))
    shown.add_row("verdict", *(_verdict(gate, place) for place in range(len(rows))))
    console.stdout.print(shown, highlight=False)
    for build, cells in zip(gate.builds, rows, strict=True):
        if build.failures:
            console.stdout.print(f"{cells[0]} fails: {'; '.join(build.failures)}", highlight=False)
    console.stdout.print(headline(gate), highlight=False)
    console.stdout.print(f"{gate.processor}; {gate.cohort}; changes are against fp32", style="dim", highlight=False)


def _stacked(cell: str) -> str:
    """A figure over its interval, which is written as short as can be: three builds fit 80 columns."""
    return cell.replace(" (", "\n").replace(" to ", "..").removesuffix(")")


def _verdict(gate: "ExportGate", place: int) -> str:
    if place == gate.shipped:
        return "shipped"
    return "passes" if gate.builds[place].passes else "fails"
