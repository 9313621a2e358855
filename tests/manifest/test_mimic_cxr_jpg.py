"""The reader of MIMIC-CXR-JPG on small folders in PhysioNet's layout: nothing of the real tables is here."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pocketcxr.domain.errors import EmptyCohortError, ManifestError, RefusalCode
from pocketcxr.domain.findings import CHEXPERT, CHEXPERT_COMPETITION
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.schema import Manifest, read_manifest, write_manifest
from pocketcxr.manifest.sources.mimic_cxr_jpg import MAPPINGS, MimicCxrJpgConfig, read
from pocketcxr.manifest.splits import SplitConfig

OPTIONS = MimicCxrJpgConfig()
LABELS_ONLY = MimicCxrJpgConfig(images=ImagesConfig(labels_only=True))
RADIOLOGIST = MimicCxrJpgConfig(test_labels="radiologist", images=ImagesConfig(labels_only=True))
OBSERVATIONS = (
    "Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,Lung Opacity,"
    "No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
)
READ = OBSERVATIONS.replace("Lung Opacity", "Airspace Opacity").replace("No Finding", "No Findings")
BLANKS = ",,,,,,,,,,,,,"
METADATA = (
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime"
)


@dataclass
class Folder:
    """Five images of four patients, to be broken in one way and written."""

    root: Path
    metadata: list[str] = field(
        default_factory=lambda: [
            "a1-01,10000001,50000001,CHEST (PA AND LAT),PA,3056,2544,21800506,213014.531",
            "a1-02,10000001,50000001,CHEST (PA AND LAT),LATERAL,3056,2544,21800506,213014.531",
            "b2-01,10000002,50000002,CHEST (PORTABLE AP),AP,2544,3056,21500101,1.0",
            "c3-01,11000003,50000003,CHEST,LL,2000,1000,21300101,1.0",
            "d4-01,12000004,50000004,,,2000,1000,21200101,1.0",
        ]
    )
    parts: list[str] = field(
        default_factory=lambda: [
            "a1-01,50000001,10000001,train",
            "a1-02,50000001,10000001,train",
            "b2-01,50000002,10000002,validate",
            "c3-01,50000003,11000003,test",
            "d4-01,50000004,12000004,test",
        ]
    )
    labels: list[str] = field(
        default_factory=lambda: [
            "10000001,50000001,1.0,,-1.0,0.0,,,,1.0,,,,,,",
            f"10000002,50000002,{BLANKS}",
            "11000003,50000003,,,,,,,,,1.0,,,,,",
        ]
    )
    metadata_header: str = METADATA
    version: str = "2.0.0"
    packed: bool = True

    def write(self) -> Path:
        """The folder, written."""
        self.write_table("metadata", [self.metadata_header, *self.metadata])
        self.write_table("split", ["dicom_id,study_id,subject_id,split", *self.parts])
        self.write_table("chexpert", [f"subject_id,study_id,{OBSERVATIONS}", *self.labels])
        for row in self.metadata:
            image, patient, study = row.split(",")[:3]
            path = self.root / f"files/p{patient[:2]}/p{patient}/s{study}/{image}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.arange(32 * 40, dtype=np.uint8).reshape(32, 40)).save(path)
        return self.root

    def write_table(self, kind: str, lines: list[str]) -> None:
        """Write one of the tables."""
        text = ("\n".join(lines) + "\n").encode()
        path = self.root / f"mimic-cxr-{self.version}-{kind}.csv{'.gz' if self.packed else ''}"
        path.write_bytes(gzip.compress(text) if self.packed else text)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def _states(manifest: Manifest, image_id: str) -> dict[str, str]:
    row = manifest.table.set_index("image_id").loc[image_id]
    return {finding: str(row[f"label.{finding}"]) for finding in CHEXPERT}


def test_rows_become_rows(folder: Folder) -> None:
    manifest = read(folder.write(), OPTIONS)
    table = manifest.table
    assert manifest.findings == CHEXPERT
    assert table["image_id"].tolist() == ["a1-01", "a1-02", "b2-01", "c3-01", "d4-01"]
    assert table["path"][0] == "files/p10/p10000001/s50000001/a1-01.jpg"
    assert all(manifest.file_of(path).is_file() for path in table["path"])
    assert (table["patient_id"][0], table["study_id"][0]) == ("10000001", "50000001")
    assert table["view_position"].tolist() == ["PA", "LATERAL", "AP", "LATERAL", "UNKNOWN"]
    assert table["split"].tolist() == ["train", "train", "validation", "test", "test"]
    assert set(zip(table["height"], table["width"], strict=True)) == {(32, 40)}
    assert set(table["sex"]) == {"UNKNOWN"}
    assert table["age_years"].isna().all()


def test_the_four_states_are_kept_for_every_image_of_the_study(folder: Folder) -> None:
    manifest = read(folder.write(), OPTIONS)
    states = _states(manifest, "a1-01")
    assert states == _states(manifest, "a1-02")
    told = {"Atelectasis": "present", "Consolidation": "uncertain", "Edema": "absent", "Lung_Opacity": "present"}
    assert states == {finding: told.get(finding, "unmentioned") for finding in CHEXPERT}
    assert _states(manifest, "c3-01")["No_Finding"] == "present"


def test_a_study_that_the_labeller_has_no_row_for_is_not_labelled(folder: Folder) -> None:
    manifest = read(folder.write(), OPTIONS)
    assert set(_states(manifest, "d4-01").values()) == {"not-labelled"}
    assert set(_states(manifest, "b2-01").values()) == {"unmentioned"}


def test_labels_only_takes_the_sizes_from_the_metadata(folder: Folder) -> None:
    root = folder.write()
    for image in (root / "files").rglob("*.jpg"):
        image.unlink()
    table = read(root, LABELS_ONLY).table
    assert (table["height"][0], table["width"][0]) == (3056, 2544)


@pytest.mark.parametrize("version", ["2.0.0", "2.1.0"])
@pytest.mark.parametrize("packed", [True, False])
def test_either_version_packed_or_not(version: str, packed: bool, folder: Folder, tmp_path: Path) -> None:
    expected = read(folder.write(), LABELS_ONLY).table
    folder.root, folder.version, folder.packed = tmp_path / "other", version, packed
    folder.root.mkdir()
    pd.testing.assert_frame_equal(read(folder.write(), LABELS_ONLY).table, expected)


def test_the_other_labeller_may_be_chosen(folder: Folder) -> None:
    root = folder.write()
    with pytest.raises(ManifestError, match=r"no table mimic-cxr-2\.1\.0-negbio\.csv\.gz or .*CSV files there: mimic"):
        read(root, MimicCxrJpgConfig(labels="negbio"))
    folder.write_table("negbio", [f"subject_id,study_id,{OBSERVATIONS}", f"10000001,50000001,-1.0{BLANKS[1:]}"])
    config = MimicCxrJpgConfig(labels="negbio", findings="competition")
    manifest = read(root, config)
    assert manifest.findings == CHEXPERT_COMPETITION
    assert manifest.table["label.Atelectasis"].tolist() == ["uncertain"] * 2 + ["not-labelled"] * 3


def test_a_radiologists_reading_is_the_only_truth_of_the_test_part(folder: Folder) -> None:
    root = folder.write()
    readings = [f"study_id,{READ}", "50000004,,,,,,,,1.0,,-1.0,,,,0.0"]
    (root / "mimic-cxr-2.1.0-test-set-labeled.csv").write_text("\n".join(readings))
    before, after = read(root, LABELS_ONLY), read(root, RADIOLOGIST)
    told = {"Lung_Opacity": "present", "Effusion": "uncertain", "Support_Devices": "absent"}
    assert _states(after, "d4-01") == {finding: told.get(finding, "unmentioned") for finding in CHEXPERT}
    assert set(_states(after, "c3-01").values()) == {"not-labelled"}
    for image_id in ("a1-01", "a1-02", "b2-01"):
        assert _states(after, image_id) == _states(before, image_id)


def test_sex_and_age_come_from_the_table_of_mimic_iv(folder: Folder) -> None:
    root = folder.write()
    people = [
        "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod",
        "10000001,F,52,2180,2014 - 2016,",
        "10000002,M,60,2155,2014 - 2016,",
        "11000003,M,91,2130,2014 - 2016,",
        "19999999,M,20,2130,2014 - 2016,",
    ]
    (root / "patients.csv").write_text("\n".join(people))
    table = read(root, OPTIONS).table
    assert table["sex"].tolist() == ["F", "F", "M", "M", "UNKNOWN"]
    assert np.allclose(table["age_years"], [52, 52, 55, np.nan, np.nan], equal_nan=True)


@pytest.mark.parametrize(("anchor_age", "anchor_year"), [("", "2180"), ("52", ""), ("52", "2300"), ("80", "2100")])
def test_an_age_that_cannot_be_is_unknown(anchor_age: str, anchor_year: str, folder: Folder) -> None:
    root = folder.write()
    people = ["subject_id,gender,anchor_age,anchor_year", f"10000001,F,{anchor_age},{anchor_year}"]
    (root / "patients.csv").write_text("\n".join(people))
    assert read(root, LABELS_ONLY).table["age_years"].isna().all()


def test_the_patients_may_be_parted_anew_without_the_split_table(folder: Folder) -> None:
    root = folder.write()
    (root / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    split = SplitConfig(method="patients", test_fraction=0.25, validation_fraction=0.34)
    table = read(root, MimicCxrJpgConfig(split=split)).table
    assert set(table["split"]) == {"train", "validation", "test"}
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()


def _break_header(folder: Folder) -> None:
    folder.metadata_header = folder.metadata_header.replace("ViewPosition", "View")


def _spoil_state(folder: Folder) -> None:
    folder.labels[0] = folder.labels[0].replace("-1.0", "2.0")


def _repeat_image(folder: Folder) -> None:
    folder.metadata.append(folder.metadata[0])


def _repeat_study(folder: Folder) -> None:
    folder.labels.append(folder.labels[0])


def _lead_away(folder: Folder) -> None:
    folder.metadata[0] = folder.metadata[0].replace("a1-01", "../a1-01")


def _lose_patient(folder: Folder) -> None:
    folder.metadata[1] = folder.metadata[1].replace("10000001", "")


def _lose_study(folder: Folder) -> None:
    folder.metadata[1] = folder.metadata[1].replace("50000001", "s1")


def _forget_in_parts(folder: Folder) -> None:
    folder.parts.pop()


def _misname_part(folder: Folder) -> None:
    folder.parts[2] = folder.parts[2].replace("validate", "valid")


def _tear_patient(folder: Folder) -> None:
    folder.parts[1] = folder.parts[1].replace("train", "test")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_break_header, r"metadata\.csv\.gz: has no column 'ViewPosition'"),
        (_spoil_state, r"chexpert\.csv\.gz: 1 rows have none of 1, 0, -1 .*'Consolidation', such as '2\.0' .*line 2"),
        (_repeat_image, r"1 rows repeat a dicom_id \(first: line 7\)"),
        (_repeat_study, r"1 rows repeat a study \(first: line 5\)"),
        (_lead_away, r"1 rows have no dicom_id \(first: line 2\)"),
        (_lose_patient, r"1 rows have no subject_id, a number \(first: line 3\)"),
        (_lose_study, r"1 rows have no study_id, a number \(first: line 3\)"),
        (_forget_in_parts, r"1 images of the metadata are in no part \(first: d4-01\)"),
        (_misname_part, r"1 rows name no part \(first: line 4\) - write train, validate, test"),
        (_tear_patient, r"1 patients are in both .*first: patient '10000001'"),
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


def test_missing_tables_and_rows_are_refused(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere: has no table mimic-cxr-2\.1\.0-metadata\.csv\.gz or"):
        read(tmp_path / "nowhere", OPTIONS)
    (folder.write() / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    with pytest.raises(ManifestError, match=r"has no table mimic-cxr-2\.1\.0-split"):
        read(folder.root, OPTIONS)
    folder.metadata = []
    with pytest.raises(EmptyCohortError):
        read(folder.write(), OPTIONS)


@pytest.mark.parametrize("length", [None, 0, 20])
def test_a_broken_image_stops_it_or_is_left_out_and_listed(length: int | None, folder: Folder) -> None:
    root = folder.write()
    image = root / "files/p10/p10000002/s50000002/b2-01.jpg"
    content = image.read_bytes()
    image.unlink()
    if length is not None:
        image.write_bytes(content[:length])
    with pytest.raises(ManifestError, match=r"1 of 5 images cannot be read .*b2-01"):
        read(root, OPTIONS)
    manifest = read(root, MimicCxrJpgConfig(images=ImagesConfig(broken="exclude")))
    assert manifest.num_images == 4
    codes = {None: RefusalCode.NOT_FOUND, 0: RefusalCode.EMPTY_FILE, 20: RefusalCode.CORRUPT}
    assert [refusal.code for refusal in manifest.refused] == [codes[length]]


def test_a_link_out_of_the_root_is_refused(folder: Folder, tmp_path: Path) -> None:
    folder.root = tmp_path / "root"
    folder.root.mkdir()
    image = folder.write() / "files/p10/p10000002/s50000002/b2-01.jpg"
    image.rename(tmp_path / "elsewhere.jpg")
    image.symlink_to(tmp_path / "elsewhere.jpg")
    with pytest.raises(ManifestError, match=r"outside-root: files/p10/p10000002"):
        read(folder.root, OPTIONS)


def test_encodings_and_line_ends_do_not_matter(respell: Callable[[Path, str], None], folder: Folder) -> None:
    folder.packed = False
    expected = read(folder.write(), OPTIONS).table
    folder.metadata = [row.replace("CHEST", "Th\u00f3rax") for row in folder.metadata]
    table = folder.write() / "mimic-cxr-2.0.0-metadata.csv"
    text = table.read_text()
    respell(table, text)
    pd.testing.assert_frame_equal(read(folder.root, OPTIONS).table, expected)


def test_a_root_with_spaces_and_letters_of_other_alphabets(folder: Folder, tmp_path: Path) -> None:
    folder.root = tmp_path / "R\u00f6ntgen \u80f8\u90e8 images"
    folder.root.mkdir()
    write_manifest(read(folder.write(), OPTIONS), tmp_path / "m \u00fc.parquet")
    again = read_manifest(tmp_path / "m \u00fc.parquet")
    assert all(again.file_of(path).is_file() for path in again.table["path"])


def test_every_observation_is_mapped_by_each_of_its_names() -> None:
    assert {mapping.label for mapping in MAPPINGS} >= set(OBSERVATIONS.split(",")) | set(READ.split(","))
    assert {mapping.finding for mapping in MAPPINGS} == set(CHEXPERT)
