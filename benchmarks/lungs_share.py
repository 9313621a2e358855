"""How much of a student's heatmaps lies in the lungs of real X-rays, beside what never looks at the image?

    python benchmarks/lungs_share.py [RUN_OR_BUNDLE] [FOLDER] [--images N] [--json OUT]

FOLDER holds images/, lung_boxes_orig_pixels.csv (two boxes an image, in pixels of the image as published),
provenance.csv (its size then and now) and metadata.csv (patientid): the images of covid-chestxray-dataset with the lung
boxes drawn for it. Two shares: of what speaks for a finding (the positive part), and of what speaks for or against it
(absolute values). A heatmap outside the lungs is suspect, one inside is not thereby right. docs/results/README.md.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from _inputs import is_missing
from pocketcxr.apps.cli.console import progress_bars
from pocketcxr.domain.progress import Progress
from pocketcxr.domain.study import Box
from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.explanation_means import PairMeans, pair_means
from pocketcxr.evaluate.faithfulness_pairs import centre_blob
from pocketcxr.evaluate.heatmaps import LocalisationSample, as_mask, energy_in_box
from pocketcxr.evaluate.localisation import Localisation, MeanLocalisation, localise
from pocketcxr.imaging.geometry import place_heatmap, scale_box
from pocketcxr.imaging.load import load
from pocketcxr.recipes.environment import describe_environment
from pocketcxr.recipes.explaining import Explainer, Maps, explain_batch, open_explainer
from pocketcxr.train.atomic import write_atomically
from pocketcxr.train.devices import pick_device

RUN = Path("runs/real-and-phantom-student")
FOLDER = Path("data/covid_chestxray_256px")
NUM_RESAMPLES = 2000
SEED = 0


@dataclass(frozen=True)
class LungImage:
    """A file, whose it is, and its lungs in its own pixels."""

    file: Path
    patient_id: str
    lungs: tuple[Box, ...]


def read_images(folder: Path) -> list[LungImage]:
    """The images of the folder with lung boxes."""
    boxes = pd.read_csv(folder / "lung_boxes_orig_pixels.csv")
    sizes = pd.read_csv(folder / "provenance.csv").set_index("stored")
    patients = pd.read_csv(folder / "metadata.csv", dtype=str).set_index("filename")["patientid"]
    images = []
    for stored, rows in boxes.groupby("stored"):
        size = sizes.loc[stored]
        across, down = size["stored_w"] / size["src_w"], size["stored_h"] / size["src_h"]
        lungs = tuple(scale_box(Box(*map(float, one)), across, down) for one in rows[["x", "y", "w", "h"]].to_numpy())
        images.append(LungImage(folder / "images" / str(stored), patients[rows["filename"].iloc[0]], lungs))
    return images


@dataclass(frozen=True, eq=False)
class Explained:
    """One image and its raw heatmaps."""

    image: LungImage
    height: int
    width: int
    class_maps: dict[str, Maps]
    """[grid_h, grid_w] by finding, in logit units."""
    blob: Maps
    """[height, width]: a round hill in the centre of the model's square input."""


def explain_all(images: Sequence[LungImage], explainer: Explainer, progress: Progress) -> Iterator[Explained]:
    """The heatmaps of every finding of every image."""
    for number, one in enumerate(images, start=1):
        radiograph = load(one.file)
        (explained,) = explain_batch(explainer, [radiograph])
        size = (radiograph.height, radiograph.width)
        yield Explained(one, *size, explained.class_maps, place_heatmap(centre_blob(explainer.size), *size))
        progress("explaining", number, len(images))


class Study:
    """The figures that `localise` does not have, gathered as the heatmaps pass by."""

    def __init__(self, explained: Sequence[Explained], is_absolute: bool) -> None:
        self.columns: list[list[float]] = []
        """Energy in the lungs of the heatmap, of a blob in the centre, of a flat heatmap (area)."""
        self.findings: list[str] = []
        self.patient_ids: list[str] = []
        self._explained, self._is_absolute = explained, is_absolute

    def samples(self) -> Iterator[LocalisationSample]:
        """One for each finding of each image, with the lungs as its region."""
        for one in self._explained:
            image, size = one.image, (one.height, one.width)
            lungs = as_mask(image.lungs, *size)
            blob, area = energy_in_box(one.blob, lungs), float(lungs.mean())
            for finding, class_map in one.class_maps.items():
                heatmap = place_heatmap(class_map, *size)
                heatmap = np.abs(heatmap) if self._is_absolute else heatmap
                shares = (energy_in_box(heatmap, lungs), blob, area)
                self.columns.append([np.nan if share is None else share for share in shares])
                self.findings.append(finding)
                self.patient_ids.append(image.patient_id)
                yield LocalisationSample(image.file.name, image.patient_id, finding, heatmap, image.lungs, *size)

    def means(self) -> PairMeans:
        """Means of NAMES."""
        of_heatmap, blob, flat = np.array(self.columns).T
        table = np.stack([of_heatmap, blob, flat, of_heatmap - blob, of_heatmap - flat], axis=1)
        return pair_means(table, self.findings, self.patient_ids, np.random.default_rng(SEED), NUM_RESAMPLES)


NAMES = ("energy", "centre_blob", "flat_heatmap", "energy_minus_centre_blob", "energy_minus_flat_heatmap")


def figures_of(means: Sequence[Estimate | None], of: Localisation | MeanLocalisation) -> dict[str, object]:
    """Of one finding, or of the mean over findings: the heatmap's, the mean heatmap's, and what never looks."""
    of_mean, over = of.mean_heatmap, of.over_mean_heatmap
    centre = of.baselines.centre if isinstance(of, Localisation) else of.centre
    return {
        **{name: shown(one) for name, one in zip(NAMES, means, strict=True)},
        "mean_heatmap": None if of_mean is None or of_mean.energy is None else round(of_mean.energy, 4),
        "energy_minus_mean_heatmap": None if over is None else shown(over.energy),
        "num_without_energy": of.num_without_energy if isinstance(of, Localisation) else None,
        "hottest_point": shown(of.pointing),
        "hottest_point_of_mean_heatmap": None if of_mean is None else round(of_mean.pointing, 4),
        "hottest_point_minus_mean_heatmap": None if over is None else shown(over.pointing),
        "image_centre": round(centre, 4),
    }


def shown(estimate: Estimate | None) -> list[float | None] | None:
    """[value, low, high] with four decimals."""
    if estimate is None:
        return None
    return [None if one is None else round(one, 4) for one in (estimate.value, estimate.low, estimate.high)]


def study(explained: Sequence[Explained], is_absolute: bool) -> dict[str, Any]:
    """All figures of what speaks for a finding, or of what speaks for or against it."""
    of = Study(explained, is_absolute)
    report = localise(of.samples(), np.random.default_rng(SEED), NUM_RESAMPLES)
    means = of.means()
    return {
        "mean": figures_of(means.mean, report.mean),
        "by_finding": {one.finding: figures_of(means.by_finding[one.finding], one) for one in report.findings},
    }


def result_of(explained: Sequence[Explained]) -> dict[str, Any]:
    """All figures, as JSON values: numbers only."""
    return {
        "num_images": len(explained),
        "num_patients": len({one.image.patient_id for one in explained}),
        "num_resamples": NUM_RESAMPLES,
        "speaks_for": study(explained, is_absolute=False),
        "speaks_for_or_against": study(explained, is_absolute=True),
        "environment": describe_environment(pick_device("cpu")),
    }


def print_table(kind: str, table: dict[str, Any]) -> None:
    """Energy by finding beside the baselines."""
    print(f"\n{kind:22} {'in the lungs':>26} {'mean heatmap':>13} {'flat':>6} {'centre':>7} {'without':>8}")
    for name, row in {"mean": table["mean"], **table["by_finding"]}.items():
        flat, blob, of_mean = row["flat_heatmap"][0], row["centre_blob"][0], row["mean_heatmap"]
        told = "" if of_mean is None else f"{of_mean:.3f}"
        print(f"{name:22} {row['energy']!s:>26} {told:>13} {flat:6.3f} {blob:7.3f} {row['num_without_energy'] or 0:8}")


def main() -> None:
    """Measure, print and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", default=RUN, help="run or bundle")
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--images", type=int, help="only so many")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    if is_missing("a run or bundle, and X-rays with lung boxes", options.run, options.folder):
        return
    images = read_images(options.folder)[: options.images]
    with progress_bars() as progress:
        result = result_of(list(explain_all(images, open_explainer(options.run), progress)))
    for kind in ("speaks_for", "speaks_for_or_against"):
        print_table(kind, result[kind])
    if options.json:
        write_atomically(options.json, (json.dumps(result, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
