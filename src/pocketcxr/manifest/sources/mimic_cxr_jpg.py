"""MIMIC-CXR-JPG of MIT and Beth Israel Deaconess (Johnson et al. 2019, arXiv 1901.07042), 377,110 radiographs.

    mimic-cxr-2.0.0-metadata.csv.gz              a line an image: study, patient, view position, size, date
    mimic-cxr-2.0.0-split.csv.gz                 the recommended split by patient
    mimic-cxr-2.0.0-chexpert.csv.gz, ...-negbio.csv.gz    a line a study: 14 observations in four states
    mimic-cxr-2.1.0-test-set-labeled.csv         a radiologist's reading of 687 reports of the test part, if it is there
    patients.csv.gz                              sex and age, of MIMIC-IV, if it is there
    files/p10/p10000032/s50414267/<dicom_id>.jpg

docs/reference/sources/mimic-cxr-jpg.md.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.findings import CHEXPERT, CHEXPERT_COMPETITION
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import LabelState, Sex, Split
from pocketcxr.manifest.assemble import Draft, assemble
from pocketcxr.manifest.chexpert_labels import OBSERVATIONS, OTHER_SPELLINGS, observation_states
from pocketcxr.manifest.csv_tables import column, read_csv, refuse_rows
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.mapping import LabelMapping
from pocketcxr.manifest.people import sexes, views
from pocketcxr.manifest.rules import MAX_AGE_YEARS, no_regions
from pocketcxr.manifest.schema import Manifest
from pocketcxr.manifest.splits import SplitConfig

SOURCE = "mimic-cxr-jpg"
MAPPINGS: tuple[LabelMapping, ...] = (*OBSERVATIONS, *OTHER_SPELLINGS)
VERSIONS: tuple[str, ...] = ("2.1.0", "2.0.0")
"""Of the tables' names; release 2.1.0 still calls most of them 2.0.0."""
PARTS: dict[str, str] = {
    "train": Split.TRAIN.value,
    "validate": Split.VALIDATION.value,
    "test": Split.TEST.value,
}
OLDEST_ANCHOR_AGE = 91
"""MIMIC-IV writes so for everybody over 89: no age."""
_METADATA = ("dicom_id", "subject_id", "study_id", "ViewPosition", "Rows", "Columns", "StudyDate")


class MimicCxrJpgConfig(BaseModel, frozen=True, extra="forbid"):
    """How to read it."""

    source: Literal["mimic-cxr-jpg"] = "mimic-cxr-jpg"
    split: SplitConfig = SplitConfig()
    images: ImagesConfig = ImagesConfig()
    labels: Literal["chexpert", "negbio"] = "chexpert"
    """Which labeller's table."""
    findings: Literal["all", "competition"] = "all"
    """The 14 observations, or the five that CheXpert's competition scored."""
    test_labels: Literal["labeller", "radiologist"] = "labeller"
    """radiologist: studies of mimic-cxr-2.1.0-test-set-labeled.csv as it reads them; the other images of the official
    test part are then not labelled, so that one test set has one truth."""


def read(root: Path, config: MimicCxrJpgConfig, progress: Progress = silent) -> Manifest:
    """The manifest of the folder, in the metadata's order, validated. Raises ManifestError or EmptyCohortError."""
    path = _find(root, "metadata")
    metadata = read_csv(path, _METADATA)
    table = _people(metadata, path)
    needs_parts = config.test_labels == "radiologist" or (
        config.split.method == "official" and config.split.file is None
    )
    official = _official(root, table["image_id"]) if needs_parts else None
    label_path = _find(root, config.labels)
    findings = CHEXPERT if config.findings == "all" else CHEXPERT_COMPETITION
    states = _states_of(table["study_id"], read_csv(label_path), label_path, findings)
    notes = [f"Labels from {label_path.name}."]
    if official is not None and config.test_labels == "radiologist":
        states = _with_readings(root, table["study_id"], states, official == Split.TEST.value)
        notes.append("Test images: a radiologist's reading of the report, or not labelled.")
    people = next((file for file in (root / "patients.csv.gz", root / "patients.csv") if file.is_file()), None)
    if people is not None:
        table = table.assign(**_sex_and_age(people, table["patient_id"], column(metadata, ("StudyDate",), path)))
        notes.append(f"Sex and age from {people.name} of MIMIC-IV.")
    draft = Draft(SOURCE, table, states, no_regions(), official, tuple(notes))
    return assemble(root, draft, config.split, config.images, progress)


def _find(root: Path, kind: str) -> Path:
    """The table of this kind: of the newest version, packed or not."""
    names = [f"mimic-cxr-{version}-{kind}.csv{packed}" for version in VERSIONS for packed in (".gz", "")]
    for name in names:
        if (root / name).is_file():
            return root / name
    beside = ", ".join(sorted(file.name for file in root.glob("*.csv*"))) or "none"
    raise ManifestError(
        f"{root}: has no table {' or '.join(names)}; CSV files there: {beside} - "
        "give the folder that holds them, as PhysioNet lays it out"
    )


def _people(metadata: pd.DataFrame, path: Path) -> pd.DataFrame:
    """What the metadata say of every image, in the columns of a Draft."""
    image_id = column(metadata, ("dicom_id",), path)
    patient_id, study_id = column(metadata, ("subject_id",), path), column(metadata, ("study_id",), path)
    restore = "download the table again"
    refuse_rows(~image_id.str.fullmatch(r"[\w-]+"), path, "have no dicom_id", restore)
    refuse_rows(image_id.duplicated(), path, "repeat a dicom_id", "keep one row an image")
    refuse_rows(~patient_id.str.fullmatch(r"\d{2,}"), path, "have no subject_id, a number", restore)
    refuse_rows(~study_id.str.fullmatch(r"\d+"), path, "have no study_id, a number", restore)
    folder = "files/p" + patient_id.str[:2] + "/p" + patient_id + "/s" + study_id
    return pd.DataFrame(
        {
            "image_id": image_id,
            "path": folder + "/" + image_id + ".jpg",
            "patient_id": patient_id,
            "study_id": study_id,
            "view_position": views(column(metadata, ("ViewPosition",), path)),
            "sex": Sex.UNKNOWN.value,
            "age_years": np.nan,
            "height": column(metadata, ("Rows",), path),
            "width": column(metadata, ("Columns",), path),
        }
    )


def _official(root: Path, image_id: "pd.Series[str]") -> NDArray[np.str_]:
    """The recommended part of every image."""
    path = _find(root, "split")
    parts = read_csv(path)
    ids, split = column(parts, ("dicom_id",), path), column(parts, ("split",), path)
    refuse_rows(ids.duplicated(), path, "repeat a dicom_id", "keep one row an image")
    refuse_rows(~split.isin(list(PARTS)), path, "name no part", f"write {', '.join(PARTS)}")
    found = split.map(PARTS).set_axis(pd.Index(ids)).reindex(image_id)
    if found.isna().any():
        first = found.index[found.isna()][0]
        raise ManifestError(
            f"{path}: {int(found.isna().sum())} images of the metadata are in no part (first: {first}) - "
            "take both tables of one release, or part the patients by seed: --set split.method=patients"
        )
    return found.to_numpy(dtype=np.str_)


def _states_of(study_id: "pd.Series[str]", labels: pd.DataFrame, path: Path, findings: tuple[str, ...]) -> pd.DataFrame:
    """The states of every image by its study; NOT_LABELLED where the table has no row for the study."""
    studies = column(labels, ("study_id",), path)
    refuse_rows(studies.duplicated(), path, "repeat a study", "keep one row a study")
    states = observation_states(labels, path, findings).set_index(pd.Index(studies))
    return states.reindex(study_id).fillna(LabelState.NOT_LABELLED.value).reset_index(drop=True)


def _with_readings(
    root: Path, study_id: "pd.Series[str]", states: pd.DataFrame, is_test: NDArray[np.bool_]
) -> pd.DataFrame:
    """The states, those of test images and of read studies replaced by the radiologist's reading."""
    path = _find(root, "test-set-labeled")
    labels = read_csv(path)
    readings = _states_of(study_id, labels, path, tuple(states.columns))
    is_read = study_id.isin(column(labels, ("study_id",), path)).to_numpy()
    chosen = np.where((is_read | is_test)[:, np.newaxis], readings, states)
    return pd.DataFrame(chosen, columns=states.columns, dtype="str")


def _sex_and_age(path: Path, patient_id: "pd.Series[str]", study_date: "pd.Series[str]") -> dict[str, "pd.Series[str]"]:
    """Columns sex and age_years of every image, by MIMIC-IV's table of patients."""
    people = read_csv(path, ("subject_id", "gender", "anchor_age", "anchor_year"))
    ids = column(people, ("subject_id",), path)
    refuse_rows(ids.duplicated(), path, "repeat a patient", "keep one row a patient")
    anchors = pd.DataFrame(
        {
            "sex": sexes(column(people, ("gender",), path)),
            "age": pd.to_numeric(column(people, ("anchor_age",), path), errors="coerce"),
            "year": pd.to_numeric(column(people, ("anchor_year",), path), errors="coerce"),
        }
    )
    own = anchors.set_index(pd.Index(ids)).reindex(patient_id).reset_index(drop=True)
    # Dates of MIMIC are shifted by patient, all of a patient's by the same span: differences hold.
    year = pd.to_numeric(study_date.str[:4], errors="coerce").reset_index(drop=True)
    age = own["age"].mask(own["age"] >= OLDEST_ANCHOR_AGE) + (year - own["year"])
    return {"sex": own["sex"].fillna(Sex.UNKNOWN.value), "age_years": age.where(age.between(0, MAX_AGE_YEARS))}
