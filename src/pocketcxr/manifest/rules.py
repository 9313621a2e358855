"""What the columns of a manifest are called and what they may hold, as pandera schemas."""

from collections.abc import Sequence
from functools import lru_cache

import pandas as pd
import pandera.pandas as pa

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.study import LabelState, Sex, Split, ViewPosition

TABLE_COLUMNS: tuple[str, ...] = (
    "image_id",
    "path",
    "source",
    "patient_id",
    "study_id",
    "view_position",
    "sex",
    "age_years",
    "height",
    "width",
    "split",
)
"""Before the label columns, one for each finding of the header in its order."""

REGION_COLUMNS: tuple[str, ...] = ("image_id", "finding", "x", "y", "w", "h")

MAX_AGE_YEARS = 120.0
EDGE_TOLERANCE_PX = 1.0
"""Boxes come rounded: so far may one reach beyond its image."""


def label_column(finding: str) -> str:
    """The table's column that holds the states of `finding`."""
    return f"label.{finding}"


def table_columns(findings: Sequence[str]) -> tuple[str, ...]:
    """All columns of a table with labels of `findings`, in order."""
    return TABLE_COLUMNS + tuple(label_column(finding) for finding in findings)


def no_regions() -> pd.DataFrame:
    """A regions table of no rows."""
    text = {name: pd.Series(dtype="str") for name in REGION_COLUMNS[:2]}
    return pd.DataFrame(text | {name: pd.Series(dtype="float64") for name in REGION_COLUMNS[2:]})


def check_table(table: pd.DataFrame, findings: Sequence[str], where: str, smallest_side: int = 1) -> None:
    """Nothing, when the table keeps the rules. Raises ManifestError: `where`, the column, the count, the first row.

    smallest_side: 0 where images were not looked at and may be of unknown size.
    """
    _check(_table_schema(tuple(findings), smallest_side), table, where)
    splits = table.groupby("patient_id", sort=False)["split"].nunique()
    torn = splits[splits > 1].index
    if len(torn):
        raise ManifestError(
            f"{where}: {len(torn)} patients are in more than one split (first: patient {torn[0]!r}); "
            "scores of people seen in training mean nothing - assign splits by patient"
        )


def check_regions(regions: pd.DataFrame, table: pd.DataFrame, findings: Sequence[str], where: str) -> None:
    """Nothing, when every box lies on an image of the table. Raises ManifestError."""
    _check(_region_schema(tuple(findings)), regions, f"{where}, regions")
    rows = pd.Index(table["image_id"]).get_indexer(pd.Index(regions["image_id"]))
    homeless = regions[rows < 0]
    if len(homeless):
        raise ManifestError(
            f"{where}, regions: {len(homeless)} boxes belong to no image of the table "
            f"(first: {homeless['image_id'].iloc[0]!r}) - leave them out"
        )
    on_image = table[["height", "width"]].iloc[rows].reset_index(drop=True)
    box = regions.reset_index(drop=True)
    is_outside = (box["x"] + box["w"] > on_image["width"] + EDGE_TOLERANCE_PX) | (
        box["y"] + box["h"] > on_image["height"] + EDGE_TOLERANCE_PX
    )
    is_outside &= on_image["width"] > 0  # 0: of unknown size, only where labels alone were read
    if is_outside.any():
        first = int(is_outside.to_numpy().argmax())
        raise ManifestError(
            f"{where}, regions: {int(is_outside.sum())} boxes reach beyond their image (first: row {first}, "
            f"{box['image_id'].iloc[first]!r}) - give boxes in pixels of the file on disk"
        )


def _check(schema: pa.DataFrameSchema, frame: pd.DataFrame, where: str) -> None:
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        first = cases.iloc[0]
        rule = (cases["column"] == first["column"]) & (cases["check"] == first["check"])
        if pd.isna(first["index"]):
            what = f"{first['check']}: {first['failure_case']!r}"
        else:
            broken = f"{int(rule.sum())} rows break {first['check']!r}"
            what = f"{broken} (first: row {first['index']}, {first['failure_case']!r})"
        column = "" if first["column"] is None or pd.isna(first["column"]) else f"column {first['column']!r}: "
        raise ManifestError(f"{where}: {column}{what} - the rules are in docs/reference/manifest.md") from error


@lru_cache(maxsize=16)
def _table_schema(findings: tuple[str, ...], smallest_side: int) -> pa.DataFrameSchema:
    columns = {
        "image_id": pa.Column(str, _filled(), unique=True),
        "path": pa.Column(str, _filled(), unique=True),
        "source": pa.Column(str, _filled()),
        "patient_id": pa.Column(str, _filled()),
        "study_id": pa.Column(str, _filled()),
        "view_position": pa.Column(str, pa.Check.isin([view.value for view in ViewPosition])),
        "sex": pa.Column(str, pa.Check.isin([sex.value for sex in Sex])),
        "age_years": pa.Column(float, pa.Check.in_range(0, MAX_AGE_YEARS), nullable=True),
        "height": pa.Column(int, pa.Check.ge(smallest_side)),
        "width": pa.Column(int, pa.Check.ge(smallest_side)),
        "split": pa.Column(str, pa.Check.isin([split.value for split in Split])),
    }
    states = [state.value for state in LabelState]
    labels = {label_column(finding): pa.Column(str, pa.Check.isin(states)) for finding in findings}
    return pa.DataFrameSchema(columns | labels, strict=True, ordered=True)


@lru_cache(maxsize=16)
def _region_schema(findings: tuple[str, ...]) -> pa.DataFrameSchema:
    columns = {
        "image_id": pa.Column(str),
        "finding": pa.Column(str, pa.Check.isin(list(findings))),
        "x": pa.Column(float, pa.Check.ge(-EDGE_TOLERANCE_PX)),
        "y": pa.Column(float, pa.Check.ge(-EDGE_TOLERANCE_PX)),
        "w": pa.Column(float, pa.Check.gt(0)),
        "h": pa.Column(float, pa.Check.gt(0)),
    }
    return pa.DataFrameSchema(columns, strict=True, ordered=True)


def _filled() -> pa.Check:
    return pa.Check.str_length(min_value=1)
