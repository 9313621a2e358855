"""Somebody's own table becomes a manifest; what the config does not explain stops with its line."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from pydantic import TypeAdapter

from pocketcxr.domain.errors import ConfigError, EmptyCohortError, ManifestError
from pocketcxr.manifest.label_tables import Labels
from pocketcxr.manifest.schema import Manifest, read_manifest, write_manifest
from pocketcxr.manifest.sources.dicom import LabelFile
from pocketcxr.manifest.sources.table import TableConfig, read
from pocketcxr.recipes.config import load_config

Read = Callable[..., Manifest]
EXPLAINED = Path(__file__).parents[2] / "docs" / "how-to" / "own-table.md"
ROWS = """file,person,exam,proj,gender,years,part,eff,mass
a 1,P1,E1,frontal pa,w,50,dev,1,0
b,P1,E2,lat,w,51,dev,,0
ü/c,P2,E3,,m,414,dev,-1,1
d,P3,E4,PA,,n/a,final,0,0
"""
BOXES = """image,what,left,top,right,bottom,rows,cols
a 1,effusion,2,4,12,24,40,32
ü/c,mass,0,0,16,20,40,32
elsewhere,mass,0,0,1,1,40,32
"""
CONFIG: dict[str, Any] = {
    "name": "our-hospital",
    "file": "list.csv",
    "columns": {
        **{"path": "file", "patient_id": "person", "study_id": "exam", "view_position": "proj", "sex": "gender"},
        **{"age": "years", "split": "part"},
    },
    "paths": "images/{}.png",
    "views": {"frontal pa": "PA", "lat": "LATERAL"},
    "sexes": {"w": "F", "m": "M"},
    "splits": {"dev": "train", "final": "test"},
    "labels": {"kind": "columns", "findings": {"eff": "pleural effusion", "mass": "Mass"}},
    "boxes": {
        **{"file": "boxes.csv", "image_id": "image", "finding": "what", "form": "right-lower"},
        **{"findings": {"effusion": "Effusion", "mass": "Mass"}, "sides": ["left", "top", "right", "bottom"]},
        "frame": ["rows", "cols"],
    },
    "split": {"validation_fraction": 0.0},
}


@pytest.fixture
def read_with(tmp_path: Path) -> Read:
    """(changes of the config, rows, boxes) -> the manifest of four images of 20 x 16 pixels."""
    for name in ("a 1", "b", "ü/c", "d"):
        file = tmp_path / "images" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.arange(320, dtype=np.uint16).astype(np.uint8).reshape(20, 16)).save(file)

    def read_table(changes: dict[str, Any] | None = None, rows: str = ROWS, boxes: str = BOXES) -> Manifest:
        (tmp_path / "list.csv").write_text(rows, encoding="utf-8")
        (tmp_path / "boxes.csv").write_text(boxes, encoding="utf-8")
        return read(tmp_path, TableConfig.model_validate(CONFIG | (changes or {})))

    return read_table


def columns(**changes: str | None) -> dict[str, Any]:
    """A change of the config's columns."""
    return {"columns": CONFIG["columns"] | changes}


def test_every_column_says_what_the_config_says_it_says(read_with: Read, tmp_path: Path) -> None:
    manifest = read_with()
    table = manifest.table
    assert table["image_id"].tolist() == ["a 1", "b", "ü/c", "d"]
    assert table["path"].tolist() == ["images/a 1.png", "images/b.png", "images/ü/c.png", "images/d.png"]
    assert set(table["source"]) == {"our-hospital"}
    assert table["patient_id"].tolist() == ["P1", "P1", "P2", "P3"]
    assert table["study_id"].tolist() == ["E1", "E2", "E3", "E4"]
    assert table["view_position"].tolist() == ["PA", "LATERAL", "UNKNOWN", "PA"]
    assert table["sex"].tolist() == ["F", "F", "M", "UNKNOWN"]
    assert np.array_equal(table["age_years"], [50, 51, np.nan, np.nan], equal_nan=True)
    assert table["split"].tolist() == ["train", "train", "train", "test"]
    assert table["label.Effusion"].tolist() == ["present", "not-labelled", "uncertain", "absent"]
    assert table["label.Mass"].tolist() == ["absent", "absent", "present", "absent"]
    assert table[["height", "width"]].to_numpy().tolist() == [[20, 16]] * 4
    assert "2 ages are no number of years from 0 to 120: unknown." in manifest.header.notes
    write_manifest(manifest, tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet").table.equals(table)


def test_boxes_are_scaled_from_the_image_they_were_drawn_on(read_with: Read) -> None:
    regions = read_with().regions
    assert regions["image_id"].tolist() == ["a 1", "ü/c"]
    assert regions["finding"].tolist() == ["Effusion", "Mass"]
    assert regions[["x", "y", "w", "h"]].to_numpy().tolist() == [[1, 2, 5, 10], [0, 0, 8, 10]]


def test_parquet_gives_the_same_manifest(read_with: Read, tmp_path: Path) -> None:
    expected = read_with()
    pd.read_csv(tmp_path / "list.csv", dtype="str", keep_default_na=False).to_parquet(tmp_path / "list.parquet")
    assert read_with({"file": "list.parquet"}).table.equals(expected.table)


def test_a_column_of_names_will_do(read_with: Read) -> None:
    rows = "file,person,found\na 1,1,Mass|Effusion\nb,2,\nd,3,nothing\n"
    labels = {"kind": "list", "column": "found", "others": "absent"}
    labels["findings"] = {"Mass": "Mass", "Effusion": "Effusion", "nothing": None}  # type: ignore[assignment]
    changes = {"columns": {"path": "file", "patient_id": "person"}, "labels": labels, "boxes": None}
    table = read_with(changes | {"split": {"method": "external-test"}}, rows).table
    assert table["label.Mass"].tolist() == ["present", "not-labelled", "absent"]
    assert table["study_id"].tolist() == ["a 1", "b", "d"]
    assert set(table["split"]) == {"test"}
    assert set(table["view_position"]) == set(table["sex"]) == {"UNKNOWN"}
    assert table["age_years"].isna().all()


def test_images_without_labels_are_a_manifest_too(read_with: Read, tmp_path: Path) -> None:
    manifest = read_with({"labels": None, "boxes": None})
    assert manifest.findings == ()
    write_manifest(manifest, tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet").num_images == 4


def test_patients_must_be_known_or_their_absence_acknowledged(read_with: Read) -> None:
    with pytest.raises(ConfigError, match=r"give columns\.patient_id.*patients: each-image"):
        load_config(TableConfig, None, ["file=list.csv", "columns.path=file"])
    with pytest.raises(ConfigError, match="each-image"):
        load_config(TableConfig, None, ["file=l.csv", "columns={path: f, patient_id: p}", "patients=each-image"])
    manifest = read_with(columns(patient_id=None) | {"patients": "each-image"})
    assert manifest.table["patient_id"].tolist() == manifest.table["image_id"].tolist()
    assert any("people may be in several splits" in note for note in manifest.header.notes)


def test_a_table_without_a_split_column_must_choose_a_split(read_with: Read) -> None:
    with pytest.raises(ConfigError, match=r"split\.method=patients"):
        read_with(columns(split=None))
    table = read_with(columns(split=None) | {"split": {"method": "patients", "seed": 1}}).table
    assert table.groupby("patient_id")["split"].nunique().max() == 1


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        (ROWS.replace("P2", ""), r"list\.csv: 1 rows have an empty 'person' \(first: line 4\)"),
        (ROWS.replace("\nb,", "\na 1,"), r"list\.csv: 1 rows repeat an image, such as 'a 1' \(first: line 3\)"),
        (ROWS.replace(",lat,", ",oblique,"), r"column 'proj' .* such as 'oblique' \(first: line 3\) - .*views"),
        (ROWS.replace(",w,51", ",x,51"), r"column 'gender' .* such as 'x' \(first: line 3\)"),
        (ROWS.replace("final", "later"), r"column 'part' .* such as 'later' \(first: line 5\)"),
        (ROWS.replace(",-1,1", ",perhaps,1"), r"column 'eff', such as 'perhaps' \(first: line 4\) - .*labels\.texts"),
        (ROWS.replace("51,dev", "51,final"), r"1 patients are in both .*P1"),
        (ROWS.replace("exam", "study"), "has no column 'exam'; its columns are 'file'"),
        (ROWS.replace("\nd,", "\ngone,"), r"1 of 4 images cannot be read .*gone\.png"),
        (ROWS.replace("\nd,", "\n../../d,"), r"outside-root"),
    ],
)
def test_what_nothing_explains_stops_with_its_place(rows: str, what: str, read_with: Read) -> None:
    with pytest.raises(ManifestError, match=what):
        read_with(rows=rows)


@pytest.mark.parametrize(
    ("boxes", "what"),
    [
        (BOXES.replace(",mass,0,0,16", ",lump,0,0,16"), r"boxes\.csv: .* such as 'lump' \(first: line 3\)"),
        (BOXES.replace("2,4,12,24", "2,4,,24"), r"boxes\.csv: 1 rows have a box without a number \(first: line 2\)"),
        (BOXES.replace("2,4,12,24", "12,4,2,24"), r"1 rows have a box of no size \(first: line 2\) - .*boxes\.form"),
        (BOXES.replace("a 1", "a").replace("ü/c", "c"), r"no box is on an image of list\.csv \(first: 'a'; .*'a 1'"),
        (BOXES.replace("2,4,12,24", "2,4,90,24"), "reach beyond their image"),
    ],
)
def test_a_box_that_cannot_be_placed_stops_with_its_line(boxes: str, what: str, read_with: Read) -> None:
    with pytest.raises(ManifestError, match=what):
        read_with(boxes=boxes)


def test_a_table_of_no_rows_is_refused(read_with: Read) -> None:
    with pytest.raises(EmptyCohortError, match=r"list\.csv: holds no image"):
        read_with(rows=ROWS.splitlines()[0] + "\n")


def test_labels_alone_need_no_image_and_take_sizes_from_the_table(read_with: Read) -> None:
    rows = "file,person,eff,mass,rows,cols\nfar,1,1,0,2000,1500\n"
    changes: dict[str, Any] = {"columns": {"path": "file", "patient_id": "person", "height": "rows", "width": "cols"}}
    changes |= {"boxes": None, "images": {"labels_only": True}, "split": {"method": "external-test"}}
    assert read_with(changes, rows).table[["height", "width"]].to_numpy().tolist() == [[2000, 1500]]


@pytest.mark.parametrize("name", ["Our Hospital", "a.b", ""])
def test_a_source_name_has_no_stop_space_or_capital(name: str) -> None:
    with pytest.raises(ConfigError, match="name"):
        load_config(TableConfig, None, [f"name='{name}'", "file=l.csv", "columns={path: f, patient_id: p}"])


def test_the_settings_that_the_documentation_shows_are_settings() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", EXPLAINED.read_text(encoding="utf-8"), flags=re.DOTALL)
    whole, columns_of, listed, of_dicom = map(yaml.safe_load, blocks)
    config = TableConfig.model_validate(whole)
    assert config.boxes is not None
    assert config.boxes.form == "right-lower"
    for labels in (columns_of, listed):
        TypeAdapter(Labels).validate_python(labels["labels"])
    LabelFile.model_validate(of_dicom["table"])
