"""A folder tree of DICOM files: who, when and how from the headers, labels from a table beside them or none at all.

Chest radiographs are told by Modality and, where it is given, the body part; every other DICOM file is listed with its
reason. docs/how-to/own-table.md.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel

from pocketcxr.domain.errors import EmptyCohortError, ManifestError, RefusalCode
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.assemble import Draft, assemble
from pocketcxr.manifest.csv_tables import column, refuse_rows
from pocketcxr.manifest.dicom_headers import Header, Wanted, read_headers
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.label_tables import Labels, SourceName, own_findings, read_table, states_of
from pocketcxr.manifest.mapping import LabelMapping
from pocketcxr.manifest.people import age_in_years, sexes
from pocketcxr.manifest.rules import MAX_AGE_YEARS, no_regions
from pocketcxr.manifest.schema import Manifest
from pocketcxr.manifest.splits import SplitConfig

SOURCE = "dicom"
MAPPINGS: tuple[LabelMapping, ...] = ()
"""None: headers hold no labels, and the config of a label table maps its own."""
_OTHER_KINDS = frozenset({RefusalCode.NOT_A_CHEST_RADIOGRAPH, RefusalCode.NOT_AN_IMAGE, RefusalCode.MULTI_FRAME})
"""Files that may well lie in such a folder: listed, whatever images.broken says."""
_KEYS: dict[str, str] = {"SOPInstanceUID": "image_id", "StudyInstanceUID": "study_id", "path": "path"}


class LabelFile(BaseModel, frozen=True, extra="forbid"):
    """A table of labels for the images of the folder."""

    file: str
    """In the folder, .csv, .csv.gz or .parquet."""
    column: str
    """Its column that names the image or the study."""
    key: Literal["SOPInstanceUID", "StudyInstanceUID", "path"] = "SOPInstanceUID"
    """What that column holds; path: the file, relative to the folder."""
    labels: Labels


class DicomConfig(BaseModel, frozen=True, extra="forbid"):
    """Which files are taken and what is known of them."""

    source: Literal["dicom"] = "dicom"
    name: SourceName = "dicom"
    """What the data set is called: it tells sources apart where manifests are combined."""
    patients: Literal["header", "each-study"] = "header"
    """each-study acknowledges that Patient ID tells nobody apart: people with several studies may be in several
    splits."""
    body_parts: tuple[str, ...] = ("CHEST", "THORAX", "TORAX", "LUNG")
    """Body Part Examined, where given, has one of these in it."""
    table: LabelFile | None = None
    """None: images without labels, which serve distillation and prediction."""
    split: SplitConfig = SplitConfig(method="patients")
    images: ImagesConfig = ImagesConfig()


def read(root: Path, config: DicomConfig, progress: Progress = silent) -> Manifest:
    """The manifest of the tree, in the order of its paths. Raises ManifestError, ConfigError or EmptyCohortError."""
    if not root.is_dir():
        raise ManifestError(f"{root}: there is no such folder - give the one above the DICOM files")
    headers, refused = read_headers(root, Wanted(config.body_parts, config.images.outside), progress)
    _check_broken(root, refused, config.images)
    headers, repeated = _once(headers)
    refused += repeated
    if not headers:
        first = f"; first of {len(refused)} other files: {refused[0].message}" if refused else ""
        raise EmptyCohortError(f"{root}: there is no DICOM chest radiograph below it{first} - give another folder")
    found = pd.DataFrame([asdict(header) for header in headers])
    states, label_notes = _states(root, config, found)
    draft = Draft(
        source=config.name,
        table=_table(root, found, config),
        states=states,
        regions=no_regions(),
        notes=(*label_notes, *_notes(found, config)),
        refused=tuple(refused),
    )
    return assemble(root, draft, config.split, config.images, progress)


def _check_broken(root: Path, refused: list[Refusal], images: ImagesConfig) -> None:
    broken = [refusal for refusal in refused if refusal.code not in _OTHER_KINDS]
    if broken and images.broken == "refuse":
        raise ManifestError(
            f"{root}: {len(broken)} DICOM files cannot be used (first: {broken[0].code.value}: {broken[0].message}) - "
            "copy the files again, or go on without them: --set images.broken=exclude"
        )


def _once(headers: list[Header]) -> tuple[list[Header], list[Refusal]]:
    """Each image's first file, and the further ones with their reason."""
    first: dict[str, Header] = {}
    repeated = []
    for header in headers:
        if first.setdefault(header.image_id, header) is not header:
            message = (
                f"{header.path}: SOP Instance UID of {first[header.image_id].path} once more - keep one of the two"
            )
            repeated.append(Refusal(header.path, RefusalCode.BAD_RECORD, message))
    return list(first.values()), repeated


def _table(root: Path, found: pd.DataFrame, config: DicomConfig) -> pd.DataFrame:
    """The images and their people as the manifest wants them."""
    is_nameless = found["patient_id"] == ""
    if config.patients == "header" and is_nameless.any():
        raise ManifestError(
            f"{root}: {int(is_nameless.sum())} files have no Patient ID (first: {found['path'][is_nameless].iloc[0]}), "
            "so nobody can keep people apart - restore it, or acknowledge it: --set patients=each-study"
        )
    patient_id = found["patient_id"] if config.patients == "header" else found["study_id"]
    columns = ["image_id", "path", "study_id", "view_position", "height", "width"]
    return found[columns].assign(patient_id=patient_id, sex=sexes(found["sex"]), age_years=_ages(found))


def _ages(found: pd.DataFrame) -> "pd.Series[float]":
    """Patient's Age, else from birth to study, in years; NaN where neither is known or believable."""
    born, seen = (pd.to_datetime(found[day], format="%Y%m%d", errors="coerce") for day in ("birth_date", "study_date"))
    years = (seen - born).dt.days / 365.25
    ages: pd.Series[float] = age_in_years(found["age"]).fillna(years.where(years.between(0, MAX_AGE_YEARS)))
    return ages.astype("float64")


def _states(root: Path, config: DicomConfig, found: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """What the label table says of every image, and what to know about it; images it lacks are not labelled."""
    if config.table is None:
        return pd.DataFrame(index=found.index), ("Images without labels.",)
    path = root / config.table.file
    rows = read_table(path)
    keys = column(rows, (config.table.column,), path)
    is_repeated = keys.duplicated()
    first = keys[is_repeated].iloc[0] if is_repeated.any() else ""
    refuse_rows(is_repeated, path, f"repeat a {config.table.key}, such as {first!r}", "keep one row")
    wanted = found[_KEYS[config.table.key]]
    if not wanted.isin(keys).any():
        raise ManifestError(
            f"{path}: no row is of an image here (first: {keys.iloc[0] if len(keys) else 'no row'!r}; a file's "
            f"{config.table.key} is {wanted.iloc[0]!r}) - look at table.column and table.key"
        )
    states = states_of(rows, config.table.labels, path).set_axis(pd.Index(keys), axis=0)
    notes = [f"Labels from {config.table.file}: {int(wanted.isin(keys).sum())} of {len(found)} images are in it."]
    if own := own_findings(states.columns):
        notes.append(f"Findings that the common vocabulary lacks: {', '.join(own)}.")
    of_images = states.reindex(wanted).fillna(LabelState.NOT_LABELLED.value).set_axis(found.index, axis=0)
    return of_images, tuple(notes)


def _notes(found: pd.DataFrame, config: DicomConfig) -> tuple[str, ...]:
    notes = []
    if config.patients == "each-study":
        notes.append("Nobody knows which studies are of one person: people may be in several splits, scores too good.")
    if num := int((found["body_part"] == "").sum()):
        notes.append(f"{num} files do not say which part of the body they show.")
    if num := int(np.count_nonzero(found["is_raw"])):
        notes.append(f"{num} files are FOR PROCESSING: raw detector images, which do not look as a reader sees them.")
    return tuple(notes)
