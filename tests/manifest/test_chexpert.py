"""The reader of CheXpert: the official files as they are, and what is wrong with others."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pocketcxr.domain.errors import ConfigError, EmptyCohortError, ManifestError, RefusalCode
from pocketcxr.domain.findings import CHEXPERT, CHEXPERT_COMPETITION
from pocketcxr.manifest.chexpert_labels import OBSERVATIONS
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.schema import Manifest, read_manifest, write_manifest
from pocketcxr.manifest.sources.chexpert import ChexpertConfig, read
from pocketcxr.manifest.splits import SplitConfig

OPTIONS = ChexpertConfig()
LABELS_ONLY = ChexpertConfig(images=ImagesConfig(labels_only=True))
COLUMNS = [mapping.label for mapping in OBSERVATIONS]
HEADER = ",".join(["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *COLUMNS])
BLANKS = ",,,,,,,,,,,,,"
ZEROS = ",".join(["0.0"] * 14)


@dataclass
class Folder:
    """CheXpert-v1.0-small of seven images, to be broken in one way and written."""

    root: Path
    header: str = HEADER
    train: list[str] = field(
        default_factory=lambda: [
            f"train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0{BLANKS}",
            "train/patient00002/study2/view1_frontal.jpg,Male,87,Frontal,PA,,,-1.0,1.0,,-1.0,-1.0,,0.0,,1.0,,1,0",
            f"train/patient00002/study1/view2_lateral.jpg,Male,83,Lateral,,{BLANKS}",
            f"train/patient00003/study1/view1_frontal.jpg,Unknown,0,Frontal,LL,{BLANKS}",
        ]
    )
    valid: list[str] = field(
        default_factory=lambda: [
            f"valid/patient64541/study1/view1_frontal.jpg,Male,73,Frontal,AP,{ZEROS}",
            "valid/patient64542/study1/view1_frontal.jpg,Male,70,Frontal,PA,0.0,0.0,1.0,0,0,0,0,0,0,0,0,0,0,1.0",
        ]
    )
    test: list[str] = field(default_factory=list)
    without_image: frozenset[str] = frozenset()

    def write(self) -> Path:
        """The folder, written."""
        for name, rows in (("train.csv", self.train), ("valid.csv", self.valid), ("test.csv", self.test)):
            if rows or name != "test.csv":
                lines = [self.header, *(f"CheXpert-v1.0-small/{row}" for row in rows)]
                (self.root / name).write_text("\n".join(lines) + "\n")
        for row in {row.partition(",")[0] for row in (*self.train, *self.valid, *self.test)} - self.without_image:
            draw(self.root / row)
        return self.root


def draw(path: Path) -> None:
    """Write a small image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(32 * 40, dtype=np.uint8).reshape(32, 40)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def _row(manifest: Manifest, image_id: str) -> dict[str, object]:
    (row,) = manifest.table[manifest.table["image_id"] == image_id].to_dict(orient="records")
    return {str(name): value for name, value in row.items()}


def test_rows_become_rows(folder: Folder) -> None:
    manifest = read(folder.write(), OPTIONS)
    assert manifest.findings == CHEXPERT
    assert manifest.table["path"].tolist() == [row.partition(",")[0] for row in (*folder.train, *folder.valid)]
    row = _row(manifest, "train/patient00002/study2/view1_frontal")
    assert (row["patient_id"], row["study_id"]) == ("patient00002", "patient00002/study2")
    assert (row["view_position"], row["sex"], row["age_years"]) == ("PA", "M", 87.0)
    assert (row["height"], row["width"]) == (32, 40)
    assert manifest.file_of(str(row["path"])).is_file()
    assert not manifest.header.is_simulated
    assert any("Labels from train.csv, valid.csv." in note for note in manifest.header.notes)


def test_the_four_states_are_kept(folder: Folder) -> None:
    row = _row(read(folder.write(), OPTIONS), "train/patient00002/study2/view1_frontal")
    states = [str(row[f"label.{finding}"]) for finding in CHEXPERT]
    p, a, u, n = "present", "absent", "uncertain", "unmentioned"
    assert states == [n, n, u, p, n, u, u, n, a, n, p, n, p, a]


def test_a_gap_in_a_radiologists_table_is_no_silence_of_a_report(folder: Folder) -> None:
    folder.valid[0] = folder.valid[0].replace(ZEROS, BLANKS)
    table = read(folder.write(), OPTIONS).table.set_index("image_id")
    labels = [f"label.{finding}" for finding in CHEXPERT]
    assert (table.loc["valid/patient64541/study1/view1_frontal", labels] == "not-labelled").all()
    assert (table.loc["train/patient00003/study1/view1_frontal", labels] == "unmentioned").all()


def test_what_cannot_be_known_is_unknown(folder: Folder) -> None:
    manifest = read(folder.write(), OPTIONS)
    row = _row(manifest, "train/patient00003/study1/view1_frontal")
    assert row["sex"] == row["view_position"] == "UNKNOWN"
    assert np.isnan(float(str(row["age_years"])))
    assert any("1 images are frontal by one column and lateral by another" in note for note in manifest.header.notes)


@pytest.mark.parametrize(
    ("side", "beam", "position"),
    [
        ("Frontal", "AP", "AP"),
        ("Frontal", "PA", "PA"),
        ("Frontal", "", "UNKNOWN"),
        ("Frontal", "RL", "UNKNOWN"),
        ("Lateral", "", "LATERAL"),
        ("Lateral", "LL", "LATERAL"),
        ("Lateral", "AP", "UNKNOWN"),
        ("", "AP", "AP"),
        ("", "LL", "UNKNOWN"),
        ("Oblique", "AP", "UNKNOWN"),
    ],
)
def test_a_view_position_needs_both_columns_to_agree(side: str, beam: str, position: str, folder: Folder) -> None:
    folder.train[0] = folder.train[0].replace(",Frontal,AP,", f",{side},{beam},")
    assert _row(read(folder.write(), OPTIONS), "train/patient00001/study1/view1_frontal")["view_position"] == position


@pytest.mark.parametrize("age", ["", "414", "-3", "nan", "old", "0"])
def test_an_age_that_is_none_is_unknown(age: str, folder: Folder) -> None:
    folder.train[0] = folder.train[0].replace(",68,", f",{age},")
    row = _row(read(folder.write(), OPTIONS), "train/patient00001/study1/view1_frontal")
    assert np.isnan(float(str(row["age_years"])))


def test_without_a_test_table_valid_is_the_test_part_and_validation_comes_out_of_train(folder: Folder) -> None:
    table = read(folder.write(), ChexpertConfig(split=SplitConfig(validation_fraction=0.34))).table
    is_valid = table["path"].str.startswith("valid/")
    assert set(table.loc[is_valid, "split"]) == {"test"}
    assert set(table.loc[~is_valid, "split"]) == {"train", "validation"}
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()


def test_with_a_test_table_all_three_parts_are_official(folder: Folder) -> None:
    folder.test = [f"test/patient64741/study1/view1_frontal.jpg,Male,50,Frontal,AP,{ZEROS}"]
    table = read(folder.write(), OPTIONS).table
    by_folder = table.groupby(table["path"].str.partition("/")[0])["split"].unique()
    assert {name: list(parts) for name, parts in by_folder.items()} == {
        "train": ["train"],
        "valid": ["validation"],
        "test": ["test"],
    }


def test_the_patients_may_be_parted_anew_or_all_be_for_test(folder: Folder) -> None:
    root = folder.write()
    split = SplitConfig(method="patients", test_fraction=0.4, validation_fraction=0.4)
    assert set(read(root, ChexpertConfig(split=split)).table["split"]) == {"train", "validation", "test"}
    external = ChexpertConfig(split=SplitConfig(method="external-test"))
    assert set(read(root, external).table["split"]) == {"test"}


def test_the_table_that_came_with_the_test_images_has_no_people_and_not_every_observation(folder: Folder) -> None:
    root = folder.write()
    columns = COLUMNS[1:]
    lines = [",".join(["Path", *columns])]
    for view in ("view1_frontal", "view2_lateral"):
        path = f"test/patient64741/study1/{view}.jpg"
        draw(root / path)
        lines.append(f"{path},{','.join(['1.0'] * 13)}")
    (root / "test_labels.csv").write_text("\n".join(lines))
    manifest = read(root, ChexpertConfig(parts=("test",)))
    assert manifest.table["view_position"].tolist() == ["UNKNOWN", "LATERAL"]
    assert set(manifest.table["sex"]) == {"UNKNOWN"}
    assert manifest.table["age_years"].isna().all()
    assert set(manifest.table["label.No_Finding"]) == {"not-labelled"}
    assert set(manifest.table["label.Effusion"]) == {"present"}
    assert set(manifest.table["split"]) == {"test"}


def test_a_table_of_studies_names_all_their_images(folder: Folder) -> None:
    root = folder.write()
    for view in ("view1_frontal", "view2_lateral"):
        draw(root / f"test/patient64741/study1/{view}.jpg")
    zeros = ",".join(["0"] * 13)
    lines = [",".join(["Study", *COLUMNS]), f"CheXpert-v1.0/test/patient64741/study1,{zeros},1"]
    (root / "groundtruth.csv").write_text("\n".join(lines))
    table = read(root, OPTIONS).table
    of_test = table[table["split"] == "test"]
    assert of_test["image_id"].tolist() == [
        "test/patient64741/study1/view1_frontal",
        "test/patient64741/study1/view2_lateral",
    ]
    assert set(of_test["label.Support_Devices"]) == {"present"}
    lines.append(f"CheXpert-v1.0/test/patient64742/study1,{zeros},1")
    (root / "groundtruth.csv").write_text("\n".join(lines))
    with pytest.raises(ManifestError, match=r"1 rows name a study without images \(first: line 3\)"):
        read(root, OPTIONS)


def test_the_folder_above_will_do(folder: Folder, tmp_path: Path) -> None:
    folder.root = tmp_path / "CheXpert-v1.0-small"
    folder.root.mkdir()
    root = folder.write()
    above = read(tmp_path, OPTIONS)
    pd.testing.assert_frame_equal(above.table, read(root, OPTIONS).table)
    assert above.header.root == str(root)
    (tmp_path / "CheXpert-v1.0").mkdir()
    (tmp_path / "CheXpert-v1.0" / "train.csv").write_text(HEADER)
    with pytest.raises(ManifestError, match=r"tables lie in .*CheXpert-v1\.0-small and .*CheXpert-v1\.0"):
        read(tmp_path, OPTIONS)


def test_the_large_archive_reads_the_same(folder: Folder) -> None:
    small = read(folder.write(), OPTIONS).table
    for name in ("train.csv", "valid.csv"):
        file = folder.root / name
        file.write_text(file.read_text().replace("CheXpert-v1.0-small/", "CheXpert-v1.0/"))
    pd.testing.assert_frame_equal(read(folder.root, OPTIONS).table, small)


def test_the_five_of_the_competition(folder: Folder) -> None:
    assert read(folder.write(), ChexpertConfig(findings="competition")).findings == CHEXPERT_COMPETITION


def test_labels_only_needs_no_image_and_leaves_their_size_unknown(folder: Folder) -> None:
    folder.without_image = frozenset(row.partition(",")[0] for row in (*folder.train, *folder.valid))
    manifest = read(folder.write(), LABELS_ONLY)
    assert manifest.num_images == 6
    assert manifest.header.is_labels_only
    assert (manifest.table[["height", "width"]] == 0).all(axis=None)


def test_clean_labels_are_for_simulated_folders(folder: Folder) -> None:
    root = folder.write()
    clean = ChexpertConfig(clean=True, parts=("train",))
    (root / "train_clean.csv").write_text((root / "train.csv").read_text().replace("-1.0", "0.0"))
    with pytest.raises(ConfigError, match="is not simulated"):
        read(root, clean)
    (root / "SIMULATED.txt").write_text("phantoms")
    manifest = read(root, clean)
    assert manifest.header.is_simulated
    assert _row(manifest, "train/patient00002/study2/view1_frontal")["label.Cardiomegaly"] == "absent"


def test_other_training_labels_may_be_named(folder: Folder) -> None:
    root = folder.write()
    (root / "train.csv").rename(root / "train_visualCheXbert.csv")
    manifest = read(root, ChexpertConfig(train_table="train_visualCheXbert.csv"))
    assert any("train_visualCheXbert.csv" in note for note in manifest.header.notes)


def _break_header(folder: Folder) -> None:
    folder.header = folder.header.replace("Edema", "Oedema")


def _lose_views(folder: Folder) -> None:
    folder.header = folder.header.replace("AP/PA", "Projection")


def _lose_paths(folder: Folder) -> None:
    folder.header = folder.header.replace("Path", "File")


def _spoil_state(folder: Folder) -> None:
    folder.train[1] = folder.train[1].replace(",-1.0,1.0,", ",2.0,1.0,")


def _spoil_path(folder: Folder) -> None:
    folder.train[1] = folder.train[1].replace("patient00002/", "")


def _repeat(folder: Folder) -> None:
    folder.train.append(folder.train[0])


def _tear_patient(folder: Folder) -> None:
    folder.valid[0] = folder.valid[0].replace("patient64541", "patient00001")


def _forget_images(folder: Folder) -> None:
    folder.without_image = frozenset({"train/patient00001/study1/view1_frontal.jpg"})


def _lengthen_row(folder: Folder) -> None:
    folder.train[0] += ",1,2"


def _empty_name(folder: Folder) -> None:
    folder.train[0] = folder.train[0].removeprefix("train/patient00001/study1/view1_frontal.jpg")
    folder.without_image = frozenset({""})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_break_header, r"train\.csv: has no column 'Edema'; its columns are 'Path'"),
        (_lose_views, r"train\.csv: has no column 'AP/PA'"),
        (_lose_paths, r"train\.csv: has no column 'Path'; its columns are 'File'"),
        (_spoil_state, r"1 rows have none of 1, 0, -1 and blank in column 'Cardiomegaly', such as '2\.0' .*line 3"),
        (_spoil_path, r"1 rows have no Path such as .*first: line 3"),
        (_repeat, r"1 rows repeat an image, such as train/patient00001/study1/view1_frontal \(first: line 6\)"),
        (_tear_patient, r"1 patients are in both .*first: patient 'patient00001'"),
        (_forget_images, r"1 of 6 images cannot be read \(first: not-found"),
        (_lengthen_row, r"train\.csv: is no readable CSV file"),
        (_empty_name, r"1 rows have no Path"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_the_next_step(
    spoil: Callable[[Folder], None], message: str, folder: Folder
) -> None:
    spoil(folder)
    with pytest.raises(ManifestError, match=message) as caught:
        read(folder.write(), OPTIONS)
    assert str(folder.root) in str(caught.value)
    assert " - " in str(caught.value)


def test_missing_tables_and_folders_are_said_with_where_they_were_looked_for(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere: no table of CheXpert is there; looked for train\.csv.*small"):
        read(tmp_path / "nowhere", OPTIONS)
    root = folder.write()
    with pytest.raises(ManifestError, match=r"no table of CheXpert is there; looked for test\.csv, test_labels\.csv"):
        read(root, ChexpertConfig(parts=("test",)))
    (root / "valid.csv").unlink()
    with pytest.raises(ManifestError, match=r"valid\.csv: there is no such file"):
        read(root, OPTIONS)


def test_a_table_of_no_row_is_an_empty_cohort(folder: Folder) -> None:
    folder.train, folder.valid = [], []
    with pytest.raises(EmptyCohortError):
        read(folder.write(), OPTIONS)


@pytest.mark.parametrize("length", [0, 20])
def test_a_broken_image_stops_it_or_is_left_out_and_listed(length: int, folder: Folder) -> None:
    root = folder.write()
    image = root / "train/patient00001/study1/view1_frontal.jpg"
    image.write_bytes(image.read_bytes()[:length])
    with pytest.raises(ManifestError, match=r"1 of 6 images cannot be read .*patient00001"):
        read(root, OPTIONS)
    manifest = read(root, ChexpertConfig(images=ImagesConfig(broken="exclude")))
    assert manifest.num_images == 5
    (refusal,) = manifest.refused
    assert refusal.path == "train/patient00001/study1/view1_frontal.jpg"
    assert refusal.code is (RefusalCode.CORRUPT if length else RefusalCode.EMPTY_FILE)


def test_a_link_out_of_the_root_is_refused(folder: Folder, tmp_path: Path) -> None:
    folder.root = tmp_path / "root"
    folder.root.mkdir()
    image = folder.write() / "train/patient00001/study1/view1_frontal.jpg"
    image.rename(tmp_path / "elsewhere.jpg")
    image.symlink_to(tmp_path / "elsewhere.jpg")
    with pytest.raises(ManifestError, match=r"outside-root: train/patient00001"):
        read(folder.root, OPTIONS)


def test_encodings_and_line_ends_do_not_matter(respell: Callable[[Path, str], None], folder: Folder) -> None:
    expected = read(folder.write(), OPTIONS).table
    folder.header += ",Note"
    folder.train = [f"{row},Caf\u00e9" for row in folder.train]
    folder.valid = [f"{row},x" for row in folder.valid]
    table = folder.write() / "train.csv"
    text = table.read_text()
    respell(table, text)
    pd.testing.assert_frame_equal(read(folder.root, OPTIONS).table, expected)


def test_a_root_with_spaces_and_letters_of_other_alphabets(folder: Folder, tmp_path: Path) -> None:
    folder.root = tmp_path / "R\u00f6ntgen \u80f8\u90e8 images"
    folder.root.mkdir()
    write_manifest(read(folder.write(), OPTIONS), tmp_path / "m \u00fc.parquet")
    again = read_manifest(tmp_path / "m \u00fc.parquet")
    assert all(again.file_of(path).is_file() for path in again.table["path"])
