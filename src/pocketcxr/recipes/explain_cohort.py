"""The marked images of a manifest, explained batch by batch: what localisation and the pictures are made of."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pocketcxr.domain.errors import ImageRefusedError
from pocketcxr.domain.progress import Progress
from pocketcxr.domain.study import Box
from pocketcxr.evaluate.heatmaps import LocalisationSample
from pocketcxr.evaluate.segmentations import Segmentations, read_segmentations
from pocketcxr.imaging.geometry import place_heatmap
from pocketcxr.imaging.load import load
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.manifest.schema import Manifest
from pocketcxr.recipes.explain_regions import is_table, read_boxes
from pocketcxr.recipes.explaining import Explainer, Maps, maps_wanted

BATCH_SIZE = 32
"""Radiographs explained at once; whole pictures of that many are in memory."""


@dataclass(frozen=True)
class Mark:
    """Where one finding is in one image: boxes, a mask, or both."""

    boxes: tuple[Box, ...] = ()
    has_mask: bool = False


@dataclass(eq=False)
class Cohort:
    """Images to explain, where their findings are, and which of them could not be read."""

    manifest: Manifest
    marks: Mapping[str, Mapping[str, Mark]]
    """By image and finding, of the findings the model learnt."""
    segmentations: Segmentations | None = None
    refused: dict[str, str] = field(default_factory=dict)
    """Why, by path: filled as files are read."""

    @property
    def marked(self) -> pd.DataFrame:
        """The rows of the table that have marks."""
        table = self.manifest.table
        return table[table["image_id"].isin(self.marks.keys())]

    def mask(self, image_id: str, finding: str) -> NDArray[np.bool_] | None:
        """[height, width]; None where the finding has boxes only."""
        if self.segmentations is None or not self.marks[image_id][finding].has_mask:
            return None
        return self.segmentations.mask(image_id, finding)

    def boxes(self, image_id: str, finding: str) -> tuple[Box, ...]:
        """What a picture outlines: boxes, and around a mask the box that holds it; empty where nothing is marked."""
        mark = self.marks.get(image_id, {}).get(finding, Mark())
        mask = self.mask(image_id, finding) if mark.has_mask else None
        if mask is None:
            return mark.boxes
        (rows,), (columns,) = np.nonzero(mask.any(axis=1)), np.nonzero(mask.any(axis=0))
        around = Box(columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0])
        return (*mark.boxes, around)


def open_cohort(manifest: Manifest, learnt: frozenset[str], regions: Path | None = None) -> Cohort:
    """The cohort of all images of the manifest; `regions` is a file of boxes or masks beside its own boxes.

    Raises ManifestError where that file cannot be read or is of other images.
    """
    table = manifest.regions
    if regions is not None and is_table(regions):
        table = pd.concat([table, read_boxes(regions, manifest)], ignore_index=True)
    marks = _marks_of_boxes(table[table["finding"].isin(learnt)])
    ordered = [str(image_id) for image_id in manifest.table["image_id"]]
    if regions is None or is_table(regions):
        return Cohort(manifest, {image_id: marks[image_id] for image_id in ordered if image_id in marks})
    columns = (manifest.table[name].tolist() for name in ("height", "width"))
    sizes = {image_id: (height, width) for image_id, height, width in zip(ordered, *columns, strict=True)}
    segmentations = read_segmentations(regions, sizes, manifest.findings)
    for image_id in segmentations.outlines:
        for finding in learnt.intersection(segmentations.findings(image_id)):
            marks[image_id][finding] = replace(marks[image_id].get(finding, Mark()), has_mask=True)
    return Cohort(manifest, {image_id: marks[image_id] for image_id in ordered if image_id in marks}, segmentations)


def _marks_of_boxes(regions: pd.DataFrame) -> defaultdict[str, dict[str, Mark]]:
    """By image and finding."""
    marks: defaultdict[str, dict[str, Mark]] = defaultdict(dict)
    for (image_id, finding), rows in regions.groupby(["image_id", "finding"], sort=False):
        boxes = (Box(*map(float, sides)) for sides in rows[["x", "y", "w", "h"]].to_numpy())
        marks[str(image_id)][str(finding)] = Mark(tuple(boxes))
    return marks


def sample_marked(cohort: Cohort, num_images: int | None, rng: np.random.Generator) -> Cohort:
    """The cohort with marks on at most so many images, drawn at random; None keeps all."""
    image_ids = cohort.marked["image_id"].astype(str).to_numpy()
    if num_images is None or len(image_ids) <= num_images:
        return cohort
    drawn = np.sort(rng.choice(len(image_ids), num_images, replace=False))
    return replace(cohort, marks={image_ids[row]: cohort.marks[image_ids[row]] for row in drawn})


def explained_marks(
    cohort: Cohort, explainer: Explainer, progress: Progress, stage: str
) -> Iterator[tuple[Any, Radiograph, dict[str, Maps]]]:
    """Row, radiograph and the heatmaps [grid_h, grid_w] of its marked findings, for every readable marked image."""
    for rows, radiographs in read_batches(cohort, cohort.marked, progress, stage):
        wanted = [list(cohort.marks[str(row.image_id)]) for row in rows]
        maps = maps_wanted(explainer, explainer.prepare(radiographs), wanted)
        yield from zip(rows, radiographs, maps, strict=True)


def localisation_samples(
    cohort: Cohort, explainer: Explainer, progress: Progress, stage: str
) -> Iterator[LocalisationSample]:
    """One sample for each marked finding of each readable image."""
    for row, radiograph, maps in explained_marks(cohort, explainer, progress, stage):
        image_id, size = str(row.image_id), (radiograph.height, radiograph.width)
        for finding, one in maps.items():
            boxes, mask = cohort.marks[image_id][finding].boxes, cohort.mask(image_id, finding)
            heatmap = place_heatmap(one, *size)
            yield LocalisationSample(image_id, str(row.patient_id), finding, heatmap, boxes, *size, mask)


def probabilities(cohort: Cohort, explainer: Explainer, progress: Progress, stage: str) -> pd.DataFrame:
    """Probabilities by image id (rows) and finding (columns) of all readable images; NaN where never learnt."""
    parts: list[NDArray[np.float64]] = []
    image_ids: list[str] = []
    for rows, radiographs in read_batches(cohort, cohort.manifest.table, progress, stage):
        parts.append(explainer.probabilities(explainer.respond(explainer.prepare(radiographs)).logits))
        image_ids += [str(row.image_id) for row in rows]
    return pd.DataFrame(np.concatenate(parts), index=image_ids, columns=list(explainer.findings))


def read_batches(
    cohort: Cohort, table: pd.DataFrame, progress: Progress, stage: str
) -> Iterator[tuple[list[Any], list[Radiograph]]]:
    """Rows of `table` and their radiographs, at most BATCH_SIZE at once; those that cannot be read are noted."""
    for start in range(0, len(table), BATCH_SIZE):
        rows, radiographs = [], []
        for row in table.iloc[start : start + BATCH_SIZE].itertuples():
            try:
                radiographs.append(load(cohort.manifest.file_of(str(row.path))))
                rows.append(row)
            except ImageRefusedError as error:
                cohort.refused[str(row.path)] = str(error)
        if rows:
            yield rows, radiographs
        progress(stage, min(start + BATCH_SIZE, len(table)), len(table))
