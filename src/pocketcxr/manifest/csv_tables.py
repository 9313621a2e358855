"""CSV files of data sets, read as text: what is missing is said with the file, the column and the line."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pocketcxr.domain.errors import ManifestError

FIRST_LINE = 2
"""Line number of a table's first row: line 1 is the header."""


def read_csv(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The table, every value as text, "" where empty; blank lines are left out. A .csv.gz file is unpacked on the way.

    columns: only these of the file's columns, as far as it has them. Text is UTF-8, with or without a byte order mark,
    or else Latin-1. Raises ManifestError.
    """
    try:
        try:
            return _read(path, columns, "utf-8-sig")
        except UnicodeDecodeError:
            # Latin-1 gives every byte a letter: names may come out wrong in other code pages, never the columns.
            return _read(path, columns, "latin-1")
    except FileNotFoundError as error:
        beside = ", ".join(sorted(file.name for file in path.parent.glob("*.csv*"))) or "none"
        raise ManifestError(f"{path}: there is no such file; CSV files there: {beside} - name the right one") from error
    except (OSError, EOFError, ValueError, pd.errors.ParserWarning) as error:
        # pandas' ParserError and EmptyDataError are ValueErrors; a cut .gz file is an EOFError.
        raise ManifestError(f"{path}: is no readable CSV file ({error}) - download it again") from error


def column(table: pd.DataFrame, names: Sequence[str], path: Path) -> "pd.Series[str]":
    """The column that goes by one of the names, spaces around its values cut off. Raises ManifestError."""
    for name in names:
        if name in table.columns:
            values: pd.Series[str] = table[name].str.strip()
            return values
    wanted = " or ".join(repr(name) for name in names)
    raise ManifestError(
        f"{path}: has no column {wanted}; its columns are {', '.join(map(repr, table.columns))} - restore the header"
    )


def refuse_rows(is_wrong: "pd.Series[bool]", path: Path, what: str, next_step: str) -> None:
    """Nothing, when no row is wrong. Raises ManifestError with the count and the first one's line."""
    if is_wrong.any():
        first = int(is_wrong.to_numpy().argmax()) + FIRST_LINE
        raise ManifestError(f"{path}: {int(is_wrong.sum())} rows {what} (first: line {first}) - {next_step}")


def _read(path: Path, columns: Sequence[str] | None, encoding: str) -> pd.DataFrame:
    wanted = None if columns is None else set(columns)
    with warnings.catch_warnings():
        # Rows longer than the header would lose their end.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            path,
            dtype="str",
            keep_default_na=False,
            index_col=False,
            encoding=encoding,
            usecols=None if wanted is None else lambda name: name in wanted,
        )
