"""Which files a bulk run is of: every one once, in a fixed order, none that nobody gave."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.domain.errors import UsageError
from pocketcxr.runtime.bulk_files import Source
from pocketcxr.runtime.bulk_results import csv_line, one_line


def names_of(path: Path, *left_out: Path) -> list[str]:
    return [listed.name for listed in Source(path, frozenset(left_out)).files()]


def test_files_come_before_folders_each_by_name(tmp_path: Path) -> None:
    for name in ("b/1", "b/a/0", "a.png", "z", "b.dcm", "a/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert names_of(tmp_path) == ["a.png", "b.dcm", "z", "a/x", "b/1", "b/a/0"]


def test_hidden_and_left_out_files_are_not_named(tmp_path: Path) -> None:
    for name in (".DS_Store", ".git/config", "._a.png", "a.png", "scores.csv", "pictures/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert names_of(tmp_path, tmp_path / "scores.csv", tmp_path / "pictures") == ["a.png"]


def test_links_to_folders_are_named_and_not_entered(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").touch()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "link.png").symlink_to(tmp_path / "a" / "x.png")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere")
    assert names_of(tmp_path) == ["dangling.png", "link.png", "a/loop", "a/x.png"]


def test_a_table_names_its_files_relative_to_itself(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("id,path\n1,a/x.png\n2,/abs/y.png\n3,../../etc/passwd\n4,a/../b.png\n")
    listed = list(Source(table).files())
    assert [one.name for one in listed] == ["a/x.png", "/abs/y.png", "../../etc/passwd", "a/../b.png"]
    assert listed[0].path == tmp_path / "a" / "x.png"
    assert [one.is_outside for one in listed] == [False, False, True, False]


def test_a_parquet_table_names_the_same_files(tmp_path: Path) -> None:
    pd.DataFrame({"path": ["a.png", "b.png"], "more": [1, 2]}).to_parquet(tmp_path / "t.parquet")
    assert [one.path for one in Source(tmp_path / "t.parquet").files()] == [tmp_path / "a.png", tmp_path / "b.png"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("t.csv", b"id,file\n1,x\n", "no column 'path'"),
        ("t.csv", b"\xff\xfe\x00", "no readable CSV"),
        ("t.csv", b'path\n"' + b"x" * 200_000 + b'"\n', "no readable CSV"),
        ("t.parquet", b"PAR1" + bytes(40), "no readable parquet"),
        ("t.txt", b"x", "give a folder"),
    ],
)
def test_what_is_no_table_is_refused(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        names_of(tmp_path / name)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        names_of(tmp_path / "nowhere")


@given(st.lists(st.text(), min_size=1))
@settings(deadline=None)
def test_a_row_is_one_line_of_utf_8_whatever_is_in_it(cells: list[str]) -> None:
    line = csv_line([*cells, "a\udcffb\r\n\x00\x1b[31m"])
    assert line.encode().count(b"\n") == 1
    assert line[:-1].isprintable()
    assert one_line(one_line(cells[0])) == one_line(cells[0])
