"""What a model said of a cohort beside the truth: one row an image, kept as parquet between the stages."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pocketcxr.domain.errors import EmptyCohortError, ManifestError

SCHEMA_VERSION = 1
_METADATA_KEY = b"pocketcxr.scores"
_ID_COLUMNS = ("image_id", "patient_id")


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Labels and probabilities of n images; unknown stays NaN.

    Raises ManifestError where shapes, image ids or values break the rules, EmptyCohortError where there is no image.
    """

    findings: tuple[str, ...]
    image_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    labels: NDArray[np.float32]
    """[n, finding]: 1 present, 0 absent, NaN unknown."""
    probabilities: NDArray[np.float32]
    """[n, finding] in 0..1; a whole column is NaN where the model never learnt the finding."""

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_images(self)
        _check_values(self)

    @property
    def num_images(self) -> int:
        """Rows of the table."""
        return len(self.image_ids)

    @property
    def num_patients(self) -> int:
        """Different patients in the table."""
        return len(set(self.patient_ids))


def write_scores(table: ScoreTable, path: Path) -> None:
    """Write `table` as parquet: image_id, patient_id, label.<finding>, probability.<finding>. Replaces `path` whole."""
    columns: dict[str, object] = {
        "image_id": pa.array(table.image_ids, pa.string()),
        "patient_id": pa.array(table.patient_ids, pa.string()),
    }
    for index, finding in enumerate(table.findings):
        columns[f"label.{finding}"] = pa.array(table.labels[:, index], pa.float32())
        columns[f"probability.{finding}"] = pa.array(table.probabilities[:, index], pa.float32())
    header = json.dumps({"schema_version": SCHEMA_VERSION, "findings": table.findings})
    frame = pa.table(columns).replace_schema_metadata({_METADATA_KEY: header.encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    pq.write_table(frame, partial)
    os.replace(partial, path)  # noqa: PTH105 - Path.replace is the same call; the name says that it is atomic


def read_scores(path: Path) -> ScoreTable:
    """The table in `path`, equal to what was written. Raises ManifestError where it is not such a table."""
    if not path.is_file():
        raise ManifestError(f"{path}: no scores here; `pocketcxr evaluate RUN --manifest M` writes them")
    try:
        frame = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise ManifestError(f"{path}: not a parquet file ({error}); write the scores again") from error
    findings = _findings_of(frame, path)
    expected = [*_ID_COLUMNS, *(f"{kind}.{finding}" for finding in findings for kind in ("label", "probability"))]
    missing = [name for name in expected if name not in frame.column_names]
    extra = [name for name in frame.column_names if name not in expected]
    if missing or extra:
        raise ManifestError(
            f"{path}: columns do not fit the header: missing {missing or 'none'}, unexpected {extra or 'none'};"
            " write the scores again"
        )
    return ScoreTable(
        findings=findings,
        image_ids=tuple(frame.column("image_id").to_pylist()),
        patient_ids=tuple(frame.column("patient_id").to_pylist()),
        labels=_matrix(frame, [f"label.{finding}" for finding in findings], path),
        probabilities=_matrix(frame, [f"probability.{finding}" for finding in findings], path),
    )


def _findings_of(frame: pa.Table, path: Path) -> tuple[str, ...]:
    metadata = frame.schema.metadata or {}
    if _METADATA_KEY not in metadata:
        raise ManifestError(f"{path}: not a table of scores (its header is missing); pass the scores.parquet of a run")
    header = json.loads(metadata[_METADATA_KEY])
    if header["schema_version"] != SCHEMA_VERSION:
        raise ManifestError(
            f"{path}: scores of schema version {header['schema_version']}, this pocketcxr reads {SCHEMA_VERSION};"
            " evaluate the run again"
        )
    return tuple(header["findings"])


def _matrix(frame: pa.Table, names: Sequence[str], path: Path) -> NDArray[np.float32]:
    wrong = [name for name in names if frame.schema.field(name).type != pa.float32()]
    if wrong:
        raise ManifestError(f"{path}: columns {wrong} are not float32; write the scores again")
    if not names:
        return np.empty((frame.num_rows, 0), np.float32)
    return np.stack([frame.column(name).to_numpy() for name in names], axis=1).astype(np.float32, copy=False)


def _check_shapes(table: ScoreTable) -> None:
    if not table.image_ids:
        raise EmptyCohortError("scores: zero images; widen the split or the filter")
    if len(table.patient_ids) != len(table.image_ids):
        raise ManifestError(f"scores: {len(table.image_ids)} image_ids but {len(table.patient_ids)} patient_ids")
    expected = (len(table.image_ids), len(table.findings))
    for name, matrix in (("labels", table.labels), ("probabilities", table.probabilities)):
        if matrix.shape != expected or matrix.dtype != np.float32:
            raise ManifestError(f"scores: {name} are {matrix.dtype} {matrix.shape}; expected float32 {expected}")


def _check_images(table: ScoreTable) -> None:
    image_id, num_rows = Counter(table.image_ids).most_common(1)[0]
    if num_rows > 1:
        raise ManifestError(f"scores: image {image_id!r} has {num_rows} rows; score every image once")
    if len(set(table.findings)) < len(table.findings):
        raise ManifestError(f"scores: a finding is named twice in {', '.join(table.findings)}")


def _check_values(table: ScoreTable) -> None:
    for index, finding in enumerate(table.findings):
        labels, probabilities = table.labels[:, index], table.probabilities[:, index]
        num_wrong = int((~np.isnan(labels) & ~np.isin(labels, (0, 1))).sum())
        if num_wrong:
            raise ManifestError(f"scores: {num_wrong} labels of {finding} are neither 1, 0 nor NaN (unknown)")
        num_outside = int((~((probabilities >= 0) & (probabilities <= 1))).sum())
        if num_outside and not np.isnan(probabilities).all():
            raise ManifestError(
                f"scores: {num_outside} of {table.num_images} probabilities of {finding} are NaN or outside 0..1;"
                " a finding is either scored in every image or, when never learnt, NaN in all"
            )
