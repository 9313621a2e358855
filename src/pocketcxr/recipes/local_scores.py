"""A site's own labels: the CSV that `pocketcxr predict --csv` writes, with a column label.<finding> added for each."""

import csv
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pocketcxr.domain.errors import EmptyCohortError, ManifestError, UnknownNameError
from pocketcxr.evaluate.labelled_logits import LabelledLogits

LOGIT, LABEL = "logit.", "label."
SCORED = "scored"
LABELS = {"1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0, "": math.nan}
"""As spreadsheets and pandas write them; blank is unknown."""


@dataclass(frozen=True, eq=False)
class LocalScores:
    """The labelled images of a site."""

    data: LabelledLogits
    """Of the findings that have a label column, in the model's order."""
    num_left_out: int
    """Rows that `predict` refused."""
    has_patients: bool
    """Whether a column says who is who; otherwise every image counts as a patient of its own."""


def read_local_scores(path: Path, findings: Sequence[str]) -> LocalScores:
    """The labelled logits in `path` for a model of these `findings`.

    Needed: path, status, logit.<finding> and label.<finding> (1, 0 or blank) for at least one finding; patient_id is
    used where it is there, all else is ignored. Raises ManifestError where the file is not like that, UnknownNameError
    for labels of a finding the model does not know, EmptyCohortError where no scored row is left.
    """
    header, rows = _read(path)
    labelled = _labelled(path, header, findings)
    _require(path, header, ["path", "status", *(LOGIT + finding for finding in labelled)])
    scored = [(number, row) for number, row in rows if row["status"] == SCORED]
    if not scored:
        raise EmptyCohortError(f"{path}: none of {len(rows)} rows has status {SCORED!r}; score images that can be read")
    has_patients = "patient_id" in header
    patients = tuple(row["patient_id" if has_patients else "path"].strip() for _, row in scored)
    for (number, _), patient in zip(scored, patients, strict=True):
        if not patient:
            raise ManifestError(f"{path}: row {number} has no patient_id; fill it in, or leave the column out")
    _once(path, [row["path"] for _, row in scored])
    logits = np.array([[_logit(path, number, row, finding) for finding in labelled] for number, row in scored])
    labels = np.array([[_label(path, number, row, finding) for finding in labelled] for number, row in scored])
    data = LabelledLogits(tuple(labelled), patients, logits, labels.astype(np.float32))
    return LocalScores(data, len(rows) - len(scored), has_patients)


def _read(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Column names, and rows with their number in the file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            rows = [(reader.line_num, row) for row in reader if row]
    except OSError as error:
        raise ManifestError(
            f"{path} cannot be read ({error.strerror or error}); give the CSV of your labels"
        ) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is not a CSV file in UTF-8 ({error}); save it as one") from error
    if not header:
        raise EmptyCohortError(f"{path} is empty; write it with: pocketcxr predict BUNDLE FILE... --csv")
    for number, row in rows:
        if len(row) != len(header):
            raise ManifestError(f"{path}: row {number} has {len(row)} cells, the header {len(header)}; correct it")
    if len(set(header)) != len(header):
        raise ManifestError(f"{path}: a column is named twice; rename or remove one")
    if not rows:
        raise EmptyCohortError(
            f"{path} has a header and no rows; write it with: pocketcxr predict BUNDLE FILE... --csv"
        )
    return header, [(number, dict(zip(header, row, strict=True))) for number, row in rows]


def _labelled(path: Path, header: Sequence[str], findings: Sequence[str]) -> list[str]:
    """The findings with a label column, in the model's order."""
    named = [name.removeprefix(LABEL) for name in header if name.startswith(LABEL)]
    for finding in named:
        if finding not in findings:
            raise UnknownNameError.of(f"{path}: finding", finding, findings)
    if not named:
        raise ManifestError(f"{path} has no column {LABEL}<finding>; add one with 1, 0 or blank for each finding")
    return [finding for finding in findings if finding in named]


def _require(path: Path, header: Sequence[str], names: Sequence[str]) -> None:
    missing = [name for name in names if name not in header]
    if missing:
        raise ManifestError(
            f"{path} lacks the column {missing[0]}; write the scores with: pocketcxr predict BUNDLE FILE... --csv"
        )


def _once(path: Path, files: Sequence[str]) -> None:
    file, num_rows = Counter(files).most_common(1)[0]
    if num_rows > 1:
        raise ManifestError(f"{path}: {file} has {num_rows} rows; keep one")


def _logit(path: Path, number: int, row: dict[str, str], finding: str) -> float:
    text = row[LOGIT + finding].strip()
    if not text:
        return math.nan  # never learnt, or LabelledLogits says that it is missing in some rows only
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise ManifestError(f"{path}: row {number}: {LOGIT}{finding} is {text!r}, no finite number; score again")
    return value


def _label(path: Path, number: int, row: dict[str, str], finding: str) -> float:
    text = row[LABEL + finding].strip()
    if text not in LABELS:
        raise ManifestError(f"{path}: row {number}: {LABEL}{finding} is {text!r}; write 1, 0 or leave it blank")
    return LABELS[text]
