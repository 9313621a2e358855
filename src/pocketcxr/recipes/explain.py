"""run or bundle + manifest -> localisation.json and overlays: do the heatmaps point at the findings?"""

import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from pydantic import BaseModel

from pocketcxr._version import __version__
from pocketcxr.domain.errors import EmptyCohortError, ImageRefusedError
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import Box, Split
from pocketcxr.evaluate import wording
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES
from pocketcxr.evaluate.heatmaps import LocalisationSample, pointing_game
from pocketcxr.evaluate.localisation import LocalisationReport, localise
from pocketcxr.imaging.geometry import place_heatmap, scale_box
from pocketcxr.imaging.load import load
from pocketcxr.imaging.overlay import overlay
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.manifest.image_files import IMAGE_SUFFIXES
from pocketcxr.manifest.schema import Manifest, read_manifest, select
from pocketcxr.recipes.explaining import Explained, Explainer, explain_batch, open_explainer
from pocketcxr.recipes.scoring import result_folder
from pocketcxr.runtime.predict import sigmoid
from pocketcxr.train.atomic import write_atomically

SCHEMA_VERSION = 1
STAGE = "explaining images"
BATCH_SIZE = 32
"""Radiographs explained at once; whole pictures of that many are in memory."""
MAX_SIDE_PX = 1024
"""Of an overlay; a heatmap has 7 to 14 cells a side, more pixels would show no more."""


@dataclass(frozen=True)
class ExplainOptions:
    """On which images, and how many pictures."""

    manifest: Path
    split: Split | None = Split.TEST
    """None takes all images."""
    num_overlays: int = 28
    """The first marked images of each finding in turn, in the manifest's order: chosen before anything is scored."""
    num_resamples: int = NUM_RESAMPLES
    seed: int = 0
    """Of the bootstrap."""


@dataclass(frozen=True)
class Overlay:
    """A picture of one finding's heatmap and true boxes."""

    file: Path
    image_id: str
    finding: str
    caption: str
    alt: str


class ExplanationReport(BaseModel, frozen=True, extra="forbid"):
    """What localisation.json holds."""

    schema_version: int = SCHEMA_VERSION
    notice: str = wording.RESEARCH_ONLY
    made_by: str = f"pocketcxr {__version__}"
    source: str
    manifest: str
    split: Split | None
    is_simulated: bool
    """Whether the model or the images are simulated."""
    seed: int
    unlearnt: tuple[str, ...]
    """Findings with marked images that the model never learnt, therefore without figures."""
    refused: tuple[str, ...]
    """Why files were left out."""
    localisation: LocalisationReport


@dataclass(frozen=True, eq=False)
class Explanation:
    """The figures and the pictures, and where both were written."""

    full_report: ExplanationReport
    overlays: tuple[Overlay, ...]
    out: Path

    @property
    def report(self) -> LocalisationReport:
        """The figures of localisation."""
        return self.full_report.localisation


@dataclass(eq=False)
class _Pass:
    """One walk over the marked images, and what it leaves beside the samples."""

    explainer: Explainer
    manifest: Manifest
    wanted: frozenset[tuple[str, str]]
    """(image_id, finding) of the overlays."""
    folder: Path
    overlays: list[Overlay] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def explain(source: Path, options: ExplainOptions, out: Path | None = None, progress: Progress = silent) -> Explanation:
    """How well the heatmaps of the run or bundle at `source` hit the true boxes, with pictures, written to `out`.

    `out` None writes into the run's explanation/, or beside a bundle into NAME.explanation. Raises UsageError where
    `source` is neither, EmptyCohortError where no image of the split has a box of a finding the model learnt, and what
    reading run, bundle and manifest raise.
    """
    explainer = open_explainer(source)
    manifest = select(read_manifest(options.manifest), options.split)
    regions = manifest.regions[manifest.regions["finding"].isin(explainer.learnt)]
    if regions.empty:
        raise EmptyCohortError(
            f"no image of {options.manifest} (split {options.split or 'any'}) has a box of a finding the model learnt; "
            "choose another split or a data set with regions"
        )
    folder = result_folder(source, out, inside="explanation", beside="explanation")
    (folder / "overlays").mkdir(exist_ok=True)
    walk = _Pass(explainer, manifest, _spread(regions, options.num_overlays), folder)
    rng = np.random.default_rng(options.seed)
    localisation = localise(_samples(walk, regions, progress), rng, options.num_resamples)
    report = ExplanationReport(
        source=str(source),
        manifest=str(options.manifest),
        split=options.split,
        is_simulated=manifest.header.is_simulated or explainer.is_simulated,
        seed=options.seed,
        unlearnt=tuple(sorted(set(manifest.regions["finding"]) - explainer.learnt)),
        refused=tuple(walk.refused),
        localisation=localisation,
    )
    write_atomically(folder / "localisation.json", (report.model_dump_json(indent=2) + "\n").encode())
    return Explanation(report, tuple(sorted(walk.overlays, key=_by_finding)), folder)


def _spread(regions: pd.DataFrame, num_wanted: int) -> frozenset[tuple[str, str]]:
    """(image_id, finding) pairs: the first image of every finding, then the second of every finding, and so on."""
    by_finding: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for image_id, finding in dict.fromkeys(zip(regions["image_id"], regions["finding"], strict=True)):
        by_finding[finding].append((image_id, finding))
    in_turn = [pair for rank in zip_longest(*by_finding.values()) for pair in rank if pair is not None]
    return frozenset(in_turn[:num_wanted])


def _samples(walk: _Pass, regions: pd.DataFrame, progress: Progress) -> Iterator[LocalisationSample]:
    """One sample for each marked finding of each readable image; draws the wanted overlays on the way."""
    table = walk.manifest.table
    marked = table[table["image_id"].isin(regions["image_id"])]
    boxes = _boxes(regions)
    for start in range(0, len(marked), BATCH_SIZE):
        read = list(_readable(walk, marked.iloc[start : start + BATCH_SIZE]))
        explained = explain_batch(walk.explainer, [radiograph for _, radiograph in read])
        for (row, radiograph), one in zip(read, explained, strict=True):
            image_id, size = str(row.image_id), radiograph.image.shape
            for finding, of_finding in boxes[image_id].items():
                heatmap = place_heatmap(one.class_maps[finding], *size)
                sample = LocalisationSample(image_id, str(row.patient_id), finding, heatmap, of_finding, *size)
                if (image_id, finding) in walk.wanted:
                    walk.overlays.append(_draw(walk.folder, sample, radiograph, one))
                yield sample
        progress(STAGE, min(start + BATCH_SIZE, len(marked)), len(marked))


def _readable(walk: _Pass, rows: pd.DataFrame) -> Iterator[tuple[Any, Radiograph]]:
    """Rows with their radiographs; those that cannot be read are noted."""
    for row in rows.itertuples():
        try:
            yield row, load(walk.manifest.file_of(str(row.path)))
        except ImageRefusedError as error:
            walk.refused.append(str(error))


def _boxes(regions: pd.DataFrame) -> dict[str, dict[str, tuple[Box, ...]]]:
    """Boxes by image and finding."""
    boxes: dict[str, dict[str, tuple[Box, ...]]] = defaultdict(dict)
    for (image_id, finding), rows in regions.groupby(["image_id", "finding"], sort=False):
        boxes[str(image_id)][str(finding)] = tuple(
            Box(*(float(side) for side in sides)) for sides in rows[["x", "y", "w", "h"]].to_numpy()
        )
    return boxes


def _file_name(image_id: str) -> str:
    """The id as one file's name: a UID's last number is no suffix, and an id may hold folders."""
    path = PurePosixPath(image_id)
    return str(path.with_suffix("") if path.suffix in IMAGE_SUFFIXES else path).replace("/", "_")


def _draw(folder: Path, sample: LocalisationSample, radiograph: Radiograph, explained: Explained) -> Overlay:
    """Write the overlay of one sample."""
    image = Image.fromarray(radiograph.image)
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.BILINEAR)
    heatmap = place_heatmap(explained.class_maps[sample.finding], image.height, image.width)
    boxes = [scale_box(box, image.width / sample.width, image.height / sample.height) for box in sample.boxes]
    probability = float(sigmoid(np.array([explained.logits[sample.finding]], np.float32))[0])
    name = wording.spoken(sample.finding)
    picture = overlay(np.asarray(image), heatmap, explained.scale, boxes, f"{name}: {probability:.2f} (not calibrated)")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    file = folder / "overlays" / f"{_file_name(sample.image_id)}.{sample.finding}.png"
    write_atomically(file, buffer.getvalue())
    where = "inside" if pointing_game(sample.heatmap, sample.boxes) else "outside"
    return Overlay(
        file=file,
        image_id=sample.image_id,
        finding=sample.finding,
        caption=f"{name}, probability {probability:.2f}; hottest point {where} the true box. {sample.image_id}",
        alt=f"Chest X-ray under the heatmap for {name}; the true box is outlined, the hottest point lies {where} it.",
    )


def _by_finding(one: Overlay) -> tuple[int, str]:
    place = CHESTXRAY14.index(one.finding) if one.finding in CHESTXRAY14 else len(CHESTXRAY14)
    return place, one.image_id
