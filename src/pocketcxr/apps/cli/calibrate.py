"""pocketcxr calibrate: a bundle's probabilities and thresholds for one site, from a small labelled set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pocketcxr.apps.cli import console
from pocketcxr.domain.extras import require

if TYPE_CHECKING:
    from rich.table import Table

    from pocketcxr.recipes.calibrate import Recalibration


def calibrate(
    bundle: Annotated[Path, typer.Argument(help="The --out of pocketcxr export; it is kept as it is.")],
    scores: Annotated[
        Path, typer.Option(help="What pocketcxr predict --csv wrote, with columns label.<finding> of 1, 0 or blank.")
    ],
    out: Annotated[Path | None, typer.Option(help="The new bundle; NAME.calibrated beside the old one.")] = None,
    method: Annotated[
        Literal["platt", "temperature"], typer.Option(help="platt moves and stretches logits, temperature stretches.")
    ] = "platt",
    prevalence: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="For PPV and NPV; each finding's own in the scores if not given."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    is_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Re-fit probabilities and thresholds to a site's own labels. Research use only.

    A finding needs 20 images with it and 20 without it; others stay as they are. Needs pocketcxr[train].
    """
    for module in ("scipy", "pyarrow", "jinja2", "cyclonedx"):
        require(module, "train", "calibration")
    from pocketcxr.recipes import calibrate as recipe

    options = recipe.CalibrateOptions(method, prevalence, seed=seed)
    result = recipe.calibrate(bundle, scores, out, options)
    if is_json:
        typer.echo(result.model_dump_json(indent=2))
    else:
        console.stdout.print(_table(result), highlight=False)
    _say(result)


def _table(result: "Recalibration") -> "Table":
    from rich.table import Table

    from pocketcxr.evaluate.wording import RESEARCH_ONLY, UNKNOWN, figure

    table = Table(box=None, caption=f"Error: expected calibration error. {result.report.cohort}. {RESEARCH_ONLY}")
    table.add_column("finding", no_wrap=True)
    for name in ("with it", "error\nbefore", "error\nafter", "threshold of\nsensitivity-90", "its\nspecificity"):
        table.add_column(name, justify="right")
    for row in result.report.findings:
        before = None if row.before is None else row.before.ece_equal_mass
        after = None if row.after is None else row.after.ece_equal_mass
        point = next((one for one in row.operating_points if one.criterion == "sensitivity-90" and row.line), None)
        decided = (UNKNOWN, UNKNOWN) if point is None else (f"{point.threshold:.4f}", figure(point.specificity))
        counts = f"{row.num_positives:,} of {row.num_images:,}"
        table.add_row(row.finding, counts, figure(before), figure(after), *decided)
    return table


def _say(result: "Recalibration") -> None:
    if not result.has_patients:
        console.say("no column patient_id: every image counts as a patient of its own, so intervals may be too narrow")
    if result.num_left_out:
        console.say(f"left out: {result.num_left_out} rows without scores")
    for finding, why in result.kept.items():
        console.say(f"{finding} stays as it was: {why}")
    for row in result.report.calibrated:
        if row.wide:
            names = ", ".join(point.criterion for point in row.wide)
            console.say(f"{row.finding}: too few images to know what {names} achieve; label more before relying on it")
    console.say(f"bundle: {result.out}")
    console.say(f"report: {result.page}")
