"""The pictures of a cohort: some chosen before anything is scored, and hits, misses and confident errors."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pandas as pd

from pocketcxr.domain.errors import ImageRefusedError
from pocketcxr.domain.findings import place_in_order
from pocketcxr.domain.progress import Progress
from pocketcxr.domain.study import LabelState
from pocketcxr.evaluate import wording
from pocketcxr.evaluate.heatmaps import pointing_game
from pocketcxr.imaging.geometry import place_heatmap
from pocketcxr.imaging.load import load
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.recipes.explain_cohort import Cohort, probabilities
from pocketcxr.recipes.explain_gallery import Group, Seen, choose
from pocketcxr.recipes.explain_measures import Hits
from pocketcxr.recipes.explain_pictures import Panel, annotated, file_name, side_by_side
from pocketcxr.recipes.explaining import Explainer, explain_batch, maps_wanted
from pocketcxr.train.atomic import write_atomically

OVERLAYS = "overlays"


@dataclass(frozen=True)
class Overlay:
    """A picture of one finding's one-pass heatmap and true boxes."""

    file: Path
    image_id: str
    finding: str
    caption: str
    alt: str


@dataclass(frozen=True, eq=False)
class Shown:
    """One picture of the gallery: the methods side by side."""

    seen: Seen
    panels: tuple[Panel, ...]


def spread(cohort: Cohort, num_wanted: int) -> frozenset[tuple[str, str]]:
    """(image_id, finding): the first marked image of every finding, then the second of every finding, and so on."""
    by_finding: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for image_id, of_image in cohort.marks.items():
        for finding in of_image:
            by_finding[finding].append((image_id, finding))
    in_turn = [pair for rank in zip_longest(*by_finding.values()) for pair in rank if pair is not None]
    return frozenset(in_turn[:num_wanted])


def draw_overlays(
    cohort: Cohort, explainer: Explainer, wanted: Iterable[tuple[str, str]], folder: Path
) -> tuple[Overlay, ...]:
    """The wanted (image_id, finding) pairs as PNG files in `folder`/overlays; unreadable images have none."""
    (folder / OVERLAYS).mkdir(exist_ok=True)
    overlays = []
    for image_id, radiograph, findings in _load_wanted(cohort, wanted):
        (explained,) = explain_batch(explainer, [radiograph])
        told = dict(zip(explainer.findings, explainer.probabilities(_row(explained.logits, explainer))[0], strict=True))
        for finding in findings:
            name, probability = wording.spoken(finding), float(told[finding])
            class_map, boxes = explained.class_maps[finding], cohort.boxes(image_id, finding)
            word = "" if finding in explainer.calibrated else " (not calibrated)"
            picture = annotated(radiograph, class_map, explained.scale, boxes, f"{name}: {probability:.2f}{word}")
            file = folder / OVERLAYS / f"{file_name(image_id)}.{finding}.png"
            write_atomically(file, picture)
            heatmap = place_heatmap(class_map, radiograph.height, radiograph.width)
            where = "inside" if pointing_game(heatmap, boxes) else "outside"
            caption = f"{name}, probability {probability:.2f}; hottest point {where} the true box. {image_id}"
            alt = (
                f"Chest X-ray under the heatmap for {name}; the true box is outlined, the hottest point is {where} it."
            )
            overlays.append(Overlay(file, image_id, finding, caption, alt))
    return tuple(sorted(overlays, key=lambda one: (*place_in_order(one.finding), one.image_id)))


def gallery(
    cohort: Cohort, explainers: Sequence[Explainer], hits: Hits, num_each: int, progress: Progress
) -> dict[Group, tuple[Shown, ...]]:
    """At most `num_each` pictures of every group, chosen by the first explainer's hits; every explainer has a panel."""
    if num_each == 0:
        return {}
    told = probabilities(cohort, explainers[0], progress, "scoring all images")
    chosen = choose([*_marked(hits, told), *_absent(cohort, told, num_each)], num_each)
    return {group: tuple(_show(cohort, explainers, seen)) for group, seen in chosen.items()}


def _marked(hits: Hits, told: pd.DataFrame) -> Iterator[Seen]:
    of_image = told.to_dict("index")
    for (image_id, finding), is_hit in hits.items():
        yield Seen(image_id, finding, of_image[image_id][finding], "hit" if is_hit else "miss")


def _absent(cohort: Cohort, told: pd.DataFrame, num_each: int) -> Iterator[Seen]:
    """Of every finding the `num_each` most probable images whose label says that it is absent."""
    table = cohort.manifest.table.set_index("image_id").loc[told.index]
    for finding in told.columns.intersection(list(cohort.manifest.findings)):
        is_absent = (table[f"label.{finding}"] == LabelState.ABSENT.value).to_numpy()
        of_finding = told.loc[is_absent, finding].dropna().nlargest(num_each)
        for image_id, probability in of_finding.items():
            yield Seen(str(image_id), finding, float(probability), "confident-wrong")


def _show(cohort: Cohort, explainers: Sequence[Explainer], seen: Sequence[Seen]) -> Iterator[Shown]:
    for one in seen:
        for _, radiograph, _ in _load_wanted(cohort, [(one.image_id, one.finding)]):
            images = explainers[0].prepare([radiograph])
            maps = {by.method: maps_wanted(by, images, [[one.finding]])[0] for by in explainers}
            boxes = cohort.boxes(one.image_id, one.finding)
            yield Shown(one, tuple(side_by_side(radiograph, maps, one.finding, boxes)))


def _load_wanted(cohort: Cohort, wanted: Iterable[tuple[str, str]]) -> Iterator[tuple[str, Radiograph, list[str]]]:
    """Image by image, in the manifest's order, with the findings wanted of it; unreadable ones are left out."""
    findings: dict[str, list[str]] = defaultdict(list)
    for image_id, finding in sorted(wanted):
        findings[image_id].append(finding)
    table = cohort.manifest.table
    for row in table[table["image_id"].isin(findings.keys())].itertuples():
        try:
            yield str(row.image_id), load(cohort.manifest.file_of(str(row.path))), findings[str(row.image_id)]
        except ImageRefusedError as error:
            cohort.refused[str(row.path)] = str(error)


def _row(logits: Mapping[str, float], explainer: Explainer) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    return np.array([[logits.get(finding, np.nan) for finding in explainer.findings]], np.float32)
