"""Radiologists who looked at the same image one by one: what they agree on, and the boxes they drew."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.csv_tables import column, refuse_rows
from pocketcxr.manifest.mapping import LabelMapping, findings_of
from pocketcxr.manifest.rules import REGION_COLUMNS

Agreement = Literal["majority", "any", "unanimous"]
"""How many of an image's readers must mark a finding: more than half of them, one, all."""

_CORNERS = ("x_min", "y_min", "x_max", "y_max")


def agreed_states(num_marked: pd.DataFrame, num_readers: "pd.Series[int]", agreement: Agreement) -> pd.DataFrame:
    """The LabelState texts of every image and finding: present where enough readers marked it, absent where none did.

    Between the two, where some did but too few, it is uncertain. num_marked: how many did, [image, finding];
    num_readers: how many looked at the image, in the same order.
    """
    readers = num_readers.to_numpy(dtype=np.int64)[:, np.newaxis]
    match agreement:
        case "majority":
            needed = readers // 2 + 1
        case "any":
            needed = np.ones_like(readers)
        case "unanimous":
            needed = readers
    marked = num_marked.to_numpy(dtype=np.int64)
    states = np.select(
        [marked >= needed, marked == 0],
        [LabelState.PRESENT.value, LabelState.ABSENT.value],
        LabelState.UNCERTAIN.value,
    )
    return pd.DataFrame(states, index=num_marked.index, columns=num_marked.columns, dtype="str")


def corner_boxes(rows: pd.DataFrame, path: Path, known: Mapping[str, LabelMapping], nothing: str) -> pd.DataFrame:
    """rules.REGION_COLUMNS of every row that has a box of a mapped finding; a box drawn twice is given once.

    rows: of csv_tables.read_csv, with image_id, class_name and two corners. nothing: the class that has no box. Raises
    ManifestError where a number is missing or a box has no area.
    """
    labels = column(rows, ("class_name",), path)
    findings = findings_of(labels, known, path)
    corners = pd.DataFrame({name: pd.to_numeric(column(rows, (name,), path), errors="coerce") for name in _CORNERS})
    is_box = labels != nothing
    is_unknown = is_box & ~np.isfinite(corners.to_numpy(dtype=np.float64)).all(axis=1)
    refuse_rows(is_unknown, path, "have a finding without four numbers", "correct the table")
    w, h = corners["x_max"] - corners["x_min"], corners["y_max"] - corners["y_min"]
    refuse_rows(is_box & ~((w > 0) & (h > 0)), path, "have a box of no area", "correct or remove them")
    boxes = pd.DataFrame(
        {
            "image_id": column(rows, ("image_id",), path),
            "finding": findings,
            "x": corners["x_min"],
            "y": corners["y_min"],
            "w": w,
            "h": h,
        }
    )
    readers = rows["rad_id"] if "rad_id" in rows.columns else pd.Series("", index=rows.index)
    is_repeated = boxes.assign(reader=readers).duplicated()
    return boxes.loc[is_box & findings.notna() & ~is_repeated, list(REGION_COLUMNS)].reset_index(drop=True)


def of_present(boxes: pd.DataFrame, states: pd.DataFrame) -> pd.DataFrame:
    """Those of the boxes whose finding is present in their image; boxes of images outside `states` are left out.

    states: LabelState texts, by image_id and finding.
    """
    rows = states.index.get_indexer(pd.Index(boxes["image_id"]))
    columns = states.columns.get_indexer(pd.Index(boxes["finding"]))
    is_present = np.zeros(len(boxes), dtype=np.bool_)
    is_told = (rows >= 0) & (columns >= 0)
    is_present[is_told] = states.to_numpy()[rows[is_told], columns[is_told]] == LabelState.PRESENT.value
    return boxes[is_present].reset_index(drop=True)
