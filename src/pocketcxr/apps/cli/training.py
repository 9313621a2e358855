"""What `train` and `distill` do alike: read the config, draw progress, say how it ended."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from pocketcxr.apps.cli import console
from pocketcxr.domain.progress import Progress
from pocketcxr.recipes.config import load_config
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.runs import train_summary


def run_training(
    recipe: Callable[[RunConfig, Path, Progress], Path],
    path: Path | None,
    overrides: Sequence[str],
    out: Path,
    is_json: bool,
) -> None:
    """Run the recipe on the config. Raises what the recipe raises."""
    config = load_config(RunConfig, path, overrides)
    with console.progress_bars() as progress:
        run = recipe(config, out, progress)
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
