"""A file of regions beside a manifest's own: boxes as a table, or masks as CheXlocalize writes them."""

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from pocketcxr.domain.errors import ManifestError, UnknownNameError
from pocketcxr.domain.findings import canonical, known_findings
from pocketcxr.manifest.csv_tables import column, read_csv, refuse_rows
from pocketcxr.manifest.schema import Manifest

SIDES = ["x", "y", "w", "h"]
TABLE = (".csv", ".csv.gz")


def is_table(path: Path) -> bool:
    """Whether the file holds boxes, by its name."""
    return path.name.lower().endswith(TABLE)


def read_boxes(path: Path, manifest: Manifest) -> pd.DataFrame:
    """The boxes of the manifest's images in the table at `path`: image_id, finding, x, y, w, h in pixels of the file.

    An image goes by its image_id, or by its file's name with or without suffix; other images are left out. Findings
    are those of the manifest, or of the vocabulary with its synonyms. Raises ManifestError where the table lacks a
    column, has no image in common, names an unknown finding, or holds a box that is no box.
    """
    rows = read_csv(path)
    ids = column(rows, ("image_id",), path).map(_image_of(manifest))
    sides = {name: pd.to_numeric(column(rows, (name,), path), errors="coerce") for name in SIDES}
    boxes = pd.DataFrame({"image_id": ids, "finding": _findings(rows, path, manifest), **sides})
    is_box = boxes[SIDES].abs().lt(np.inf).all(axis=1) & boxes["w"].gt(0) & boxes["h"].gt(0)
    refuse_rows(~is_box, path, "have no box: x, y, w and h are numbers, w and h above 0", "correct or remove them")
    known = boxes[boxes["image_id"].notna()].reset_index(drop=True)
    if known.empty:
        raise ManifestError(
            f"{path}: names no image of the manifest (first of its {len(rows)} rows: {rows.iloc[0].to_dict()}); "
            f"image_id is as in the manifest, for instance {manifest.table['image_id'].iloc[0]!r}"
            if len(rows)
            else f"{path}: holds no row; give image_id, finding, x, y, w, h"
        )
    return known


def _findings(rows: pd.DataFrame, path: Path, manifest: Manifest) -> "pd.Series[str]":
    given = column(rows, ("finding",), path)
    names = dict.fromkeys(given)
    try:
        return given.map({name: canonical(name, (*manifest.findings, *known_findings())) for name in names})
    except UnknownNameError as error:
        raise ManifestError(f"{path}: {error}") from error


def _image_of(manifest: Manifest) -> dict[str, str]:
    """image_id by every name that an image goes by; names that several share are none."""
    ids = manifest.table["image_id"].astype(str).tolist()
    names: dict[str, set[str]] = {}
    for image_id, path in zip(ids, manifest.table["path"].astype(str), strict=True):
        name = PurePosixPath(path).name
        for one in (name, name.rsplit(".", 1)[0]):
            names.setdefault(one, set()).add(image_id)
    single = {name: next(iter(owners)) for name, owners in names.items() if len(owners) == 1}
    return {**single, **{image_id: image_id for image_id in ids}}
