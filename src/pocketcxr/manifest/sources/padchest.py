"""PadChest of the Hospital San Juan de Alicante (Bustos et al., Medical Image Analysis 2020, arXiv 1901.07441).

    PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv (or .csv.gz)     160,861 rows, an image each
    0/ ... 54/                  the images as published, PNG of 16 bits: <ImageDir>/<ImageID>
    images-*/ or images/ or .   or all in one folder, as smaller copies are passed on

Labels were taken from Spanish reports, of 39,053 images by physicians, of the others by a network.
docs/reference/sources/padchest.md.
"""

import csv
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from pocketcxr.domain.errors import EmptyCohortError, ManifestError, RefusalCode
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import LabelState, ViewPosition
from pocketcxr.manifest import padchest_labels
from pocketcxr.manifest.assemble import Draft, assemble, require_simulated
from pocketcxr.manifest.csv_tables import FIRST_LINE, column, read_csv, refuse_rows
from pocketcxr.manifest.image_files import ImagesConfig, find_images
from pocketcxr.manifest.mapping import LabelMapping
from pocketcxr.manifest.padchest_labels import Cells, FindingChoice, Implied, LabelReading, Silence
from pocketcxr.manifest.people import sexes
from pocketcxr.manifest.rules import MAX_AGE_YEARS
from pocketcxr.manifest.schema import Manifest
from pocketcxr.manifest.simulated_boxes import simulated_boxes
from pocketcxr.manifest.splits import SplitConfig

SOURCE = "padchest"
MAPPINGS: tuple[LabelMapping, ...] = padchest_labels.MAPPINGS
TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
COLUMNS: tuple[str, ...] = (
    "ImageID",
    "ImageDir",
    "StudyDate_DICOM",
    "StudyID",
    "PatientID",
    "PatientBirth",
    "PatientSex_DICOM",
    "Projection",
    "Pediatric",
    "Rows_DICOM",
    "Columns_DICOM",
    "MethodLabel",
    "Labels",
)
"""Of the 36, those that are read; Rows_DICOM and Columns_DICOM only under labels_only."""
Projection = Literal["PA", "AP", "AP_horizontal", "L", "COSTAL", "EXCLUDE", "UNK"]
VIEW_POSITIONS: dict[str, ViewPosition] = {
    "PA": ViewPosition.PA,
    "AP": ViewPosition.AP,
    "AP_horizontal": ViewPosition.AP,
    "L": ViewPosition.LATERAL,
    "COSTAL": ViewPosition.UNKNOWN,
    "EXCLUDE": ViewPosition.UNKNOWN,
    "UNK": ViewPosition.UNKNOWN,
}
"""COSTAL is of the ribs, at a slant; EXCLUDE is no view of the chest."""
_PEDIATRIC, _PHYSICIAN = "PED", "Physician"


def known_broken() -> dict[str, str]:
    """Image -> why it is left out: the 21 that PC_Dataset of torchxrayvision 1.5.7 leaves out as missing or broken."""
    path = files("pocketcxr.manifest.sources").joinpath("padchest_excluded.csv")
    return {row["image_id"]: row["reason"] for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())}


class PadchestConfig(BaseModel, frozen=True, extra="forbid"):
    """How to read it."""

    source: Literal["padchest"] = "padchest"
    split: SplitConfig = SplitConfig(method="patients")
    """There is no official split."""
    images: ImagesConfig = ImagesConfig()
    findings: FindingChoice = "common"
    """common: those of the vocabulary that labels stand for. differential-diagnoses: the 19 of the authors' tree. all:
    every label, under a name of its own."""
    min_positives: Annotated[int, Field(ge=0)] = 1
    """Findings present in fewer of the images are left out; does not touch the differential diagnoses."""
    implied: Implied | None = None
    """What a label makes present besides itself: tree, its parents in the authors' tree; definition, those of them and
    of the vocabulary that hold by definition; none. None: definition for common, else tree."""
    incomplete: Silence = LabelState.NOT_LABELLED
    """What findings are that an incomplete report (unchanged, suboptimal study, a sentence without label) does not
    name. unmentioned: as in any other report, which is how others read it."""
    projections: Annotated[tuple[Projection, ...], Field(min_length=1)] = ("PA", "AP", "AP_horizontal")
    """Which images to read, by the column Projection."""
    pediatric: Literal["keep", "exclude"] = "keep"
    """exclude: leave out images taken by a protocol for children, whatever the age."""
    min_age_years: Annotated[float, Field(ge=0, le=MAX_AGE_YEARS)] = 0.0
    """Leave out younger people and, above 0, those of unknown age."""
    manual_labels_only: bool = False
    """Only images whose reports a physician labelled."""
    unlabelled: Literal["exclude", "keep"] = "exclude"
    """Images whose labels are missing, no list, or "exclude" alone: leave them out and list them, or keep them with
    every finding not labelled."""
    known_broken: Literal["exclude", "keep"] = "exclude"
    """Files that others found unreadable: leave them out and list them, or keep them if your copies are whole."""
    label_table: str = TABLE
    """If it is not there, its .gz is read."""
    clean: bool = False
    """Read the true labels of a simulated data set, <label_table>_clean.csv."""


def read(root: Path, config: PadchestConfig, progress: Progress = silent) -> Manifest:
    """The manifest of the folder, in the table's order, validated.

    Raises ManifestError, EmptyCohortError, ConfigError.
    """
    path = _table_path(root, config)
    rows = read_csv(path, COLUMNS)
    if rows.empty:
        raise EmptyCohortError(f"{path}: holds no image - give a table with at least one row")
    table, notes = _people(rows, path, config)
    cells = padchest_labels.read_cells(column(rows, ("Labels",), path), path)
    is_wanted = _is_wanted(rows, table, path, config)
    refused = _refused(table, cells, is_wanted, path, config)
    is_chosen = is_wanted & ~table["path"].isin([refusal.path for refusal in refused]).to_numpy()
    chosen = table[is_chosen].reset_index(drop=True)
    if not config.images.labels_only:
        chosen = chosen.assign(path=_files(root, chosen))
    implied = config.implied or ("definition" if config.findings == "common" else "tree")
    reading = LabelReading(config.findings, implied, config.incomplete, config.min_positives)
    notes += (
        f"Labels from {path.name}: {int(is_wanted.sum())} of its {len(rows)} rows are of the projections "
        f"{', '.join(config.projections)} and of the people asked for.",
        f"Findings: {config.findings}; what a label implies is present, too: {implied}.",
        f"{int((cells.is_incomplete & is_chosen).sum())} images have an incomplete report: what it does not name is "
        f"{config.incomplete.value}. {int((cells.is_unlabelled & is_chosen).sum())} have no labels.",
    )
    states = padchest_labels.label_states(cells, is_chosen, reading)
    table = chosen.drop(columns="folder")
    image_of = {image_id: image_id for image_id in table["image_id"]}
    regions = simulated_boxes(root, image_of, list(states.columns))
    draft = Draft(SOURCE, table, states, regions, notes=notes, refused=refused)
    return assemble(root, draft, config.split, config.images, progress)


def _table_path(root: Path, config: PadchestConfig) -> Path:
    if not root.is_dir():
        raise ManifestError(f"{root}: there is no such folder - give the folder that holds {config.label_table}")
    if config.clean:
        require_simulated(root, root)
    path = root / (config.label_table.replace(".csv", "_clean.csv") if config.clean else config.label_table)
    packed = path.with_name(path.name + ".gz")
    return packed if packed.is_file() and not path.is_file() else path


def _people(rows: pd.DataFrame, path: Path, config: PadchestConfig) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """What Draft asks of every row, path as published, and `folder`; and what to note."""
    texts = {name: column(rows, (name,), path) for name in ("ImageID", "ImageDir", "StudyID", "PatientID")}
    for name, values in texts.items():
        refuse_rows(values.isin(["", "nan"]), path, f"have no {name}", "download the table again")
    is_repeated = texts["ImageID"].duplicated()
    first = texts["ImageID"][is_repeated].iloc[0] if is_repeated.any() else ""
    refuse_rows(is_repeated, path, f"repeat an image, such as {first}", "keep one row an image")
    projection = column(rows, ("Projection",), path)
    refuse_rows(~projection.isin(list(VIEW_POSITIONS)), path, "have an unknown Projection", "correct the table")
    patient_id, notes = _one_person_a_study(texts["StudyID"], texts["PatientID"])
    table = pd.DataFrame(
        {
            "image_id": texts["ImageID"],
            "path": texts["ImageDir"] + "/" + texts["ImageID"],
            "folder": texts["ImageDir"],
            "patient_id": patient_id,
            "study_id": texts["StudyID"],
            "view_position": projection.map({name: view.value for name, view in VIEW_POSITIONS.items()}),
            "sex": sexes(column(rows, ("PatientSex_DICOM",), path)),
            "age_years": _ages(rows, path),
        }
    )
    if config.images.labels_only:
        sides = {
            side: column(rows, (name,), path) for side, name in (("height", "Rows_DICOM"), ("width", "Columns_DICOM"))
        }
        table = table.assign(**{side: pd.to_numeric(values, errors="coerce") for side, values in sides.items()})
    return table, notes


def _one_person_a_study(
    study_id: "pd.Series[str]", patient_id: "pd.Series[str]"
) -> tuple["pd.Series[str]", tuple[str, ...]]:
    """The patients, one name for all who share a study: two names of one person would tear them over splits."""
    names = pd.DataFrame({"study": study_id, "patient": patient_id}).drop_duplicates()
    torn = names.loc[names["study"].duplicated(), "study"].unique()
    notes = []
    for study in torn:
        first, *others = patient_id[study_id == study].unique()
        patient_id = patient_id.mask(patient_id.isin(others), first)
        notes.append(f"Study {study} is under two patients and more: {', '.join(others)} counted as {first}.")
    return patient_id, tuple(notes)


def _ages(rows: pd.DataFrame, path: Path) -> "pd.Series[float]":
    """Years from the birth to the study, of which the tables tell the years; NaN where unknown or not believable."""
    birth = pd.to_numeric(column(rows, ("PatientBirth",), path), errors="coerce")
    year = pd.to_numeric(column(rows, ("StudyDate_DICOM",), path).str.slice(0, 4), errors="coerce")
    age = (year - birth).astype("float64")
    return age.where((age >= 0) & (age <= MAX_AGE_YEARS))


def _is_wanted(rows: pd.DataFrame, table: pd.DataFrame, path: Path, config: PadchestConfig) -> NDArray[np.bool_]:
    """Which rows are of the projections and people that were asked for, bool [row]."""
    is_wanted = column(rows, ("Projection",), path).isin(config.projections)
    if config.pediatric == "exclude":
        is_wanted &= column(rows, ("Pediatric",), path) != _PEDIATRIC
    if config.manual_labels_only:
        is_wanted &= column(rows, ("MethodLabel",), path) == _PHYSICIAN
    if config.min_age_years > 0:
        is_wanted &= table["age_years"] >= config.min_age_years
    return is_wanted.to_numpy(dtype=np.bool_)


def _refused(
    table: pd.DataFrame, cells: Cells, is_wanted: NDArray[np.bool_], path: Path, config: PadchestConfig
) -> tuple[Refusal, ...]:
    """Why wanted rows are left out: their labels are no use, or their files known to be broken."""
    broken = known_broken() if config.known_broken == "exclude" else {}
    is_broken = table["image_id"].isin(list(broken)).to_numpy() & is_wanted
    is_unlabelled = cells.is_unlabelled & is_wanted & ~is_broken & (config.unlabelled == "exclude")
    refused = []
    for row in np.flatnonzero(is_broken | is_unlabelled).tolist():
        image, file = str(table["image_id"].iat[row]), str(table["path"].iat[row])
        if is_broken[row]:
            message = (
                f"{file}: is known to be unreadable ({broken[image]}) - if yours is whole: --set known_broken=keep"
            )
            refused.append(Refusal(file, RefusalCode.CORRUPT, message))
        else:
            problem = cells.problems[cells.codes[row]]
            refused.append(Refusal(file, RefusalCode.BAD_RECORD, f"{path}: line {row + FIRST_LINE}: {problem}"))
    return tuple(refused)


def _files(root: Path, table: pd.DataFrame) -> list[str]:
    """Where each image lies, relative to the root: in its numbered folder, or all in one."""
    numbered = [name for name in table["folder"].unique() if (root / name).is_dir()]
    flat = sorted(folder.name for folder in root.glob("images-*") if folder.is_dir())
    found = find_images(root, (*numbered, *flat, "images", "."), table["image_id"].tolist())
    # Of an image that is nowhere, find_images tells the first folder: say where it was published.
    at_first = f"{numbered[0]}/" if numbered else f"{(*flat, 'images')[0]}/"
    return [
        published if path.startswith(at_first) and not (root / path).is_file() else path.removeprefix("./")
        for path, published in zip(found, table["path"], strict=True)
    ]
