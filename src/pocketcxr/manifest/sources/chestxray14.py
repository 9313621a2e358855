"""ChestX-ray14 as the NIH Clinical Center releases it (Wang et al., CVPR 2017, arXiv 1705.02315) -> manifest.

A folder with the label table, `train_val_list.txt`, `test_list.txt`, the images in `images/` or in `images_001/images/`
to `images_012/images/`, and `BBox_List_2017.csv` (which may be absent). Labels were mined from reports: a finding that
is not named is read as absent. Files may be of any size, and JPEG where the table says .png.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pocketcxr.domain.errors import EmptyCohortError, ManifestError, UnknownNameError
from pocketcxr.domain.findings import CHESTXRAY14, NO_FINDING, canonical
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import LabelState, Sex, Split, ViewPosition
from pocketcxr.manifest.csv_tables import FIRST_LINE, column, read_csv, refuse_rows
from pocketcxr.manifest.image_files import find_images, measure_images
from pocketcxr.manifest.rules import MAX_AGE_YEARS, REGION_COLUMNS, label_column, no_regions, table_columns
from pocketcxr.manifest.schema import Manifest, ManifestHeader, validate
from pocketcxr.manifest.splits import check_apart, choose_patients

SOURCE = "chestxray14"
RELEASED_SIZE_PX = 1024
"""Boxes are given for the released images of 1024 x 1024 pixels, whatever size a copy has."""
FOLDERS: tuple[str, ...] = ("images", *(f"images_{part:03d}/images" for part in range(1, 13)))
TRAIN_VAL_LIST, TEST_LIST, BOXES = "train_val_list.txt", "test_list.txt", "BBox_List_2017.csv"
SIMULATED = "SIMULATED.txt"

_VIEWS = {view.value: view.value for view in ViewPosition}
_SEXES = {sex.value: sex.value for sex in Sex}
_YEARS_OF = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


@dataclass(frozen=True)
class Chestxray14Options:
    """How to read it."""

    validation_fraction: float = 0.125
    """Of the patients of train_val_list.txt, by seed: the official lists have no validation part."""
    seed: int = 0
    label_table: str = "Data_Entry_2017_v2020.csv"
    labels_only: bool = False
    """Do not look at the images: paths as if all lay in images/, height and width of the original radiographs."""


def read(root: Path, options: Chestxray14Options, progress: Progress = silent) -> Manifest:
    """The manifest of the folder, in the label table's order, validated. Raises ManifestError or EmptyCohortError."""
    path = root / options.label_table
    if not root.is_dir():
        raise ManifestError(f"{root}: there is no such folder - give the folder that holds {options.label_table}")
    entries = read_csv(path)
    if entries.empty:
        raise EmptyCohortError(f"{path}: holds no image - give a table with at least one row")
    is_present = _findings(entries, path)
    table = _people(entries, path)
    table.insert(len(table.columns), "split", _splits(root, table, is_present, options))
    sizes = _original_sizes(entries, path) if options.labels_only else None
    names = table["image_id"].tolist()
    paths = [f"{FOLDERS[0]}/{name}" for name in names] if options.labels_only else find_images(root, FOLDERS, names)
    sizes = measure_images(root, paths, progress) if sizes is None else sizes
    table = table.assign(path=paths, source=SOURCE, height=sizes[:, 0], width=sizes[:, 1])
    states = np.where(is_present, LabelState.PRESENT.value, LabelState.ABSENT.value)
    labels = pd.DataFrame(states, columns=[label_column(finding) for finding in CHESTXRAY14], dtype="str")
    table = pd.concat([table, labels], axis=1)[list(table_columns(CHESTXRAY14))]
    table = table.astype({"path": "str", "source": "str", "split": "str"})
    manifest = Manifest(table, _regions(root, table), _header(root, options))
    validate(manifest, str(root))
    return manifest


def _header(root: Path, options: Chestxray14Options) -> ManifestHeader:
    notes = [
        f"Labels from {options.label_table}; test patients from {TEST_LIST}; validation: "
        f"{options.validation_fraction:g} of the patients of {TRAIN_VAL_LIST}, seed {options.seed}."
    ]
    if options.labels_only:
        notes.append("Labels only, no image was looked at: height and width are those of the original radiographs.")
    return ManifestHeader(
        source=SOURCE, root=str(root.resolve()), is_simulated=(root / SIMULATED).is_file(), notes=tuple(notes)
    )


def _findings(entries: pd.DataFrame, path: Path) -> NDArray[np.bool_]:
    """What each row's "Finding Labels" names, bool [image, finding]."""
    codes, spellings = pd.factorize(column(entries, ("Finding Labels",), path))
    is_named = np.zeros((len(spellings), len(CHESTXRAY14)), dtype=np.bool_)
    for code, spelling in enumerate(spellings):
        names = [name.strip() for name in str(spelling).split("|")]
        try:
            places = [CHESTXRAY14.index(canonical(name)) for name in names if name != NO_FINDING]
        except UnknownNameError as error:
            line = int((codes == code).argmax()) + FIRST_LINE
            raise ManifestError(f"{path}: line {line}: {error} - correct the table") from error
        if NO_FINDING in names and places:
            line = int((codes == code).argmax()) + FIRST_LINE
            raise ManifestError(
                f"{path}: line {line}: {spelling!r} says both nothing and something - correct the table"
            )
        is_named[code, places] = True
    named: NDArray[np.bool_] = is_named[codes]
    return named


def _people(entries: pd.DataFrame, path: Path) -> pd.DataFrame:
    """image_id, patient_id, study_id, view_position, sex and age_years of every row."""
    image_id = column(entries, ("Image Index",), path)
    refuse_rows(image_id == "", path, "have no Image Index", "fill it in")
    is_repeated = image_id.duplicated()
    first = image_id[is_repeated].iloc[0] if is_repeated.any() else ""
    refuse_rows(is_repeated, path, f"repeat an image, such as {first}", "keep one row an image")
    patient_id = column(entries, ("Patient ID",), path)
    refuse_rows(patient_id == "", path, "have no Patient ID", "fill it in: images are split by patient")
    patient_id = patient_id.str.zfill(8)
    follow_up = column(entries, ("Follow-up #",), path).str.zfill(3)
    return pd.DataFrame(
        {
            "image_id": image_id,
            "patient_id": patient_id,
            "study_id": patient_id + "_" + follow_up,
            "view_position": column(entries, ("View Position",), path).map(_VIEWS).fillna(ViewPosition.UNKNOWN.value),
            "sex": column(entries, ("Patient Gender", "Patient Sex"), path).map(_SEXES).fillna(Sex.UNKNOWN.value),
            "age_years": age_in_years(column(entries, ("Patient Age",), path)),
        }
    )


def age_in_years(ages: "pd.Series[str]") -> "pd.Series[float]":
    """Ages such as "58", "058Y", "010M" in years, float64; NaN where none is given or believable (there is a 414)."""
    parts = pd.Series(ages.unique()).str.extract(r"^(\d+(?:\.\d+)?)([YMWD]?)$")
    years = pd.to_numeric(parts[0]).astype("float64") * parts[1].map(_YEARS_OF).astype("float64")
    known = dict(zip(ages.unique(), years.where(years <= MAX_AGE_YEARS), strict=True))
    return ages.map(known).astype("float64")


def _original_sizes(entries: pd.DataFrame, path: Path) -> NDArray[np.int64]:
    """(height, width) of the original radiographs, int64 [image, 2]."""
    # The header's one name "OriginalImage[Width,Height]" falls into two at its comma.
    height = pd.to_numeric(column(entries, ("Height]", "OriginalImageHeight"), path), errors="coerce")
    width = pd.to_numeric(column(entries, ("OriginalImage[Width", "OriginalImageWidth"), path), errors="coerce")
    refuse_rows(~((height > 0) & (width > 0)), path, "have no image size", "fill it in, or leave out --labels-only")
    return np.stack((height, width), axis=1).astype(np.int64)


def _splits(
    root: Path, table: pd.DataFrame, is_present: NDArray[np.bool_], options: Chestxray14Options
) -> NDArray[np.str_]:
    """The split of every row: the official lists, and validation patients out of train_val."""
    train_val, test = _list(root / TRAIN_VAL_LIST), _list(root / TEST_LIST)
    is_train_val = np.array([name in train_val for name in table["image_id"]])
    is_test = np.array([name in test for name in table["image_id"]])
    homeless = table["image_id"][~(is_train_val | is_test)]
    if len(homeless):
        raise ManifestError(
            f"{root}: {len(homeless)} images of {options.label_table} are in neither {TRAIN_VAL_LIST} nor {TEST_LIST} "
            f"(first: {homeless.iloc[0]}) - add each to one of them"
        )
    patients = table["patient_id"].to_numpy(dtype=np.str_)
    check_apart({TRAIN_VAL_LIST: patients[is_train_val].tolist(), TEST_LIST: patients[is_test].tolist()}, str(root))
    is_validation = np.zeros(len(table), dtype=np.bool_)
    is_validation[is_train_val] = choose_patients(
        patients[is_train_val].tolist(), is_present[is_train_val], options.validation_fraction, options.seed
    )
    return np.select([is_test, is_validation], [Split.TEST.value, Split.VALIDATION.value], Split.TRAIN.value)


def _list(path: Path) -> frozenset[str]:
    try:
        return frozenset(path.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read ({error}) - download the official list again") from error


def _regions(root: Path, table: pd.DataFrame) -> pd.DataFrame:
    """The boxes of images in the table, in pixels of the table's height x width."""
    path = root / BOXES
    if not path.is_file():
        return no_regions()
    boxes = read_csv(path)
    image_id, label = column(boxes, ("Image Index",), path), column(boxes, ("Finding Label",), path)
    # The header's one name "Bbox [x,y,w,h]" falls into four at its commas: the numbers stand after the label.
    first = boxes.columns.tolist().index("Finding Label") + 1
    numbers = boxes.iloc[:, first : first + 4].apply(pd.to_numeric, errors="coerce")
    if numbers.shape[1] < 4:
        raise ManifestError(f"{path}: has no four numbers after 'Finding Label' - download it again")
    refuse_rows(numbers.isna().any(axis=1), path, "have no four numbers", "download it again")
    rows = pd.Index(table["image_id"]).get_indexer(pd.Index(image_id))
    is_known = rows >= 0
    sizes = table[["width", "height", "width", "height"]].to_numpy(dtype=np.float64)[rows[is_known]]
    scaled = numbers[is_known].to_numpy(dtype=np.float64) * sizes / RELEASED_SIZE_PX
    regions = pd.DataFrame(scaled, columns=list(REGION_COLUMNS[2:]))
    names = {name: _canonical(name, path) for name in label.unique()}
    regions.insert(0, "finding", label[is_known].map(names).to_numpy())
    regions.insert(0, "image_id", image_id[is_known].to_numpy())
    return regions.astype({"image_id": "str", "finding": "str"})


def _canonical(name: str, path: Path) -> str:
    try:
        return canonical(name)
    except UnknownNameError as error:
        raise ManifestError(f"{path}: {error} - correct the table") from error
