"""boxes.csv of simulated data sets, where the source that they follow has no table of boxes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from pocketcxr.domain.findings import broader
from pocketcxr.manifest.assemble import SIMULATED
from pocketcxr.manifest.csv_tables import column, read_csv, refuse_rows
from pocketcxr.manifest.rules import REGION_COLUMNS, no_regions

BOXES = "boxes.csv"
_SIDES = REGION_COLUMNS[2:]


def simulated_boxes(
    root: Path, image_of: Mapping[str, str], findings: Sequence[str], shown_as: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """The boxes of `findings` in the table boxes.csv of a simulated data set: rules.REGION_COLUMNS, in its own order.

    image_of: the image_id of each name in the table; others are left out. A box of a finding is also one of every
    broader finding, and of the one that the source's labels show it as. Of a root that is not simulated, or without
    the table, there are none: the file could be anybody's. Raises ManifestError.
    """
    path = root / BOXES
    if not (root / SIMULATED).is_file() or not path.is_file():
        return no_regions()
    rows = read_csv(path)
    labels = column(rows, ("Finding Label",), path)
    sides = pd.DataFrame({side: pd.to_numeric(column(rows, (side,), path), errors="coerce") for side in _SIDES})
    refuse_rows(sides.isna().any(axis=1), path, "have no four numbers", "simulate the data set again")
    boxes = sides.assign(image_id=column(rows, ("Image Index",), path).map(image_of))
    names = {label: _findings_of(label, findings, shown_as or {}) for label in labels.unique()}
    boxes = boxes.assign(finding=labels.map(names)).explode("finding").dropna(subset=["image_id", "finding"])
    # An image may show two findings that are one in a broader word, at the same place.
    boxes = boxes[list(REGION_COLUMNS)].drop_duplicates(ignore_index=True)
    return boxes.astype({"image_id": "str", "finding": "str"})


def _findings_of(label: str, findings: Sequence[str], shown_as: Mapping[str, str]) -> list[str]:
    """Those of `findings` that a box of `label` is one of."""
    names = {label}
    if label in shown_as:
        names.add(shown_as[label])
    names |= {more for name in names for more in broader(name)}
    return [finding for finding in findings if finding in names]
