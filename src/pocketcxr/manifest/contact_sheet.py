"""Some of the images, small, so that a person sees what the data look like."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image

from pocketcxr.domain.errors import ImageRefusedError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import LabelState
from pocketcxr.imaging.load import load
from pocketcxr.imaging.preprocess import PreprocessSpec, square
from pocketcxr.manifest.card_content import SPLITS, spoken
from pocketcxr.manifest.rules import label_column
from pocketcxr.manifest.schema import Manifest

NUM_IMAGES = 24
_SPEC = PreprocessSpec(size=192)
_JPEG_QUALITY = 82
_NUM_TRIES = 3
"""Files looked at for each place on the sheet before it stays empty."""


@dataclass(frozen=True)
class SampleImage:
    """One image of the sheet."""

    split: str
    view_position: str
    caption: str
    jpeg: bytes


@dataclass(frozen=True)
class ContactSheet:
    """The images, split by split; `note` says why there are none or fewer."""

    images: tuple[SampleImage, ...]
    note: str = ""


def contact_sheet(
    manifest: Manifest, rng: np.random.Generator, num_images: int = NUM_IMAGES, progress: Progress = silent
) -> ContactSheet:
    """About `num_images` images, as many of each split, of different patients, half of them with a finding.

    Files that cannot be read are passed over; where only the labels were asked for, no file is opened.
    """
    if manifest.header.is_labels_only:
        return ContactSheet((), "No sample images: only the labels were read.")
    table = manifest.table.reset_index(drop=True)
    filled = [split for split in SPLITS if (table["split"] == split).any()]
    each = -(-num_images // max(len(filled), 1))
    images: list[SampleImage] = []
    refusals: list[ImageRefusedError] = []
    for split in filled:
        order = _order(manifest, table[table["split"] == split], rng)
        taken = 0
        for row in order[: each * _NUM_TRIES]:
            try:
                images.append(_sample(manifest, row))
                taken += 1
            except ImageRefusedError as error:
                refusals.append(error)
            if taken == each:
                break
        progress("sample images", len(images), each * len(filled))
    return ContactSheet(tuple(images), _note(images, refusals))


def _note(images: Sequence[SampleImage], refusals: Sequence[ImageRefusedError]) -> str:
    if not refusals:
        return ""
    tried = f"{len(refusals)} of {len(images) + len(refusals)} image files tried could not be read"
    return f"{'' if images else 'No sample images: '}{tried} (first: {refusals[0].code.value})."


def _order(manifest: Manifest, rows: pd.DataFrame, rng: np.random.Generator) -> list[int]:
    """Row numbers in the order in which they are tried: by chance, new patients first, with and without in turn."""
    shuffled = rows.iloc[rng.permutation(len(rows))]
    columns = [label_column(finding) for finding in manifest.findings]
    has_finding = (shuffled[columns] == LabelState.PRESENT.value).any(axis=1)
    visit = shuffled.groupby("patient_id").cumcount()
    ranked = pd.DataFrame({"visit": visit, "has_finding": has_finding})
    ranked["turn"] = ranked.groupby(["visit", "has_finding"]).cumcount()
    return [int(row) for row in ranked.sort_values(["visit", "turn"], kind="stable").index]


def _sample(manifest: Manifest, row: int) -> SampleImage:
    """The row as a picture. Raises ImageRefusedError."""
    values = {str(name): str(value) for name, value in manifest.table.iloc[row].items()}
    stream = io.BytesIO()
    picture = square(load(manifest.file_of(values["path"])).image, _SPEC)
    Image.fromarray(picture).save(stream, "JPEG", quality=_JPEG_QUALITY)
    return SampleImage(
        split=values["split"],
        view_position=values["view_position"],
        caption=_caption({finding: values[label_column(finding)] for finding in manifest.findings}),
        jpeg=stream.getvalue(),
    )


def _caption(states: Mapping[str, str]) -> str:
    """What is known of the image: its findings; else that there are none, or that nobody says."""
    present = [spoken(finding) for finding, state in states.items() if state == LabelState.PRESENT.value]
    uncertain = [f"{spoken(name)} (uncertain)" for name, state in states.items() if state == LabelState.UNCERTAIN.value]
    if present or uncertain:
        return ", ".join(present + uncertain)
    is_known = LabelState.ABSENT.value in states.values()
    return "no finding present" if is_known else "no label known"
