"""The figures of a comparison worth keeping: results.json of `pocketcxr compare` as small JSON, and a table for people.

python benchmarks/condense.py OUT/results.json --json docs/results/NAME.json --commit COMMIT
"""

import argparse
import json
from pathlib import Path
from typing import Any

from _inputs import is_missing
from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.hierarchical import SeededFigure
from pocketcxr.recipes.compare_results import ArmResult, CompareReport

ENVIRONMENT = ("cpu", "num_cores", "device", "gpu", "python", "packages")


def rounded(estimate: Estimate | None) -> list[float | None] | None:
    """[value, low, high]; None where there is no figure."""
    if estimate is None:
        return None
    return [None if one is None else round(one, 4) for one in (estimate.value, estimate.low, estimate.high)]


def figure(seeded: SeededFigure | None) -> dict[str, Any] | None:
    """The mean over seeds with its interval, and each seed's own."""
    if seeded is None:
        return None
    return {"mean_low_high": rounded(seeded.estimate), "by_seed": [round(one, 4) for one in seeded.by_seed]}


def condensed(arm: ArmResult) -> dict[str, Any]:
    """One arm."""
    cost = arm.cost
    return {
        "arm": arm.name,
        "seeds": arm.seeds,
        "chosen_on_validation": arm.is_chosen,
        "validation_auroc": None if arm.choosing_auroc is None else round(arm.choosing_auroc, 4),
        "mean_auroc": figure(arm.reported.mean),
        "minus_alone": None if arm.minus_alone is None else figure(arm.minus_alone.mean),
        "minus_teacher": None if arm.minus_teacher is None else figure(arm.minus_teacher.mean),
        "gap_closed": None if arm.gap_closed is None else rounded(arm.gap_closed.mean),
        "parameters": cost.parameters,
        "macs": cost.macs,
        "steps": cost.steps,
    }


def row(arm: dict[str, Any]) -> str:
    """One arm as a line of a Markdown table."""
    test, gain, share = arm["mean_auroc"], arm["minus_alone"], arm["gap_closed"]
    name = f"**{arm['arm']}**" if arm["chosen_on_validation"] else arm["arm"]
    cells = [name, str(max(1, len(arm["seeds"]))), f"{arm['validation_auroc']:.3f}"]
    cells.append("{:.3f} ({:.3f} to {:.3f})".format(*test["mean_low_high"]) if test else "")
    cells.append("{:+.3f} ({:+.3f} to {:+.3f})".format(*gain["mean_low_high"]) if gain else "")
    cells.append(" ".join(f"{one:+.3f}" for one in gain["by_seed"]) if gain else "")
    cells.append("{:.0%} ({:.0%} to {:.0%})".format(*share) if share else "")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--commit", help="that trained it")
    arguments = parser.parse_args()
    if is_missing("the results.json of a `pocketcxr compare`, --json and --commit", arguments.results):
        return
    if arguments.json is None or arguments.commit is None:
        parser.error("--json and --commit are needed beside the results")
    report = CompareReport.model_validate_json(arguments.results.read_bytes())
    arms = [condensed(arm) for arm in report.arms]
    kept = {
        "commit": arguments.commit,
        "created": report.created,
        "environment": {name: report.environment[name] for name in ENVIRONMENT},
        "is_simulated": report.is_simulated,
        "num_test_images": report.num_images,
        "grid": report.grid.model_dump(mode="json", exclude={"manifest", "truth"}),
        "arms": arms,
        "failures": [failure.cell for failure in report.failures],
    }
    arguments.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print("| arm | seeds | validation | test (95 % CI) | minus alone (95 % CI) | by seed | gap closed |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(map(row, arms)))


if __name__ == "__main__":
    main()
