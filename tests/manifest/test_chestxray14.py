"""The reader of ChestX-ray14: the official files as they are, and what is wrong with others."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pytest

from pocketcxr.domain.errors import EmptyCohortError, ManifestError, RefusalCode
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.study import Split
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.people import age_in_years
from pocketcxr.manifest.schema import Manifest, read_manifest, write_manifest
from pocketcxr.manifest.sources.chestxray14 import Chestxray14Config, read
from pocketcxr.manifest.splits import SplitConfig
from pocketcxr.manifest.summary import summarise

OPTIONS = Chestxray14Config()


class Layout(Protocol):
    """tests/manifest/conftest.py"""

    root: Path
    header: str
    rows: list[str]
    train_val: list[str]
    test: list[str]
    boxes: list[str]
    box_header: str
    size: tuple[int, int]
    suffix: str
    without_image: frozenset[str]

    def write(self) -> Path: ...


def _row(manifest: Manifest, image_id: str) -> "pd.Series[object]":
    return manifest.table.set_index("image_id").loc[image_id]


def test_rows_become_rows(layout: Layout) -> None:
    manifest = read(layout.write(), OPTIONS)
    assert manifest.table["image_id"].tolist() == [row.split(",")[0] for row in layout.rows]
    assert manifest.findings == CHESTXRAY14
    row = _row(manifest, "00000001_001.png")
    assert row["patient_id"] == "00000001"
    assert row["study_id"] == "00000001_001"
    assert (row["view_position"], row["sex"], row["age_years"]) == ("AP", "M", 58.0)
    assert (row["height"], row["width"]) == layout.size
    assert row["label.Effusion"] == row["label.Cardiomegaly"] == "present"
    assert row["label.Mass"] == "absent"
    assert manifest.file_of(str(row["path"])).is_file()
    assert not manifest.header.is_simulated


def test_no_finding_is_every_finding_absent(layout: Layout) -> None:
    row = _row(read(layout.write(), OPTIONS), "00000002_000.png")
    assert all(row[f"label.{finding}"] == "absent" for finding in CHESTXRAY14)


def test_what_cannot_be_known_is_unknown(layout: Layout) -> None:
    row = _row(read(layout.write(), OPTIONS), "00000005_000.png")
    assert np.isnan(float(str(row["age_years"])))
    assert row["view_position"] == "UNKNOWN"


def test_the_official_lists_are_kept_and_validation_comes_out_of_train_val(layout: Layout) -> None:
    table = read(layout.write(), Chestxray14Config(split=SplitConfig(validation_fraction=0.34))).table
    of_test = table["image_id"].isin(layout.test)
    assert (table.loc[of_test, "split"] == "test").all()
    assert set(table.loc[~of_test, "split"]) == {"train", "validation"}
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()
    assert (
        read(layout.root, Chestxray14Config(split=SplitConfig(validation_fraction=0.0))).table["split"] != "validation"
    ).all()


def test_equal_seeds_give_equal_manifests(layout: Layout) -> None:
    root = layout.write()
    pd.testing.assert_frame_equal(read(root, OPTIONS).table, read(root, OPTIONS).table)


def test_boxes_are_scaled_from_the_released_size_to_the_file(layout: Layout) -> None:
    regions = read(layout.write(), OPTIONS).regions
    assert regions["finding"].tolist() == ["Cardiomegaly", "Infiltration"]
    height, width = layout.size
    expected = [[256 * width / 1024, 512 * height / 1024, 128 * width / 1024, 64 * height / 1024]]
    expected += [[0, 0, width / 2, height]]
    assert np.allclose(regions[["x", "y", "w", "h"]], expected)


def test_other_columns_beside_and_quoted_headers_do_not_matter(layout: Layout) -> None:
    layout.header += ",Simulated"
    layout.rows = [f"{row},yes" for row in layout.rows]
    layout.box_header = 'Image Index,Finding Label,"Bbox [x,y,w,h]",,,,,,,Simulated'
    layout.boxes = [f"{row},yes" for row in layout.boxes]
    manifest = read(layout.write(), OPTIONS)
    assert len(manifest.regions) == 2


def test_the_release_of_2017_reads_the_same(layout: Layout) -> None:
    newer = read(layout.write(), OPTIONS).table
    layout.header += ","
    layout.rows = [f"{row}," for row in layout.rows]
    pd.testing.assert_frame_equal(read(layout.write(), OPTIONS).table, newer)
    layout.header = layout.header.replace("Patient Gender", "Patient Sex")
    pd.testing.assert_frame_equal(read(layout.write(), OPTIONS).table, newer)


def test_images_may_lie_in_the_official_archives_folders_and_be_jpeg(layout: Layout) -> None:
    layout.suffix = ".jpg"
    root = layout.write()
    (root / "images_007").mkdir()
    (root / "images").rename(root / "images_007" / "images")
    manifest = read(root, OPTIONS)
    assert set(manifest.table["path"].str.rpartition("/")[0]) == {"images_007/images"}
    assert manifest.table["path"].str.endswith(".jpg").all()
    assert len(manifest.regions) == 2


def test_labels_only_needs_no_image_and_measures_the_originals(layout: Layout) -> None:
    root = layout.write()
    for path in (root / "images").iterdir():
        path.unlink()
    manifest = read(root, Chestxray14Config(images=ImagesConfig(labels_only=True)))
    row = _row(manifest, "00000001_001.png")
    assert (row["width"], row["height"]) == (2894, 2729)
    assert row["path"] == "images/00000001_001.png"
    assert np.allclose(manifest.regions.loc[0, ["x", "y"]].astype(float), [2894 / 4, 2729 / 2])
    assert any("no image was looked at" in note for note in manifest.header.notes)


def test_another_label_table_may_be_named(layout: Layout) -> None:
    root = layout.write()
    (root / "Data_Entry_2017_v2020.csv").rename(root / "other.csv")
    assert read(root, Chestxray14Config(label_table="other.csv")).num_images == 6
    with pytest.raises(ManifestError, match=r"CSV files there: BBox_List_2017\.csv, other\.csv"):
        read(root, OPTIONS)


def test_a_simulated_folder_says_so(layout: Layout) -> None:
    (layout.write() / "SIMULATED.txt").write_text("phantoms")
    assert read(layout.root, OPTIONS).header.is_simulated


def test_no_boxes_file_is_no_boxes(layout: Layout) -> None:
    (layout.write() / "BBox_List_2017.csv").unlink()
    assert read(layout.root, OPTIONS).regions.empty


def _break_header(layout: Layout) -> None:
    layout.header = layout.header.replace("Finding Labels", "Labels")


def _break_finding(layout: Layout) -> None:
    layout.rows[3] = layout.rows[3].replace("Hernia", "Herna")


def _contradict(layout: Layout) -> None:
    layout.rows[3] = layout.rows[3].replace("Hernia", "No Finding|Hernia")


def _say_nothing(layout: Layout) -> None:
    layout.rows[2] = layout.rows[2].replace("No Finding", "")


def _repeat(layout: Layout) -> None:
    layout.rows.append(layout.rows[1])


def _tear_patient(layout: Layout) -> None:
    layout.train_val.remove("00000001_001.png")
    layout.test.append("00000001_001.png")


def _list_twice(layout: Layout) -> None:
    layout.test.append("00000001_001.png")


def _forget_in_lists(layout: Layout) -> None:
    layout.test.remove("00000005_000.png")


def _forget_images(layout: Layout) -> None:
    layout.without_image = frozenset({"00000002_000.png", "00000004_000.png"})


def _lose_patient(layout: Layout) -> None:
    layout.rows[2] = layout.rows[2].replace(",0,2,", ",0,,")


def _spoil_box(layout: Layout) -> None:
    layout.boxes[1] = layout.boxes[1].replace("512", "wide")


def _spoil_box_finding(layout: Layout) -> None:
    layout.boxes[1] = layout.boxes[1].replace("Infiltrate", "Infiltrat")


def _lengthen_row(layout: Layout) -> None:
    layout.rows[1] += ",1,2"


def _box_outside(layout: Layout) -> None:
    layout.boxes[0] = layout.boxes[0].replace(",128,", ",1128,")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_break_header, r"has no column 'Finding Labels'; its columns are 'Image Index', 'Labels'"),
        (_break_finding, r"line 5: finding 'Herna' is unknown; did you mean 'Hernia'"),
        (_contradict, r"line 5: 'No Finding\|Hernia' says both"),
        (_say_nothing, r"line 4: finding '' is unknown"),
        (_repeat, r"1 rows repeat an image, such as 00000001_001\.png \(first: line 8\)"),
        (_tear_patient, r"1 patients are in both .*first: patient '00000001'"),
        (_list_twice, r"1 patients are in both train_val_list\.txt and test_list\.txt"),
        (
            _forget_in_lists,
            r"1 images .* in neither train_val_list\.txt nor test_list\.txt \(first: 00000005_000\.png\)",
        ),
        (_forget_images, r"2 of 6 images cannot be read \(first: not-found: .*images/00000002_000\.png"),
        (_lose_patient, r"have no Patient ID \(first: line 4\)"),
        (_spoil_box, r"BBox_List_2017\.csv: 1 rows have no four numbers \(first: line 3\)"),
        (_spoil_box_finding, r"BBox_List_2017\.csv: finding 'Infiltrat' is unknown"),
        (_lengthen_row, r"Data_Entry_2017_v2020\.csv: is no readable CSV file"),
        (_box_outside, r"1 boxes reach beyond their image"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_the_next_step(spoil: object, message: str, layout: Layout) -> None:
    assert callable(spoil)
    spoil(layout)
    with pytest.raises(ManifestError, match=message) as caught:
        read(layout.write(), OPTIONS)
    assert str(layout.root) in str(caught.value)
    assert " - " in str(caught.value)


def test_an_image_that_cannot_be_read_stops_it(layout: Layout) -> None:
    root = layout.write()
    (root / "images" / "00000003_000.png").write_bytes(b"")
    with pytest.raises(ManifestError, match=r"1 of 6 images cannot be read \(first: empty-file: .*00000003_000\.png"):
        read(root, OPTIONS)


def test_broken_images_may_be_left_out_and_are_listed(layout: Layout, tmp_path: Path) -> None:
    layout.without_image = frozenset({"00000002_000.png"})
    root = layout.write()
    broken = root / "images" / "00000001_001.png"
    broken.write_bytes(broken.read_bytes()[:20])
    manifest = read(root, Chestxray14Config(images=ImagesConfig(broken="exclude")))
    assert manifest.num_images == 4
    assert {(r.path, r.code) for r in manifest.refused} == {
        ("images/00000002_000.png", RefusalCode.NOT_FOUND),
        ("images/00000001_001.png", RefusalCode.CORRUPT),
    }
    assert manifest.regions["finding"].tolist() == ["Infiltration"]
    assert any("2 files or records were left out" in note for note in manifest.header.notes)
    write_manifest(manifest, tmp_path / "out" / "m.parquet")
    listed = pd.read_csv(tmp_path / "out" / "m.refused.csv")
    assert listed["code"].tolist() == ["corrupt", "not-found"]


def test_a_link_out_of_the_root_is_refused_unless_allowed(layout: Layout, tmp_path: Path) -> None:
    layout.root = tmp_path / "root"
    layout.root.mkdir()
    image = layout.write() / "images" / "00000002_000.png"
    image.rename(tmp_path / "elsewhere.png")
    image.symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(ManifestError, match=r"outside-root: images/00000002_000\.png: leads out of"):
        read(layout.root, OPTIONS)
    assert read(layout.root, Chestxray14Config(images=ImagesConfig(outside=True))).num_images == 6


def test_the_patients_may_be_parted_anew_without_the_official_lists(layout: Layout) -> None:
    root = layout.write()
    (root / "test_list.txt").unlink()
    split = SplitConfig(method="patients", test_fraction=0.4, validation_fraction=0.4)
    table = read(root, Chestxray14Config(split=split)).table
    assert set(table["split"]) == {"train", "validation", "test"}
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()


def test_encodings_and_line_ends_do_not_matter(respell: Callable[[Path, str], None], layout: Layout) -> None:
    expected = read(layout.write(), OPTIONS).table
    layout.header += ",Note"
    layout.rows = [f"{row},Caf\u00e9" for row in layout.rows]
    table = layout.write() / "Data_Entry_2017_v2020.csv"
    text = table.read_text()
    respell(table, text)
    pd.testing.assert_frame_equal(read(layout.root, OPTIONS).table, expected)


def test_a_root_with_spaces_and_letters_of_other_alphabets(layout: Layout, tmp_path: Path) -> None:
    layout.root = tmp_path / "R\u00f6ntgen \u80f8\u90e8 images"
    layout.root.mkdir()
    manifest = read(layout.write(), OPTIONS)
    write_manifest(manifest, tmp_path / "m \u00fc.parquet")
    again = read_manifest(tmp_path / "m \u00fc.parquet")
    assert all(again.file_of(path).is_file() for path in again.table["path"])


def test_missing_folders_lists_and_rows_are_refused(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such folder"):
        read(tmp_path / "nowhere", OPTIONS)
    root = layout.write()
    (root / "test_list.txt").unlink()
    with pytest.raises(ManifestError, match=r"test_list\.txt: cannot be read"):
        read(root, OPTIONS)
    layout.rows = []
    with pytest.raises(EmptyCohortError, match="no image"):
        read(layout.write(), OPTIONS)


def test_labels_only_needs_the_sizes(layout: Layout) -> None:
    layout.rows[1] = layout.rows[1].replace("2894,2729", ",")
    with pytest.raises(ManifestError, match=r"1 rows have no image size \(first: line 3\)"):
        read(layout.write(), Chestxray14Config(images=ImagesConfig(labels_only=True)))


def test_ages_are_years_whatever_the_spelling() -> None:
    ages = pd.Series(["58", "058Y", "006M", "", "414", "-3", "old", "730D", "0"], dtype="str")
    expected = [58, 58, 0.5, np.nan, np.nan, np.nan, np.nan, 730 / 365.25, 0]
    assert np.allclose(age_in_years(ages), expected, equal_nan=True)


def test_the_summary_counts_what_is_there(layout: Layout) -> None:
    summary = summarise(read(layout.write(), OPTIONS))
    assert (summary.num_images, summary.num_patients) == (6, 5)
    assert set(summary.splits) == {split.value for split in Split}
    assert sum(split.num_images for split in summary.splits.values()) == 6
    assert sum(split.num_patients for split in summary.splits.values()) == 5
    assert sum(split.num_boxes for split in summary.splits.values()) == 2
    test = summary.splits["test"]
    assert test.present["Hernia"] == 1
    assert test.present["Mass"] == 0
    assert test.views == {"PA": 1, "AP": 0, "LATERAL": 0, "UNKNOWN": 1}
