"""Boxes from a table of one's own: whose they are, what is refused, and that they are scored beside the manifest's."""

from pathlib import Path

import pandas as pd
import pytest

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.study import Box
from pocketcxr.manifest.schema import Manifest, read_manifest
from pocketcxr.recipes.explain_cohort import open_cohort
from pocketcxr.recipes.explain_regions import is_table, read_boxes

HEADER = "image_id,finding,x,y,w,h\n"
LEARNT = frozenset({"Effusion", "Mass"})


@pytest.fixture
def images(manifest: Path) -> Manifest:
    return read_manifest(manifest)


def table_of(tmp_path: Path, *rows: str) -> Path:
    file = tmp_path / "boxes.csv"
    file.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return file


def test_names_with_and_without_suffix_and_synonyms_are_understood(tmp_path: Path, images: Manifest) -> None:
    file = table_of(tmp_path, "03.png,Mass,1,2,3,4", "04,Pleural Effusion,5,6,7.5,8", "elsewhere.png,Mass,1,1,1,1")
    boxes = read_boxes(file, images)
    assert boxes.to_numpy().tolist() == [["03.png", "Mass", 1, 2, 3, 4], ["04.png", "Effusion", 5, 6, 7.5, 8]]


def test_they_stand_beside_the_boxes_of_the_manifest(tmp_path: Path, images: Manifest) -> None:
    own = pd.DataFrame([["05.png", "Mass", 0.0, 0.0, 4.0, 4.0]], columns=["image_id", "finding", "x", "y", "w", "h"])
    marked = Manifest(images.table, own, images.header)
    file = table_of(tmp_path, "05.png,Mass,8,8,2,2", "01.png,Effusion,1,1,2,2", "01.png,Hernia,1,1,2,2")
    cohort = open_cohort(marked, LEARNT, file)
    assert list(cohort.marks) == ["01.png", "05.png"], "in the order of the manifest"
    assert cohort.boxes("05.png", "Mass") == (Box(0, 0, 4, 4), Box(8, 8, 2, 2))
    assert list(cohort.marks["01.png"]) == ["Effusion"], "what was never learnt is not scored"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("03.png,Mass,1,2,0,4", r"1 rows have no box.*line 2"),
        ("03.png,Mass,1,two,3,4", r"1 rows have no box.*line 2"),
        ("03.png,Mass,1,2,inf,4", r"1 rows have no box.*line 2"),
        ("03.png,Masss,1,2,3,4", r"'Masss'"),
        ("elsewhere.png,Mass,1,2,3,4", r"no image of the manifest.*'00\.png'"),
    ],
)
def test_what_is_no_box_is_refused_with_its_line(tmp_path: Path, images: Manifest, row: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read_boxes(table_of(tmp_path, row), images)


def test_an_empty_table_and_a_missing_column_are_named(tmp_path: Path, images: Manifest) -> None:
    with pytest.raises(ManifestError, match="holds no row"):
        read_boxes(table_of(tmp_path), images)
    (tmp_path / "boxes.csv").write_text("image_id,finding,x,y\n03.png,Mass,1,2\n")
    with pytest.raises(ManifestError, match="no column 'w'"):
        read_boxes(tmp_path / "boxes.csv", images)


def test_tables_are_told_by_their_name() -> None:
    assert [is_table(Path(name)) for name in ("a.csv", "A.CSV", "a.csv.gz", "a.json", "a.csv.json")] == [
        True,
        True,
        True,
        False,
        False,
    ]
