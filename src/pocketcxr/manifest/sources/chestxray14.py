"""ChestX-ray14 of the NIH Clinical Center (Wang et al., CVPR 2017, arXiv 1705.02315), 112,120 frontal radiographs.

    Data_Entry_2017_v2020.csv                  a line an image: its findings, or "No Finding"
    train_val_list.txt, test_list.txt          the official split by patient
    BBox_List_2017.csv                         984 boxes, if it is there
    images/ or images_001/images/ ... images_012/images/

The labels were mined from reports, which is why absent findings are "absent" here and not "unmentioned": the source
gives no third state. docs/reference/sources/chestxray14.md.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr.domain.errors import EmptyCohortError, ManifestError, UnknownNameError
from pocketcxr.domain.findings import CHESTXRAY14, NO_FINDING, canonical
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import LabelState, Split
from pocketcxr.manifest.assemble import FRAME_COLUMNS, Draft, assemble
from pocketcxr.manifest.csv_tables import FIRST_LINE, column, read_csv, refuse_rows
from pocketcxr.manifest.image_files import ImagesConfig, find_images
from pocketcxr.manifest.mapping import LabelMapping
from pocketcxr.manifest.people import age_in_years, sexes, views
from pocketcxr.manifest.rules import REGION_COLUMNS, no_regions
from pocketcxr.manifest.schema import Manifest
from pocketcxr.manifest.splits import SplitConfig, check_apart

SOURCE = "chestxray14"
MAPPINGS: tuple[LabelMapping, ...] = (
    *(LabelMapping(finding, finding) for finding in CHESTXRAY14),
    LabelMapping("Infiltrate", "Infiltration", "so spelled in BBox_List_2017.csv"),
    LabelMapping(NO_FINDING, None, "all 14 are absent"),
)
RELEASED_SIZE_PX = 1024
"""Boxes are given for the released images of 1024 x 1024 pixels, whatever size a copy has."""
FOLDERS: tuple[str, ...] = ("images", *(f"images_{part:03d}/images" for part in range(1, 13)))
TRAIN_VAL_LIST, TEST_LIST, BOXES = "train_val_list.txt", "test_list.txt", "BBox_List_2017.csv"


class Chestxray14Config(BaseModel, frozen=True, extra="forbid"):
    """How to read it."""

    source: Literal["chestxray14"] = "chestxray14"
    split: SplitConfig = SplitConfig()
    """The official lists have no validation part: it is taken from train_val_list.txt. split.method=patients gives the
    70/10/20 parts of CheXNet and its followers, in which 606 of the 880 images with boxes are training images."""
    images: ImagesConfig = ImagesConfig()
    label_table: str = "Data_Entry_2017_v2020.csv"


def read(root: Path, config: Chestxray14Config, progress: Progress = silent) -> Manifest:
    """The manifest of the folder, in the label table's order, validated. Raises ManifestError or EmptyCohortError."""
    path = root / config.label_table
    if not root.is_dir():
        raise ManifestError(f"{root}: there is no such folder - give the folder that holds {config.label_table}")
    entries = read_csv(path)
    if entries.empty:
        raise EmptyCohortError(f"{path}: holds no image - give a table with at least one row")
    is_present = _findings(entries, path)
    table = _people(entries, path)
    is_official = config.split.method == "official" and config.split.file is None
    official = _official(root, table, config) if is_official else None
    names = table["image_id"].tolist()
    if config.images.labels_only:
        table = table.assign(path=[f"{FOLDERS[0]}/{name}" for name in names], **_original_sizes(entries, path))
    else:
        table = table.assign(path=find_images(root, FOLDERS, names))
    states = np.where(is_present, LabelState.PRESENT.value, LabelState.ABSENT.value)
    draft = Draft(
        source=SOURCE,
        table=table,
        states=pd.DataFrame(states, columns=list(CHESTXRAY14), dtype="str"),
        regions=_regions(root, table),
        official=official,
        notes=(f"Labels from {config.label_table}.",),
    )
    return assemble(root, draft, config.split, config.images, progress)


def _findings(entries: pd.DataFrame, path: Path) -> NDArray[np.bool_]:
    """What each row's "Finding Labels" names, bool [image, finding]."""
    codes, spellings = pd.factorize(column(entries, ("Finding Labels",), path))
    is_named = np.zeros((len(spellings), len(CHESTXRAY14)), dtype=np.bool_)
    for code, spelling in enumerate(spellings):
        names = [name.strip() for name in str(spelling).split("|")]
        line = int((codes == code).argmax()) + FIRST_LINE
        places = [CHESTXRAY14.index(_canonical(name, path, line)) for name in names if name != NO_FINDING]
        if NO_FINDING in names and places:
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
    return pd.DataFrame(
        {
            "image_id": image_id,
            "patient_id": patient_id,
            "study_id": patient_id + "_" + column(entries, ("Follow-up #",), path).str.zfill(3),
            "view_position": views(column(entries, ("View Position",), path)),
            "sex": sexes(column(entries, ("Patient Gender", "Patient Sex"), path)),
            "age_years": age_in_years(column(entries, ("Patient Age",), path)),
        }
    )


def _original_sizes(entries: pd.DataFrame, path: Path) -> dict[str, "pd.Series[int]"]:
    """Height and width of the original radiographs."""
    # The header's one name "OriginalImage[Width,Height]" falls into two at its comma.
    height = pd.to_numeric(column(entries, ("Height]", "OriginalImageHeight"), path), errors="coerce")
    width = pd.to_numeric(column(entries, ("OriginalImage[Width", "OriginalImageWidth"), path), errors="coerce")
    refuse_rows(~((height > 0) & (width > 0)), path, "have no image size", "fill it in, or leave out --labels-only")
    return {"height": height.astype("int64"), "width": width.astype("int64")}


def _official(root: Path, table: pd.DataFrame, config: Chestxray14Config) -> NDArray[np.str_]:
    """The part of every row by the official lists."""
    train_val, test = _list(root / TRAIN_VAL_LIST), _list(root / TEST_LIST)
    is_train_val = table["image_id"].isin(train_val).to_numpy()
    is_test = table["image_id"].isin(test).to_numpy()
    homeless = table["image_id"][~(is_train_val | is_test)]
    if len(homeless):
        raise ManifestError(
            f"{root}: {len(homeless)} images of {config.label_table} are in neither {TRAIN_VAL_LIST} nor {TEST_LIST} "
            f"(first: {homeless.iloc[0]}) - add each to one of them"
        )
    patients = table["patient_id"].to_numpy(dtype=np.str_)
    check_apart({TRAIN_VAL_LIST: patients[is_train_val].tolist(), TEST_LIST: patients[is_test].tolist()}, str(root))
    return np.where(is_test, Split.TEST.value, Split.TRAIN.value)


def _list(path: Path) -> frozenset[str]:
    try:
        return frozenset(path.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(
            f"{path}: cannot be read ({error}) - download the official list again, or part the patients by seed: "
            "--set split.method=patients"
        ) from error


def _regions(root: Path, table: pd.DataFrame) -> pd.DataFrame:
    """The boxes of images in the table, in pixels of the released images."""
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
    names = {name: _canonical(name, path) for name in label.unique()}
    regions = numbers.set_axis(list(REGION_COLUMNS[2:]), axis=1)
    regions = regions.assign(image_id=image_id, finding=label.map(names))
    regions[list(FRAME_COLUMNS)] = float(RELEASED_SIZE_PX)
    on_images: pd.DataFrame = regions[image_id.isin(table["image_id"])].reset_index(drop=True)
    return on_images


def _canonical(name: str, path: Path, line: int | None = None) -> str:
    try:
        return canonical(name)
    except UnknownNameError as error:
        place = "" if line is None else f"line {line}: "
        raise ManifestError(f"{path}: {place}{error} - correct the table") from error
