"""Does the quickstart's distillation hold? Several seeds, each with its own patients, labels, weights and batches.

    python benchmarks/distillation_study.py study/ --seeds 5 --out docs/results/distillation

Arms, all on the same student with the same number of steps of the same size:
  alone       labels of the labelled patients (noisy), nothing else
  alone-all   noisy labels of ALL training patients: what the extra images bring when somebody labels them
  distilled   the quickstart's objective: the teacher's answers on all training images, no labels
  soft        the teacher's probabilities alone, without the hint
  with-maps   the quickstart's objective and class-map distillation
  paper       the paper's objective (focal BCE + T^2 MSE on softened softmax) on the labelled patients, as in the paper
  paper-mixed the same with the unlabelled images mixed in

Tests are on the clean truth of test patients that took part in no training. docs/results/README.md says which arm was
fixed before the seeds of its table were run (with-maps) and which was picked after seeing them (distilled).
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console

from pocketcxr.apps.cli.console import progress_bars
from pocketcxr.distill.config import OBJECTIVES, ClassMapTerm, ObjectiveConfig, SoftBceTerm
from pocketcxr.evaluate.differences import compare
from pocketcxr.evaluate.ranking import mean_auroc
from pocketcxr.evaluate.scores import ScoreTable
from pocketcxr.manifest.sources.chestxray14 import Chestxray14Config
from pocketcxr.manifest.splits import SplitConfig
from pocketcxr.recipes.environment import describe_environment
from pocketcxr.recipes.evaluate import EvaluateOptions, evaluate
from pocketcxr.recipes.prepare import prepare
from pocketcxr.recipes.quickstart import CLEAN_TABLE, Places
from pocketcxr.recipes.quickstart_config import (
    DISTILLED,
    QuickstartConfig,
    alone_config,
    distilled_config,
    phantom_config,
    teacher_config,
)
from pocketcxr.recipes.run_config import CohortConfig, RunConfig
from pocketcxr.recipes.simulate import simulate
from pocketcxr.recipes.train import train
from pocketcxr.train.devices import pick_device

Make = Callable[[QuickstartConfig, Path, Path], RunConfig]


def alone(config: QuickstartConfig, manifest: Path, _teacher: Path) -> RunConfig:
    """The student alone."""
    return alone_config(config, manifest)


def alone_all(config: QuickstartConfig, manifest: Path, _teacher: Path) -> RunConfig:
    """The student alone with everybody's noisy labels."""
    return alone_config(config, manifest).model_copy(update={"cohort": CohortConfig()})


def soft(config: QuickstartConfig, manifest: Path, teacher: Path) -> RunConfig:
    """Only the teacher's probabilities."""
    objective = ObjectiveConfig(terms=(SoftBceTerm(),))
    return distilled_config(config, manifest, teacher).model_copy(update={"objective": objective})


def with_maps(config: QuickstartConfig, manifest: Path, teacher: Path) -> RunConfig:
    """The quickstart's objective and class maps."""
    objective = ObjectiveConfig(terms=(*DISTILLED.terms, ClassMapTerm(weight=0.5, form="cosine")))
    return distilled_config(config, manifest, teacher).model_copy(update={"objective": objective})


def paper(config: QuickstartConfig, manifest: Path, teacher: Path) -> RunConfig:
    """The paper's objective on images with labels only."""
    mixed = paper_mixed(config, manifest, teacher)
    return mixed.model_copy(update={"cohort": mixed.cohort.model_copy(update={"labelled_share": 1.0})})


def paper_mixed(config: QuickstartConfig, manifest: Path, teacher: Path) -> RunConfig:
    """The paper's objective on all images."""
    return distilled_config(config, manifest, teacher).model_copy(update={"objective": OBJECTIVES["paper"]})


ARMS: dict[str, Make] = {
    "alone": alone,
    "alone-all": alone_all,
    "distilled": distilled_config,
    "soft": soft,
    "with-maps": with_maps,
    "paper": paper,
    "paper-mixed": paper_mixed,
}


def run_seed(root: Path, config: QuickstartConfig, arms: list[str]) -> dict[str, ScoreTable]:
    """The test scores of the teacher and of every arm for one seed; what is already there is kept."""
    places = Places(root / f"seed-{config.seed}")
    with progress_bars() as progress:
        simulate(phantom_config(config), places.data, os.cpu_count() or 1, progress)
        source = Chestxray14Config(split=SplitConfig(seed=config.seed))
        prepare(source, places.data, places.manifest)
        prepare(source.model_copy(update={"label_table": CLEAN_TABLE}), places.data, places.truth)
        teacher = train(teacher_config(config, places.manifest), places.run("teacher"), progress)
        scores = {}
        for name in ["teacher", *arms]:
            if name != "teacher":
                train(ARMS[name](config, places.manifest, teacher), places.run(name), progress)
            options = EvaluateOptions(places.truth, num_resamples=200, seed=config.seed)
            scores[name] = evaluate(places.run(name), options, progress=progress).scores
    return scores


def row_of(scores: dict[str, ScoreTable], seed: int) -> dict[str, object]:
    """One seed's mean AUROCs and differences to the student alone, with patient-bootstrap intervals."""
    row: dict[str, object] = {"seed": seed}
    for name, table in scores.items():
        difference = compare(table, scores["alone"], np.random.default_rng(seed), 2000).mean_auroc
        assert difference is not None
        row[name] = {
            "mean_auroc": mean_auroc(table.labels, table.probabilities),
            "minus_alone": difference.value,
            "low": difference.low,
            "high": difference.high,
            "num_images": table.num_images,
            "num_patients": table.num_patients,
        }
    return row


def as_table(rows: list[dict], names: list[str]) -> str:
    """The rows as Markdown: each seed, then mean and between-seed standard deviation."""
    lines = ["| seed | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for row in rows:
        cells = [_cell(row[name], is_baseline=name == "alone") for name in names]
        lines.append(f"| {row['seed']} | " + " | ".join(cells) + " |")
    if len(rows) > 1:
        spreads = [_spread(rows, name) for name in names]
        lines.append("| **mean ± sd of seeds** | " + " | ".join(spreads) + " |")
    return "\n".join(lines) + "\n"


def _cell(entry: dict, is_baseline: bool) -> str:
    value = f"{entry['mean_auroc']:.3f}"
    return (
        value if is_baseline else f"{value} ({entry['minus_alone']:+.3f}; {entry['low']:+.3f} to {entry['high']:+.3f})"
    )


def _spread(rows: list[dict], name: str) -> str:
    values, gains = ([row[name][key] for row in rows] for key in ("mean_auroc", "minus_alone"))
    text = f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"
    return text if name == "alone" else f"{text} ({statistics.mean(gains):+.3f} ± {statistics.stdev(gains):.3f})"


def main() -> None:
    """Run the study, print its table and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="for data and runs; the same again goes on")
    parser.add_argument("--out", type=Path, help="results go to OUT.json and OUT.md")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=10)
    parser.add_argument("--arms", default="alone,alone-all,distilled", help=f"of {', '.join(ARMS)}")
    arguments = parser.parse_args()
    if arguments.folder is None:
        print("skipped: no folder is given; needs one for data and runs, and several hours")
        return
    arms = arguments.arms.split(",")
    rows = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        rows.append(row_of(run_seed(arguments.folder, QuickstartConfig(seed=seed), arms), seed))
        table = as_table(rows, ["teacher", *arms])
        Console().print(table, soft_wrap=True)
        if arguments.out:
            facts = {
                "config": QuickstartConfig().model_dump(mode="json"),
                "environment": describe_environment(pick_device("cpu")),
                "seeds": rows,
            }
            arguments.out.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
            arguments.out.with_suffix(".md").write_text(table)


if __name__ == "__main__":
    main()
