"""Anybody's own table: one CSV or Parquet file with a row an image, explained by a small YAML.

The YAML says which column is what; nothing is guessed from names. What a cell says that the YAML does not explain is an
error with its line. docs/how-to/own-table.md.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator

from pocketcxr.domain.errors import EmptyCohortError, ManifestError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import Sex, Split, ViewPosition
from pocketcxr.manifest.assemble import FRAME_COLUMNS, Draft, assemble
from pocketcxr.manifest.csv_tables import column, refuse_rows
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.label_tables import FindingName, Labels, SourceName, own_findings, read_table, states_of
from pocketcxr.manifest.mapping import LabelMapping
from pocketcxr.manifest.people import SEXES, VIEWS, age_in_years
from pocketcxr.manifest.rules import no_regions
from pocketcxr.manifest.schema import Manifest
from pocketcxr.manifest.splits import SplitConfig, check_apart

SOURCE = "table"
MAPPINGS: tuple[LabelMapping, ...] = ()
"""None: the config of each table maps its own labels."""


class Columns(BaseModel, frozen=True, extra="forbid"):
    """The table's names of what a manifest holds; None: the table has no such column."""

    path: str
    image_id: str | None = None
    """None: the path is the image's id."""
    patient_id: str | None = None
    study_id: str | None = None
    """None: every image is a study of its own."""
    view_position: str | None = None
    sex: str | None = None
    age: str | None = None
    """Years, or with a letter as DICOM writes it: 058Y, 010M."""
    split: str | None = None
    height: str | None = None
    """In pixels. Height and width serve where images are not looked at (images.labels_only), and nowhere else."""
    width: str | None = None


class BoxesConfig(BaseModel, frozen=True, extra="forbid"):
    """A second table with a row a box."""

    file: str
    image_id: str
    """Its column with the image's id (the path, if images have no other id)."""
    finding: str
    """Its column with the finding."""
    findings: Mapping[str, FindingName] = {}
    """The texts there -> the finding; a text that is not here is the finding itself."""
    sides: Annotated[tuple[str, ...], Field(min_length=4, max_length=4)] = ("x", "y", "w", "h")
    """Its columns with left, upper, then as `form` says. Pixels, counted from the image's upper left corner."""
    form: Literal["width-height", "right-lower"] = "width-height"
    frame: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)] | None = None
    """Its columns with height and width of the image that boxes were drawn on; None: the file as it is."""

    def numbers(self) -> tuple[str, ...]:
        """Its columns that hold numbers."""
        return (*self.sides, *(self.frame or ()))


class TableConfig(BaseModel, frozen=True, extra="forbid"):
    """What the table's columns and texts mean."""

    source: Literal["table"] = "table"
    name: SourceName = "table"
    """What the data set is called: it tells sources apart where manifests are combined."""
    file: str
    """The table in the folder, .csv, .csv.gz or .parquet."""
    columns: Columns
    patients: Literal["column", "each-image"] = "column"
    """each-image acknowledges that nobody knows which images are of one person, who may then be in several splits."""
    paths: Annotated[str, Field(pattern=r"\{\}")] = "{}"
    """Where the file of a path column's text lies in the folder, as in images/{}.png."""
    labels: Labels | None = None
    """None: images without labels."""
    views: Mapping[str, ViewPosition] = {}
    """The table's texts, beside PA, AP, LATERAL, L, LL, RL; an empty cell is UNKNOWN."""
    sexes: Mapping[str, Sex] = {}
    """The table's texts, beside F, M, O, Female, Male; an empty cell is UNKNOWN."""
    splits: Mapping[str, Split] = {}
    """The table's texts, beside train, validation, test."""
    boxes: BoxesConfig | None = None
    split: SplitConfig = SplitConfig()
    """`official` takes columns.split; without it choose split.method=patients or external-test."""
    images: ImagesConfig = ImagesConfig()

    @model_validator(mode="after")
    def _knows_its_patients(self) -> Self:
        if (self.columns.patient_id is None) == (self.patients == "column"):
            raise ValueError(
                "give columns.patient_id, so that no person is in two splits; if the table does not tell people apart, "
                "acknowledge it with patients: each-image (and give no columns.patient_id)"
            )
        return self


def read(root: Path, config: TableConfig, progress: Progress = silent) -> Manifest:
    """The manifest of the table, in its order, validated. Raises ManifestError, ConfigError or EmptyCohortError."""
    path = root / config.file
    entries = read_table(path)
    if entries.empty:
        raise EmptyCohortError(f"{path}: holds no image - give a table with at least one row")
    states = states_of(entries, config.labels, path)
    findings = tuple(str(name) for name in states.columns)
    table = _people(entries, config, path)
    draft = Draft(
        source=config.name,
        table=table,
        states=states,
        regions=_regions(root, config, table, findings),
        official=_official(entries, table, config, path),
        notes=_notes(entries, config, table, findings),
    )
    return assemble(root, draft, config.split, config.images, progress)


def _people(entries: pd.DataFrame, config: TableConfig, path: Path) -> pd.DataFrame:
    """What the table says of every image and whose it is."""
    columns = config.columns
    texts = _filled(entries, columns.path, path)
    image_id = texts if columns.image_id is None else _filled(entries, columns.image_id, path)
    is_repeated = image_id.duplicated()
    first = image_id[is_repeated].iloc[0] if is_repeated.any() else ""
    refuse_rows(is_repeated, path, f"repeat an image, such as {first!r}", "keep one row an image")
    table = pd.DataFrame(
        {
            "image_id": image_id,
            "path": [config.paths.replace("{}", text) for text in texts],
            "patient_id": image_id if columns.patient_id is None else _filled(entries, columns.patient_id, path),
            "study_id": image_id if columns.study_id is None else _filled(entries, columns.study_id, path),
            "view_position": _translated(entries, columns.view_position, VIEWS | _values(config.views), path),
            "sex": _translated(entries, columns.sex, SEXES | _values(config.sexes), path),
            "age_years": np.nan if columns.age is None else age_in_years(column(entries, (columns.age,), path)),
        }
    )
    sizes = {"height": columns.height, "width": columns.width}
    return table.assign(**{side: column(entries, (name,), path) for side, name in sizes.items() if name is not None})


def _filled(entries: pd.DataFrame, name: str, path: Path) -> "pd.Series[str]":
    texts = column(entries, (name,), path)
    refuse_rows(texts == "", path, f"have an empty {name!r}", "fill it in, or leave the row out")
    return texts


def _values(texts: Mapping[str, ViewPosition] | Mapping[str, Sex] | Mapping[str, Split]) -> dict[str, str]:
    return {text: member.value for text, member in texts.items()}


def _translated(entries: pd.DataFrame, name: str | None, known: dict[str, str], path: Path) -> "pd.Series[str]":
    """The column in our words; UNKNOWN where a cell is empty or there is no such column."""
    if name is None:
        return pd.Series("UNKNOWN", index=entries.index, dtype="str")
    texts = column(entries, (name,), path)
    values = texts.map({"": "UNKNOWN"} | known)
    _refuse_unexplained(texts, values.isna(), name, path)
    return values


def _refuse_unexplained(texts: "pd.Series[str]", is_strange: "pd.Series[bool]", name: str, path: Path) -> None:
    first = texts[is_strange].iloc[0] if is_strange.any() else ""
    what = f"have a text in column {name!r} that nothing explains, such as {first!r}"
    refuse_rows(is_strange, path, what, "say what it stands for in the config: views, sexes, splits or boxes.findings")


def _official(entries: pd.DataFrame, table: pd.DataFrame, config: TableConfig, path: Path) -> NDArray[np.str_] | None:
    """The part of every image by the table's own column, no patient in two of them."""
    name = config.columns.split
    if name is None or config.split.method != "official" or config.split.file is not None:
        return None
    texts = column(entries, (name,), path)
    splits = texts.map({split.value: split.value for split in Split} | _values(config.splits))
    _refuse_unexplained(texts, splits.isna(), name, path)
    check_apart({part: table["patient_id"][splits == part].tolist() for part in splits.unique()}, str(path))
    return splits.to_numpy(dtype=np.str_)


def _regions(root: Path, config: TableConfig, table: pd.DataFrame, findings: Sequence[str]) -> pd.DataFrame:
    """The boxes of the table's images, and the size of the image they were drawn on if the config names it."""
    if config.boxes is None:
        return no_regions()
    boxes, path = config.boxes, root / config.boxes.file
    rows = read_table(path)
    texts = column(rows, (boxes.finding,), path)
    names = texts.map({finding: finding for finding in findings} | dict(boxes.findings))
    _refuse_unexplained(texts, ~names.isin(list(findings)), boxes.finding, path)
    numbers = {name: pd.to_numeric(column(rows, (name,), path), errors="coerce") for name in boxes.numbers()}
    refuse_rows(pd.DataFrame(numbers).isna().any(axis=1), path, "have a box without a number", "fill it in")
    left, upper, third, fourth = (numbers[name].astype("float64") for name in boxes.sides)
    if boxes.form == "right-lower":
        third, fourth = third - left, fourth - upper
    frame = [numbers[name].astype("float64") for name in boxes.frame or ()]
    is_void = (pd.concat([third, fourth, *frame], axis=1) <= 0).any(axis=1)
    refuse_rows(is_void, path, "have a box of no size", "correct it, or look at boxes.form")
    regions = pd.DataFrame(
        {"image_id": _filled(rows, boxes.image_id, path), "finding": names}
        | {"x": left, "y": upper, "w": third, "h": fourth}
        | dict(zip(FRAME_COLUMNS, frame, strict=False))
    )
    is_known = regions["image_id"].isin(table["image_id"])
    if not is_known.any() and len(regions):
        raise ManifestError(
            f"{path}: no box is on an image of {config.file} (first: {regions['image_id'].iloc[0]!r}; an image is "
            f"called {table['image_id'].iloc[0]!r}) - look at boxes.image_id and columns.image_id"
        )
    return regions[is_known].reset_index(drop=True)


def _notes(entries: pd.DataFrame, config: TableConfig, table: pd.DataFrame, findings: Sequence[str]) -> tuple[str, ...]:
    notes = [f"Labels from {config.file}." if findings else f"Images of {config.file}, without labels."]
    if config.patients == "each-image":
        notes.append("Nobody knows which images are of one person: people may be in several splits, scores too good.")
    if own := own_findings(findings):
        notes.append(f"Findings that the common vocabulary lacks: {', '.join(own)}.")
    if config.columns.age is not None:
        is_lost = (entries[config.columns.age].str.strip() != "") & table["age_years"].isna()
        if is_lost.any():
            notes.append(f"{int(is_lost.sum())} ages are no number of years from 0 to 120: unknown.")
    return tuple(notes)
