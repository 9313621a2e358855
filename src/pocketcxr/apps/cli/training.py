"""What `train` and `distill` do alike: read the config, draw progress, say how it ended."""

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from pocketcxr.apps.cli import console
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.recipes.config import load_config
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.runs import train_summary
from pocketcxr.train.launch import launched


def run_training(
    recipe: Callable[[RunConfig, Path, Progress], Path],
    path: Path | None,
    overrides: Sequence[str],
    out: Path,
    is_json: bool,
) -> None:
    """Run the recipe on the config. Raises what the recipe raises."""
    config = load_config(RunConfig, path, overrides)
    # Of processes that train together the first speaks for all; an error is told by whoever has it.
    is_first = launched().rank == 0
    if not is_first:
        logging.getLogger("pocketcxr").setLevel(logging.ERROR)
    with console.progress_bars() if is_first else nullcontext(silent) as progress:
        run = recipe(config, out, progress)
    if not is_first:
        return
    summary = train_summary(run)
    if is_json:
        print(json.dumps({"run": str(run), **summary}))  # noqa: T201 - stdout is data
        return
    result = summary["result"]
    assert isinstance(result, dict)
    auroc = result["best_auroc"]
    scored = "unknown (no finding had both classes)" if auroc is None else f"{auroc:.3f}"
    console.say(
        f"{run}: mean validation AUROC {scored} at step {result['best_step']}; "
        f"{result['steps']} steps in {result['seconds']:.0f} s, {result['images_per_second']:.0f} images/s"
    )
    console.say(f"next: pocketcxr evaluate {run} --manifest {config.manifest} --split test")
