"""`pocketcxr simulate`: simulated radiographs with known findings, in an official layout."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pocketcxr.apps.cli import console
from pocketcxr.domain.errors import UsageError

DEFAULT_SIZES = {"chestmnist": 64}
"""Sides in pixels where the default is another than 256: MedMNIST has no such size."""


def simulate(
    out: Annotated[Path, typer.Argument(help="A new or empty folder, or an earlier simulation to go on with.")],
    layout: Annotated[
        str, typer.Option(help="Layout of the files: chestxray14, chexpert, padchest or chestmnist.")
    ] = "chestxray14",
    images: Annotated[int, typer.Option(help="Number of images.")] = 2000,
    size: Annotated[
        int | None, typer.Option(help="Side of the square images, pixels.", show_default="256; chestmnist: 64")
    ] = None,
    seed: Annotated[int, typer.Option(help="Equal seeds and settings give equal files.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Processes; one for each processor if not given.")] = None,
    label_noise: Annotated[float, typer.Option(help="Strength of the label noise, 0 (none) to 1.")] = 0.0,
    prevalence_scale: Annotated[float, typer.Option(help="Multiplies the published prevalences.")] = 1.0,
    test_fraction: Annotated[
        float, typer.Option(help="Share of the patients for testing; padchest has no such part.")
    ] = 0.2,
) -> None:
    """Simulate chest radiographs with known findings, boxes and label noise. Research use only."""
    from pydantic import ValidationError

    from pocketcxr.phantom.config import LabelNoise, PhantomConfig
    from pocketcxr.recipes import simulate as recipe

    try:
        config = PhantomConfig(
            layout=layout,
            images=images,
            size=DEFAULT_SIZES.get(layout, 256) if size is None else size,
            seed=seed,
            prevalence_scale=prevalence_scale,
            test_fraction=test_fraction,
            label_noise=LabelNoise(strength=label_noise),
        )
    except ValidationError as error:
        raise UsageError("\n".join(_explain(dict(problem)) for problem in error.errors())) from error
    with console.progress_bars() as progress:
        recipe.simulate(config, out, _num_processors() if workers is None else workers, progress)
    console.say(f"{images} simulated radiographs of {config.size} x {config.size} pixels: {out}")
    console.say(_next_step(layout, config.size, out))


def _next_step(layout: str, size: int, out: Path) -> str:
    """What to do with the data set."""
    from pocketcxr.phantom.layouts.chestmnist import SIZES

    if layout == "chestmnist" and size not in SIZES:
        return f"`pocketcxr prepare chestmnist` reads the sizes of MedMNIST only: {', '.join(map(str, SIZES))}"
    return f"next: pocketcxr prepare {layout} {out} --out {out.with_suffix('.parquet')}"


def _explain(problem: dict[str, object]) -> str:
    """One line for one value that pydantic refused."""
    location = problem["loc"]
    name = location[-1] if isinstance(location, tuple) and location else "setting"
    option = "label-noise" if name == "strength" else str(name).replace("_", "-")
    return f"--{option} {problem['input']}: {problem['msg']}"


def _num_processors() -> int:
    """Processors this process may use: fewer than the machine has, in a container or under taskset."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
