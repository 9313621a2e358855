"""The manifest: one row an image, the regions beside it, a header that says where both came from.

On disk: `<name>.parquet` holds the table and, in its parquet metadata, the header; `<name>.regions.parquet` holds the
regions, `<name>.splits.csv` every patient's split, `<name>.refused.csv` the files that were left out, if any.
Reference: docs/reference/manifest.md.
"""

import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from pocketcxr.domain.errors import EmptyCohortError, ManifestError
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.study import Split, ViewPosition
from pocketcxr.manifest.rules import check_regions, check_table
from pocketcxr.manifest.splits import split_digest, split_table

SCHEMA_VERSION = 2
_HEADER_KEY = b"pocketcxr"


class ManifestHeader(BaseModel, frozen=True, extra="forbid"):
    """Where the images came from and what the columns hold."""

    schema_version: int = SCHEMA_VERSION
    source: str
    """Which reader wrote it, e.g. "chestxray14"."""
    root: str
    """Folder that the paths of the table are relative to."""
    findings: tuple[str, ...] = CHESTXRAY14
    is_simulated: bool = False
    """Whether the images are phantoms, not people."""
    is_labels_only: bool = False
    """Whether nobody looked at the images: they may be missing, and height and width may be 0, unknown."""
    splits_sha256: str = ""
    """SHA-256 of <name>.splits.csv; empty before the manifest is written."""
    notes: tuple[str, ...] = ()
    """What somebody who works with the manifest should know, in sentences."""


@dataclass(frozen=True, eq=False)
class Manifest:
    """The table of images, the regions and the header.

    table: rules.TABLE_COLUMNS, then label.<finding> with the text of a LabelState; age_years is NaN where unknown.
    regions: rules.REGION_COLUMNS, in pixels of an image of the table's height x width (where these are 0, because only
    labels were read, in the pixels of the source).
    """

    table: pd.DataFrame
    regions: pd.DataFrame
    header: ManifestHeader
    refused: tuple[Refusal, ...] = ()
    """What the reader left out, and why. Written beside the manifest, not read again."""

    @property
    def findings(self) -> tuple[str, ...]:
        """The findings that have a label column, in order."""
        return self.header.findings

    @property
    def num_images(self) -> int:
        """Rows of the table."""
        return len(self.table)

    @property
    def num_patients(self) -> int:
        """Different people in the table."""
        return int(self.table["patient_id"].nunique())

    def file_of(self, path: str) -> Path:
        """Where the file of a row's `path` lies."""
        return Path(self.header.root) / path


def validate(manifest: Manifest, where: str = "manifest") -> None:
    """Nothing, when the manifest keeps the rules. Raises ManifestError that starts with `where`.

    Rules: columns and their values, no image twice, no patient in two splits, boxes on images of the table.
    """
    check_table(manifest.table, manifest.findings, where, smallest_side=0 if manifest.header.is_labels_only else 1)
    check_regions(manifest.regions, manifest.table, manifest.findings, where)


def select(
    manifest: Manifest, split: Split | None = None, view_positions: Collection[ViewPosition] | None = None
) -> Manifest:
    """The rows of one split and of some view positions (None = any), with their regions, in the same order.

    Raises EmptyCohortError, which names the filter, when no row is left.
    """
    table = manifest.table
    if split is not None:
        table = table[table["split"] == split.value]
    if view_positions is not None:
        table = table[table["view_position"].isin([view.value for view in view_positions])]
    if table.empty:
        wanted = [] if split is None else [f"split {split.value!r} (there are {_counts(manifest.table['split'])})"]
        if view_positions is not None:
            views = ", ".join(view.value for view in view_positions) or "none"
            wanted.append(f"view positions {views} (there are {_counts(manifest.table['view_position'])})")
        raise EmptyCohortError(
            f"no image is left of {manifest.num_images} in the manifest of {manifest.header.root} "
            f"after choosing {' and '.join(wanted) or 'all'}; choose a wider filter or prepare more images"
        )
    table = table.reset_index(drop=True)
    regions = manifest.regions[manifest.regions["image_id"].isin(table["image_id"])].reset_index(drop=True)
    return replace(manifest, table=table, regions=regions)


def regions_path(path: Path) -> Path:
    """Where the regions of the manifest at `path` lie."""
    return path.with_name(f"{path.stem}.regions.parquet")


def splits_path(path: Path) -> Path:
    """Where the split file of the manifest at `path` lies."""
    return path.with_name(f"{path.stem}.splits.csv")


def refused_path(path: Path) -> Path:
    """Where the files that the manifest at `path` left out are listed, if there are any."""
    return path.with_name(f"{path.stem}.refused.csv")


def check_name(path: Path) -> None:
    """Nothing, when a manifest may be called so. Raises ManifestError."""
    if path.suffix != ".parquet":
        raise ManifestError(f"{path}: a manifest is a parquet file - give a name that ends in .parquet")


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write the manifest to `path` (.parquet) and what belongs to it beside; whole files or none.

    Raises ManifestError.
    """
    check_name(path)
    validate(manifest, str(path))
    sealed = manifest.header.model_copy(update={"splits_sha256": split_digest(manifest.table)})
    header = {_HEADER_KEY: sealed.model_dump_json().encode()}
    path.parent.mkdir(parents=True, exist_ok=True)
    # The table comes last: whoever sees a new table finds what belongs to it there already.
    _write(_as_parquet(manifest.regions, header), regions_path(path))
    _write(split_table(manifest.table), splits_path(path))
    if manifest.refused:
        listed = pd.DataFrame([(r.path, r.code.value, r.message) for r in manifest.refused])
        _write(listed.to_csv(index=False, header=["path", "code", "message"]).encode(), refused_path(path))
    else:
        refused_path(path).unlink(missing_ok=True)
    _write(_as_parquet(manifest.table, header), path)


def read_manifest(path: Path) -> Manifest:
    """The manifest that `write_manifest` wrote, validated. Raises ManifestError."""
    table, header = _read(path)
    regions, regions_header = _read(regions_path(path))
    if header != regions_header:
        raise ManifestError(
            f"{regions_path(path)}: belongs to another manifest than {path.name} - run `pocketcxr prepare` again"
        )
    manifest = Manifest(table, regions, header)
    validate(manifest, str(path))
    if split_digest(table) != header.splits_sha256:
        raise ManifestError(f"{path}: its splits are not those it was written with - run `pocketcxr prepare` again")
    return manifest


def _counts(column: "pd.Series[str]") -> str:
    counts = column.value_counts().sort_index()
    return ", ".join(f"{name}: {count}" for name, count in counts.items()) or "no images"


def _as_parquet(frame: pd.DataFrame, header: dict[bytes, bytes]) -> memoryview:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **header})
    stream = pa.BufferOutputStream()
    pq.write_table(table, stream)
    return memoryview(stream.getvalue())


def _write(content: bytes | memoryview, path: Path) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ManifestError(f"{path}: cannot be written ({error}) - free some space or choose another --out") from error


def _read(path: Path) -> tuple[pd.DataFrame, ManifestHeader]:
    try:
        with path.open("rb") as file:
            table = pq.read_table(file)
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: there is no such file - make it with `pocketcxr prepare`") from error
    except (OSError, pa.ArrowInvalid) as error:
        raise ManifestError(f"{path}: is no readable parquet file ({error}) - run `pocketcxr prepare`") from error
    text = (table.schema.metadata or {}).get(_HEADER_KEY)
    if text is None:
        raise ManifestError(f"{path}: is no manifest, its header is missing - make one with `pocketcxr prepare`")
    try:
        header = ManifestHeader.model_validate_json(text)
    except ValidationError as error:
        raise ManifestError(f"{path}: its header is not as expected ({error}) - run `pocketcxr prepare`") from error
    if header.schema_version != SCHEMA_VERSION:
        raise ManifestError(
            f"{path}: schema version {header.schema_version}, this pocketcxr reads {SCHEMA_VERSION} - "
            "run `pocketcxr prepare` again"
        )
    return table.to_pandas(), header
