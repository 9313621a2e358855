"""Which files a bulk run scores and in which order: those of a folder or of a table, one after another, never all held.

A folder: its files by name, then its folders by name, each in the same way. Hidden files and folders (".name") are left
out. A link to a file counts as that file; a link to a folder is not followed, so no loop of links can be entered, and
gets a refusal of its own. Every other file is named, whatever its suffix: DICOM files often have none.
"""

import csv
import json
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pocketcxr.domain.errors import UsageError
from pocketcxr.domain.extras import require

PATH_COLUMN = "path"
_MANIFEST_KEY = b"pocketcxr"
"""Where a manifest's parquet metadata holds its header, in JSON."""
_ROWS_AT_ONCE = 4096


class Listed(NamedTuple):
    """One file to score."""

    name: str
    """Relative to the folder, or as the table names it."""
    path: Path
    is_outside: bool = False
    """Whether a table's relative path leads out of the folder that it is relative to."""


@dataclass(frozen=True)
class Source:
    """A folder, or a table (.csv or .parquet) with a column `path`; without the files and folders `left_out`."""

    path: Path
    left_out: Collection[Path] = ()
    """Resolved. What the run itself writes must not become its input."""

    def files(self) -> Iterator[Listed]:
        """Every file, in the same order every time. Raises UsageError for what cannot be read."""
        if self.path.is_dir():
            return _files_of_folder(self.path, frozenset(self.left_out))
        if not self.path.is_file():
            raise UsageError(f"{self.path}: there is no such folder or table; check the path")
        match self.path.suffix.lower():
            case ".csv":
                return _resolved(_csv_names(self.path), self.path.parent)
            case ".parquet":
                return _resolved(_parquet_names(self.path), _parquet_root(self.path))
        raise UsageError(f"{self.path}: give a folder, or a .csv or .parquet with a column {PATH_COLUMN!r}")


def _files_of_folder(root: Path, left_out: frozenset[Path]) -> Iterator[Listed]:
    home = root.resolve()  # no link to a folder is entered, so what follows is resolved as well
    unwanted = {path for path in left_out if path.is_relative_to(home)}
    folders = [root]
    while folders:
        folder = folders.pop()
        here = home / folder.relative_to(root)
        names, deeper = _entries(folder, {path.name for path in unwanted if path.parent == here})
        for name in names:
            path = folder / name
            yield Listed(path.relative_to(root).as_posix(), path)
        folders += [folder / name for name in reversed(deeper)]


def _entries(folder: Path, unwanted: Collection[str]) -> tuple[list[str], list[str]]:
    """The names of a folder's files (links to folders among them) and of its folders, sorted."""
    names: list[str] = []
    deeper: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name in unwanted:
                    continue
                (deeper if entry.is_dir(follow_symlinks=False) else names).append(entry.name)
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be listed ({error.strerror or error}); change its permissions or move it away"
        ) from error
    return sorted(names), sorted(deeper)


def _resolved(names: Iterator[str], root: Path) -> Iterator[Listed]:
    home = os.path.normpath(root)
    for name in names:
        path = Path(os.path.normpath(root / name))
        # Somebody else's table must not lead us by "../" to files that we were not given.
        is_outside = not os.path.isabs(name) and not path.is_relative_to(home)  # noqa: PTH117 - a million Paths
        yield Listed(name, root / name, is_outside)


def _csv_names(table: Path) -> Iterator[str]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if PATH_COLUMN not in (rows.fieldnames or ()):
                raise UsageError(f"{table}: has no column {PATH_COLUMN!r}; name the column of the image files so")
            for row in rows:
                yield row[PATH_COLUMN] or ""
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{table}: is no readable CSV table ({error}); save it as UTF-8 CSV") from error


def _parquet_names(table: Path) -> Iterator[str]:
    parquet, arrow = require("pyarrow.parquet", "train", "reading .parquet"), require("pyarrow", "train", "parquet")
    try:
        with parquet.ParquetFile(table) as file:
            if PATH_COLUMN not in file.schema_arrow.names:
                raise UsageError(f"{table}: has no column {PATH_COLUMN!r}; name the column of the image files so")
            for rows in file.iter_batches(_ROWS_AT_ONCE, columns=[PATH_COLUMN]):
                yield from (str(name) for name in rows.column(0).to_pylist())
    except (OSError, arrow.ArrowException) as error:
        raise UsageError(f"{table}: is no readable parquet file ({error}); write it again") from error


def _parquet_root(table: Path) -> Path:
    """The folder that paths are relative to: a manifest's root, else the one that the table lies in."""
    parquet, arrow = require("pyarrow.parquet", "train", "reading .parquet"), require("pyarrow", "train", "parquet")
    try:
        header = (parquet.read_schema(table).metadata or {}).get(_MANIFEST_KEY)
        return table.parent if header is None else Path(json.loads(header)["root"])
    except (OSError, ValueError, KeyError, TypeError, arrow.ArrowException) as error:
        raise UsageError(f"{table}: is no readable parquet file ({error}); write it again") from error
