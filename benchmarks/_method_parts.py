"""One explanation method of one model, measured: a part of method_table.py."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from pocketcxr.domain.progress import Progress, silent
from pocketcxr.evaluate.faithfulness import FaithfulnessTask, measure_faithfulness
from pocketcxr.evaluate.faithfulness_pairs import METRICS, FaithfulnessSample, FaithfulnessSettings, mean_heatmaps
from pocketcxr.evaluate.heatmaps import LocalisationSample, energy_in_box, pointing_game
from pocketcxr.evaluate.localisation import LocalisationReport, localise
from pocketcxr.explain.methods import Method
from pocketcxr.imaging.geometry import place_heatmap
from pocketcxr.recipes.explain_cohort import Cohort, explained_marks, read_batches
from pocketcxr.recipes.explain_measures import cost
from pocketcxr.recipes.explain_report import Cost
from pocketcxr.recipes.explaining import Explainer

SETTINGS = FaithfulnessSettings(road_fractions=(0.5,), num_squares=1)
"""Only deletion and insertion are looked at: of the other measures as little as can be asked for."""
NUM_RESAMPLES = 2000
SEED = 0
Arm = tuple[str, Method]
"""Student or teacher, and the method."""


class Asked(BaseModel, frozen=True, extra="forbid"):
    """What a part is of: one with other settings is measured anew."""

    run: str
    manifest: str
    method: Method
    num_images: int
    num_faithfulness: int


class Pair(BaseModel, frozen=True, extra="forbid"):
    """One finding of one image."""

    image_id: str
    patient_id: str
    finding: str
    hit: float
    energy: float | None
    """None where nothing in the heatmap is positive."""


class Judged(BaseModel, frozen=True, extra="forbid"):
    """The faithfulness of one pair: of the heatmap, of it shuffled, and of the mean heatmap of other images."""

    image_id: str
    patient_id: str
    finding: str
    insertion: tuple[float, float, float]
    deletion: tuple[float, float, float]


class Part(BaseModel, frozen=True, extra="forbid"):
    """One method of one model."""

    asked: Asked
    pairs: tuple[Pair, ...]
    judged: tuple[Judged, ...]
    localisation: LocalisationReport
    cost: Cost
    seconds: float
    """All of it took so long."""


@dataclass(frozen=True, eq=False)
class Images:
    """What every method is measured on."""

    cohort: Cohort
    judged: frozenset[str]
    """Those of them whose faithfulness is measured."""


@dataclass(frozen=True, eq=False)
class _Heatmaps:
    """What the heatmaps of a cohort leave behind as they pass by."""

    pairs: list[Pair]
    judged: list[FaithfulnessSample]
    """Of every judged image its most probable marked finding."""
    others: list[FaithfulnessSample]
    """Of all other images all marked findings."""


def read_part(file: Path, asked: Asked) -> Part | None:
    """What was measured before; None where it was not, or otherwise than asked."""
    if not file.exists():
        return None
    part = Part.model_validate_json(file.read_text(encoding="utf-8"))
    return part if part.asked == asked else None


def measure_part(asked: Asked, images: Images, explainer: Explainer, progress: Progress) -> Part:
    """The method's localisation, faithfulness and cost on the images."""
    start = time.monotonic()
    kept = _Heatmaps([], [], [])
    samples = _samples(images, explainer, kept, progress)
    localisation = localise(samples, np.random.default_rng(SEED), NUM_RESAMPLES)
    return Part(
        asked=asked,
        pairs=tuple(kept.pairs),
        judged=_judged(explainer, kept),
        localisation=localisation,
        cost=_cost(images, explainer),
        seconds=round(time.monotonic() - start, 1),
    )


def _samples(images: Images, explainer: Explainer, kept: _Heatmaps, progress: Progress) -> Iterator[LocalisationSample]:
    """The heatmaps of all marked findings over their images, for localisation."""
    cohort = images.cohort
    for row, radiograph, maps in explained_marks(cohort, explainer, progress, f"{explainer.method}: heatmaps"):
        image_id, patient_id = str(row.image_id), str(row.patient_id)
        size = (radiograph.height, radiograph.width)
        (image,) = explainer.prepare([radiograph])
        told = dict(zip(explainer.findings, explainer.predict(image[None])[0].tolist(), strict=True))
        most_probable = max(maps, key=lambda finding: told[finding])
        # In the order of the marks: that of the maps differs from method to method.
        for finding in cohort.marks[image_id]:
            one, column = maps[finding], explainer.findings.index(finding)
            for_faithfulness = FaithfulnessSample(image_id, patient_id, finding, column, image, one)
            if image_id not in images.judged:
                kept.others.append(for_faithfulness)
            elif finding == most_probable:
                kept.judged.append(for_faithfulness)
            boxes = cohort.marks[image_id][finding].boxes
            sample = LocalisationSample(image_id, patient_id, finding, place_heatmap(one, *size), boxes, *size)
            hit, energy = pointing_game(sample.heatmap, sample.region), energy_in_box(sample.heatmap, sample.region)
            kept.pairs.append(
                Pair(image_id=image_id, patient_id=patient_id, finding=finding, hit=float(hit), energy=energy)
            )
            yield sample


def _judged(explainer: Explainer, kept: _Heatmaps) -> tuple[Judged, ...]:
    """Deletion and insertion, through the model's predict callable and the blurred image."""
    if not kept.judged:
        return ()
    task = FaithfulnessTask(explainer.predict, None, mean_heatmaps(kept.others), SETTINGS, SEED)
    scores = measure_faithfulness(task, kept.judged)
    places = [METRICS.index(name) for name in ("insertion", "deletion")]
    names = zip(scores.image_ids, scores.patient_ids, scores.findings, strict=True)
    return tuple(
        Judged(
            image_id=image_id,
            patient_id=patient_id,
            finding=finding,
            insertion=tuple(values[:, places[0]].tolist()),
            deletion=tuple(values[:, places[1]].tolist()),
        )
        for (image_id, patient_id, finding), values in zip(names, scores.values, strict=True)
    )


def _cost(images: Images, explainer: Explainer) -> Cost:
    table = images.cohort.marked.iloc[:1]
    ((_, radiographs),) = read_batches(images.cohort, table, silent, "")
    return cost(explainer, explainer.prepare(radiographs))
