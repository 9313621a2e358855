"""The results of a bulk run: a CSV file that only ever grows, a row a file in the order of the files.

Beside it, `<name>.run.json` says what the run was of. A killed run is taken up again: a row cut short and the rows of a
batch that was not written whole are cut off, so every image gets into the same batch as in a run that nobody killed.
"""

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ValidationError

from pocketcxr.domain.errors import PocketCxrError, UsageError
from pocketcxr.domain.extras import require
from pocketcxr.domain.prediction import Prediction, Refusal
from pocketcxr.runtime.bulk_files import Listed
from pocketcxr.runtime.card import Card
from pocketcxr.runtime.score_columns import score_cells, score_columns

SCORED, REFUSED = "scored", "refused"
FIXED_COLUMNS = ("path", "status", "code", "message")
_PARQUET_BLOCK_BYTES = 1 << 22


class RunFacts(BaseModel, frozen=True, extra="forbid"):
    """What must be the same for a run to be taken up again; batches too, lest an engine rounds by their size."""

    version: int = 1
    made_by: str
    bundle: str
    """SHA-256 of its card."""
    source: str
    columns: tuple[str, ...]
    batch_size: int
    seconds: float
    memory_mb: int
    heatmaps: str | None
    top: int | None
    checks_input: bool = False


@dataclass(frozen=True)
class Row:
    """One file's line."""

    name: str
    result: Prediction | Refusal
    warning: str = ""
    """What is odd about a file that was scored."""

    def line(self, card: Card) -> str:
        """The row as CSV; control characters and bytes that are no UTF-8 are escapes, so it is one line."""
        match self.result:
            case Refusal(code=code, message=message):
                return csv_line([self.name, REFUSED, code.value, message, *("" for _ in score_columns(card))])
            case Prediction(scores=scores):
                return csv_line([self.name, SCORED, "", self.warning, *score_cells(card, scores)])


@dataclass(frozen=True)
class Kept:
    """What an earlier run left."""

    num_rows: int
    counts: Counter[str]
    """Rows by "scored" or refusal code."""
    num_bytes: int


def one_line(text: str) -> str:
    """The text with everything that is not printable written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def header_path(out: Path) -> Path:
    """Where the run's facts lie."""
    return out.with_name(f"{out.name}.run.json")


def check_run(out: Path, facts: RunFacts) -> None:
    """Nothing, when `out` is new or belongs to a run of these facts; they are written where it is new.

    Raises UsageError where it belongs to something else.
    """
    header = header_path(out)
    try:
        if not out.exists():
            part = header.with_name(f"{header.name}.part")
            part.write_text(facts.model_dump_json(indent=2) + "\n", encoding="utf-8")
            part.replace(header)
            return
        before = RunFacts.model_validate_json(header.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError) as error:
        raise UsageError(f"{out}: is there and no bulk run of this program wrote it; choose another --out") from error
    except OSError as error:
        raise UsageError(
            f"{out}: cannot be written beside ({error.strerror or error}); choose another --out"
        ) from error
    for name, value in facts:
        other = dict(before)[name]
        if other != value:
            raise UsageError(
                f"{out}: was begun with {name} {other!r}, now it is {value!r}; "
                "go on with the same command, or choose another --out"
            )


@contextmanager
def opened_rows(out: Path) -> Iterator[BinaryIO]:
    """The CSV file, open for reading and appending and this process's own. Raises UsageError, PocketCxrError."""
    try:
        with out.open("a+b") as file:
            if sys.platform != "win32":
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file
    except BlockingIOError as error:
        raise UsageError(f"{out}: another process is writing it; wait for it, or choose another --out") from error
    except OSError as error:
        raise PocketCxrError(
            f"{out}: cannot be written ({error.strerror or error}); make room, the same command goes on"
        ) from error


def keep_rows(file: BinaryIO, files: Iterator[Listed], facts: RunFacts, total: int) -> Kept:
    """The rows of an earlier run that count, in whole batches; the file is cut after them. `total`: all files.

    Raises UsageError when a row is not the one of the file at its place: the folder or table was changed.
    """
    counts: Counter[str] = Counter()
    file.seek(0)
    head = file.readline()
    is_begun = head == csv_line(facts.columns).encode()
    kept = Kept(0, Counter(), len(head)) if is_begun else Kept(0, Counter(), 0)
    place = kept.num_bytes
    for number, line in enumerate(file if is_begun else (), start=1):
        cells = _cells(line)
        if not line.endswith(b"\n") or len(cells) != len(facts.columns):
            break
        _check_row(number, cells[0], next(files, None), file.name)
        counts[cells[1] if cells[1] == SCORED else cells[2]] += 1
        place += len(line)
        if number % facts.batch_size == 0 or number == total:
            kept = Kept(number, Counter(counts), place)
    file.truncate(kept.num_bytes)
    if not is_begun:
        file.write(csv_line(facts.columns).encode())
        file.flush()
    return kept


def to_parquet(rows: Path, out: Path) -> None:
    """Writes the rows of the CSV file as parquet, a part at a time. Raises PocketCxrError, MissingExtraError."""
    arrow, reading = require("pyarrow", "train", "writing .parquet"), require("pyarrow.csv", "train", "parquet")
    parquet = require("pyarrow.parquet", "train", "writing .parquet")
    with rows.open(newline="", encoding="utf-8") as file:
        columns = next(csv.reader(file))
    types = {name: arrow.string() if name in FIXED_COLUMNS else arrow.float64() for name in columns}
    part = out.with_name(f"{out.name}.part")
    try:
        with (
            reading.open_csv(
                rows,
                read_options=reading.ReadOptions(block_size=_PARQUET_BLOCK_BYTES, use_threads=False),
                convert_options=reading.ConvertOptions(column_types=types, null_values=[""]),
            ) as batches,
            parquet.ParquetWriter(part, batches.schema) as writer,
        ):
            for batch in batches:
                writer.write_batch(batch)
        part.replace(out)
    except (OSError, arrow.ArrowException) as error:
        raise PocketCxrError(f"{out}: cannot be written ({error}); the rows are in {rows}") from error


def csv_line(cells: Iterable[str]) -> str:
    """The cells as one line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([one_line(cell) for cell in cells])
    return text.getvalue()


def _check_row(number: int, name: str, listed: Listed | None, out: str) -> None:
    if listed is None or one_line(listed.name) != name:
        now = "nothing" if listed is None else repr(listed.name)
        raise UsageError(
            f"{out}: row {number} is of {name!r}, now {now} is in its place: files came or went since; "
            "choose another --out"
        )


def _cells(line: bytes) -> list[str]:
    """The cells of one line; none where it is no CSV, as after a power failure."""
    try:
        return next(csv.reader([line.decode()]), [])
    except (UnicodeDecodeError, csv.Error):
        return []
