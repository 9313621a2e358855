"""Whose heatmaps point better, over several seeds: paired differences of hit rate and energy, on the same images.

    python benchmarks/explanation_study.py [MANIFEST] [--first RUN ...] [--second RUN ...] [--method NAME] [--json OUT]

The i-th `--first` is compared with the i-th `--second`: two students of one seed, say. The manifest's test split is
used; its regions are the truth. Without arguments: the quickstart's distilled student against the one alone.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from _inputs import QUICKSTART, is_missing
from pocketcxr.apps.cli.console import progress_bars
from pocketcxr.domain.progress import Progress
from pocketcxr.domain.study import Split
from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.explanation_means import pair_means
from pocketcxr.evaluate.heatmaps import energy_in_box, pointing_game
from pocketcxr.explain.methods import METHODS, Method
from pocketcxr.manifest.schema import Manifest, read_manifest, select
from pocketcxr.recipes.explain_cohort import localisation_samples, open_cohort
from pocketcxr.recipes.explaining import open_explainer

RESAMPLES = 1000
MEAN = "mean"
Key = tuple[str, str]
"""Image and finding."""
Figures = dict[Key, tuple[str, float, float]]
"""Patient, hit and energy in the region (NaN where nothing is positive)."""


def figures_of(run: Path, manifest: Manifest, method: Method, progress: Progress) -> Figures:
    """What each heatmap of a marked finding is worth."""
    explainer = open_explainer(run, method)
    cohort = open_cohort(manifest, explainer.learnt)
    figures: Figures = {}
    for sample in localisation_samples(cohort, explainer, progress, f"explaining with {run.name}"):
        energy = energy_in_box(sample.heatmap, sample.region)
        hit = float(pointing_game(sample.heatmap, sample.region))
        figures[sample.image_id, sample.finding] = (sample.patient_id, hit, np.nan if energy is None else energy)
    return figures


def paired(first: Sequence[Figures], second: Sequence[Figures]) -> dict[str, dict[str, list[float | None]]]:
    """By finding and in the mean over findings: hit and energy of both, and first minus second with its interval.

    Each figure is an image's mean over the seeds, so the interval holds the luck of the patients alone.
    """
    keys = sorted(set.intersection(*(set(one) for one in (*first, *second))))
    columns = []
    for place in (1, 2):
        means = [_mean_over_seeds(side, keys, place) for side in (first, second)]
        columns += [*means, means[0] - means[1]]
    patients, findings = [first[0][key][0] for key in keys], [finding for _, finding in keys]
    means_of = pair_means(np.stack(columns, axis=1), findings, patients, np.random.default_rng(0), RESAMPLES)
    return {MEAN: _row(means_of.mean), **{name: _row(of_finding) for name, of_finding in means_of.by_finding.items()}}


def _mean_over_seeds(side: Sequence[Figures], keys: Sequence[Key], place: int) -> NDArray[np.float64]:
    # Where a map of one seed has no energy the pair is left out of the energy altogether.
    return np.mean([[one[key][place] for key in keys] for one in side], axis=0, dtype=np.float64)


def _row(figures: Sequence[Estimate | None]) -> dict[str, list[float | None]]:
    row: dict[str, list[float | None]] = {}
    for name, (ours, theirs, difference) in zip(("hit", "energy"), (figures[:3], figures[3:]), strict=True):
        row[name] = [None if one is None else round(one.value, 4) for one in (ours, theirs)]
        interval = [None] * 3 if difference is None else [difference.value, difference.low, difference.high]
        row[f"{name}_difference"] = [None if one is None else round(one, 4) for one in interval]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path, nargs="?", default=QUICKSTART / "truth.parquet")
    parser.add_argument("--first", type=Path, nargs="+", default=[QUICKSTART / "distilled"])
    parser.add_argument("--second", type=Path, nargs="+", default=[QUICKSTART / "alone"])
    parser.add_argument("--method", choices=METHODS, default="one-pass")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if len(arguments.first) != len(arguments.second):
        parser.error("--first and --second must name as many runs")
    needs = "a manifest with regions, and runs to compare, as `make quickstart` leaves them"
    if is_missing(needs, arguments.manifest, *arguments.first, *arguments.second):
        return
    manifest = select(read_manifest(arguments.manifest), Split.TEST)
    with progress_bars() as progress:
        sides = [
            [figures_of(run, manifest, arguments.method, progress) for run in runs]
            for runs in (arguments.first, arguments.second)
        ]
    table = paired(*sides)
    for finding, row in table.items():
        hit, difference = row["hit"], row["hit_difference"]
        print(f"{finding:20} hit {hit[0]:.3f} against {hit[1]:.3f}, difference {difference}")
    if arguments.json:
        kept = {"num_seeds": len(arguments.first), "num_resamples": RESAMPLES, "by_finding": table}
        arguments.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
