"""VinDr-CXR (Nguyen et al., Scientific Data 2022, arXiv 2012.15029): 18,000 PA radiographs read by radiologists.

As PhysioNet has it                             As Kaggle's VinBigData competition had it
    train/*.dicom, test/*.dicom                     train/*.dicom, or resized copies as PNG
    annotations/image_labels_{train,test}.csv       train.csv: a line a box or "No finding"
    annotations/annotations_{train,test}.csv        train_meta.csv: the original sizes, for copies

Three readers looked at each training image; the test labels are the consensus of five.
docs/reference/sources/vindr-cxr.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import Sex, Split, ViewPosition
from pocketcxr.manifest.assemble import FRAME_COLUMNS, Draft, assemble
from pocketcxr.manifest.csv_tables import column, read_csv, refuse_rows
from pocketcxr.manifest.image_files import ImagesConfig, find_images
from pocketcxr.manifest.mapping import LabelMapping, by_label, findings_of
from pocketcxr.manifest.rules import no_regions
from pocketcxr.manifest.schema import Manifest
from pocketcxr.manifest.several_readers import Agreement, agreed_states, corner_boxes, of_present
from pocketcxr.manifest.splits import SplitConfig

SOURCE = "vindr-cxr"
NO_FINDING = "No finding"
COMPETITION: tuple[LabelMapping, ...] = (
    LabelMapping("Aortic enlargement", "Aortic_Enlargement"),
    LabelMapping("Atelectasis", "Atelectasis"),
    LabelMapping("Calcification", "Calcification"),
    LabelMapping("Cardiomegaly", "Cardiomegaly"),
    LabelMapping("Consolidation", "Consolidation"),
    LabelMapping("ILD", "Interstitial_Lung_Disease"),
    LabelMapping("Infiltration", "Infiltration"),
    LabelMapping("Lung Opacity", "Lung_Opacity"),
    LabelMapping("Nodule/Mass", "Lung_Lesion", "either of the two: neither Nodule nor Mass can be told from it"),
    LabelMapping("Other lesion", None, "a finding without a name"),
    LabelMapping("Pleural effusion", "Effusion"),
    LabelMapping("Pleural thickening", "Pleural_Thickening"),
    LabelMapping("Pneumothorax", "Pneumothorax"),
    LabelMapping("Pulmonary fibrosis", "Fibrosis"),
    LabelMapping(NO_FINDING, "No_Finding", "what one reader says; the findings are counted one by one"),
)
"""The classes of the competition's table."""
MAPPINGS: tuple[LabelMapping, ...] = (
    *COMPETITION,
    LabelMapping("Clavicle fracture", "Clavicle_Fracture"),
    LabelMapping("Edema", "Edema"),
    LabelMapping("Emphysema", "Emphysema"),
    LabelMapping("Enlarged PA", None, "the pulmonary artery; the vocabulary has no finding for it"),
    LabelMapping("Lung cavity", "Cavitation"),
    LabelMapping("Lung cyst", None, "wider than Bulla; the vocabulary has no finding for it"),
    LabelMapping("Mediastinal shift", "Mediastinal_Shift"),
    LabelMapping("Rib fracture", "Rib_Fracture"),
    LabelMapping("COPD", "COPD_Signs", "of the whole image, without boxes"),
    LabelMapping("Lung tumor", None, "a suspected diagnosis; what is seen is under Nodule/Mass"),
    LabelMapping("Pneumonia", "Pneumonia", "of the whole image, without boxes"),
    LabelMapping("Tuberculosis", "Tuberculosis", "of the whole image, without boxes"),
    LabelMapping("Other diseases", None, "a diagnosis without a name"),
    LabelMapping("Other disease", None, "so spelled in some copies"),
)
Part = Literal["train", "test"]
_SPLITS: dict[Part, Split] = {"train": Split.TRAIN, "test": Split.TEST}
_YES_NO = {"1": 1, "1.0": 1, "0": 0, "0.0": 0}
_NOTES = (
    "VinDr-CXR names no patients: patient_id is the image's own; intervals by bootstrap over patients are over images.",
    "All radiographs are PA by the publication; sex and age, in some DICOM headers, were not looked for.",
)


class VindrCxrConfig(BaseModel, frozen=True, extra="forbid"):
    """How to read it."""

    source: Literal["vindr-cxr"] = "vindr-cxr"
    split: SplitConfig = SplitConfig()
    """official: the test images of PhysioNet. Kaggle's copy has no labelled test images: split.method=patients."""
    images: ImagesConfig = ImagesConfig()
    agreement: Agreement = "majority"
    """When a finding is present: more than half of an image's readers mark it, any does, or all do. Absent is what none
    marks; between the two it is uncertain."""
    parts: tuple[Part, ...] = ("train", "test")
    """Which parts of PhysioNet's copy to read."""
    boxes: Literal["original", "file", "none"] = "original"
    """Which image the boxes are given for: the original radiograph, so that they are scaled to resized copies by
    <part>_meta.csv; the file as it lies there; or do not read them."""
    label_table: str = "train.csv"
    """The table of Kaggle's copy."""


@dataclass(frozen=True, eq=False)
class _Part:
    """What the tables say of one part. states: by image_id. boxes: rules.REGION_COLUMNS, of every reader."""

    name: Part
    states: pd.DataFrame
    boxes: pd.DataFrame


def read(root: Path, config: VindrCxrConfig, progress: Progress = silent) -> Manifest:
    """The manifest of the folder, images in the order in which the tables first name them, validated.

    Raises ManifestError, EmptyCohortError, ConfigError.
    """
    if not root.is_dir():
        raise ManifestError(f"{root}: there is no such folder - give the one that holds annotations/ or train.csv")
    is_physionet = (root / "annotations").is_dir()
    parts = [_physionet(root, part, config) for part in config.parts] if is_physionet else [_kaggle(root, config)]
    tables = [_table(root, part, config.images.labels_only) for part in parts]
    kept = [of_present(part.boxes, part.states) for part in parts]
    num_left = sum(len(part.boxes) for part in parts) - sum(map(len, kept))
    left = (f"{num_left} boxes of findings that too few readers marked were left out.",) if num_left else ()
    regions = [
        _framed(root, part, table, boxes, config) for part, table, boxes in zip(parts, tables, kept, strict=True)
    ]
    draft = Draft(
        source=SOURCE,
        table=pd.concat(tables, ignore_index=True),
        states=pd.concat([part.states for part in parts], ignore_index=True),
        regions=pd.concat(regions, ignore_index=True),
        official=np.concatenate([np.full(len(part.states), _SPLITS[part.name].value) for part in parts])
        if is_physionet
        else None,
        notes=(f"Present is what enough readers of an image mark: {config.agreement}.", *_NOTES, *left),
    )
    return assemble(root, draft, config.split, config.images, progress)


def _physionet(root: Path, part: Part, config: VindrCxrConfig) -> _Part:
    """The label table of a part, a row an image and reader, and its boxes."""
    path = root / "annotations" / f"image_labels_{part}.csv"
    rows = read_csv(path)
    known = by_label(MAPPINGS)
    strange = [name for name in rows.columns if name not in (*known, "image_id", "rad_id")]
    if strange:
        raise ManifestError(
            f"{path}: column {strange[0]!r} is no label that VinDr-CXR is known to have - restore the header, or look "
            "at the known ones with `pocketcxr prepare vindr-cxr --list-findings`"
        )
    image_id = _image_ids(rows, path)
    # The consensus of the test images has no rad_id: one reader.
    readers = rows["rad_id"].str.strip() if "rad_id" in rows.columns else pd.Series("", index=rows.index, dtype="str")
    is_repeated = pd.DataFrame({"image": image_id, "reader": readers}).duplicated()
    refuse_rows(is_repeated, path, "repeat an image of the same reader", "keep one row an image and reader")
    marked = pd.DataFrame({m.finding: _marks(rows, m.label, path) for m in MAPPINGS if m.finding is not None})
    by_image = marked.groupby(image_id, sort=False)
    states = agreed_states(by_image.sum(), by_image.size(), config.agreement)
    if config.boxes == "none":
        return _Part(part, states, no_regions())
    path = root / "annotations" / f"annotations_{part}.csv"
    return _Part(part, states, corner_boxes(read_csv(path), path, known, NO_FINDING))


def _marks(rows: pd.DataFrame, label: str, path: Path) -> "pd.Series[int]":
    texts = column(rows, (label,), path)
    numbers = texts.map(_YES_NO)
    refuse_rows(numbers.isna(), path, f"have neither 0 nor 1 in column {label!r}", "correct the table")
    return numbers.astype("int64")


def _kaggle(root: Path, config: VindrCxrConfig) -> _Part:
    """The competition's table, a row a box or a reader who saw nothing."""
    path = root / config.label_table
    rows = read_csv(path)
    known = by_label(COMPETITION)
    labels = column(rows, ("class_name",), path)
    entries = pd.DataFrame(
        {
            "image": _image_ids(rows, path),
            "reader": column(rows, ("rad_id",), path),
            "finding": findings_of(labels, known, path),
        }
    )
    is_nothing = labels == NO_FINDING
    says_both = is_nothing.groupby([entries["image"], entries["reader"]]).transform("nunique") > 1
    refuse_rows(says_both, path, "are of a reader who says both nothing and something", "correct the table")
    num_readers = entries.groupby("image", sort=False)["reader"].nunique()
    marked = entries.dropna().drop_duplicates().groupby(["image", "finding"]).size().unstack(fill_value=0)
    findings = [mapping.finding for mapping in COMPETITION if mapping.finding is not None]
    marked = marked.reindex(index=num_readers.index, columns=findings, fill_value=0)
    states = agreed_states(marked, num_readers, config.agreement)
    boxes = no_regions() if config.boxes == "none" else corner_boxes(rows, path, known, NO_FINDING)
    return _Part("train", states, boxes)


def _image_ids(rows: pd.DataFrame, path: Path) -> "pd.Series[str]":
    image_id = column(rows, ("image_id",), path)
    refuse_rows(image_id == "", path, "have no image_id", "fill it in")
    return image_id


def _table(root: Path, part: _Part, labels_only: bool) -> pd.DataFrame:
    names = [f"{image_id}.dicom" for image_id in part.states.index]
    paths = [f"{part.name}/{name}" for name in names] if labels_only else find_images(root, (part.name,), names)
    image_id = pd.Series(part.states.index.tolist(), dtype="str")
    table = pd.DataFrame(
        {
            "image_id": image_id,
            "path": paths,
            "patient_id": image_id,
            "study_id": image_id,
            "view_position": ViewPosition.PA.value,
            "sex": Sex.UNKNOWN.value,
            "age_years": np.nan,
        }
    )
    return pd.concat([table, _original_sizes(root, part)], axis=1)


def _original_sizes(root: Path, part: _Part) -> pd.DataFrame:
    """Height and width of the original radiograph of each image, NaN where <part>_meta.csv does not tell."""
    path = root / f"{part.name}_meta.csv"
    sides = {"height": "dim0", "width": "dim1"}
    if not path.is_file():
        return pd.DataFrame(np.nan, index=range(len(part.states)), columns=list(sides))
    meta = read_csv(path)
    image_id = _image_ids(meta, path)
    refuse_rows(image_id.duplicated(), path, "repeat an image", "keep one row an image")
    sizes = pd.DataFrame(
        {side: pd.to_numeric(column(meta, (dim,), path), errors="coerce") for side, dim in sides.items()}
    )
    refuse_rows(~(sizes > 0).all(axis=1), path, "have no dim0 and dim1 above 0", "correct the table")
    return sizes.set_axis(image_id).reindex(part.states.index).reset_index(drop=True)


def _framed(root: Path, part: _Part, table: pd.DataFrame, boxes: pd.DataFrame, config: VindrCxrConfig) -> pd.DataFrame:
    """The boxes with the size of the image that they are given for, NaN where that is the file itself."""
    if config.boxes != "original":
        return boxes.assign(**dict.fromkeys(FRAME_COLUMNS, np.nan))
    of_image = table.set_index("image_id").loc[boxes["image_id"]].reset_index()
    frames = of_image[["height", "width"]].set_axis(list(FRAME_COLUMNS), axis=1)
    # A DICOM file is the original; a PNG may be of any size.
    is_original = of_image["path"].str.lower().str.endswith((".dicom", ".dcm"))
    is_lost = frames.isna().any(axis=1) & ~is_original
    if is_lost.any():
        raise ManifestError(
            f"{root}: {int(is_lost.sum())} boxes lie on images that are no DICOM files and whose original size "
            f"{part.name}_meta.csv does not tell (first: {of_image['path'][is_lost].iloc[0]}) - put that table there "
            "(image_id,dim0,dim1), or, if the files have their original size: --set boxes=file"
        )
    return pd.concat([boxes, frames], axis=1)
