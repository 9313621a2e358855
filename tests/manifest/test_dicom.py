"""A tree of DICOM files becomes a manifest; what is no chest radiograph is listed with its reason."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmwrite, uid
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from pocketcxr.data.dataset import CohortRequest, open_cohort
from pocketcxr.domain.errors import ConfigError, EmptyCohortError, ManifestError
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.manifest.labels import LabelPolicy
from pocketcxr.manifest.schema import Manifest, read_manifest, write_manifest
from pocketcxr.manifest.sources.dicom import DicomConfig, read

Add = Callable[..., Path]
UID = "1.2.826.0.1.3680043.8.498."
TEST_ONLY = {"split": {"method": "external-test"}}


def dataset_of(number: int, **tags: Any) -> FileDataset:
    """A DX image of 20 x 24 pixels, as a hospital sends it; a tag of None is left out."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = uid.UID(f"{UID}{number}")
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    plain = {
        **{"SOPClassUID": meta.MediaStorageSOPClassUID, "SOPInstanceUID": f"{UID}{number}"},
        **{"StudyInstanceUID": f"{UID}1.{number}", "PatientID": f"P{number}", "PatientSex": "F"},
        **{"PatientAge": "058Y", "StudyDate": "20200301", "Modality": "DX", "BodyPartExamined": "CHEST"},
        **{"ViewPosition": "PA", "Rows": 20, "Columns": 24, "SamplesPerPixel": 1, "BitsAllocated": 8, "BitsStored": 8},
        **{"HighBit": 7, "PixelRepresentation": 0, "PhotometricInterpretation": "MONOCHROME2"},
        "PixelData": (np.arange(480) % 256).astype(np.uint8).tobytes(),
    }
    for keyword, value in (plain | tags).items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


@pytest.fixture
def add(tmp_path: Path) -> Add:
    """(path, number, tags) -> the file, written into the tree."""

    def write(path: str, number: int, **tags: Any) -> Path:
        file = tmp_path / "tree" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        dcmwrite(file, dataset_of(number, **tags), enforce_file_format=True)
        return file

    return write


@pytest.fixture
def read_with(tmp_path: Path) -> Callable[..., Manifest]:
    """(config) -> the manifest of the tree; every image is a test image unless the config has a split."""

    def read_tree(**config: Any) -> Manifest:
        return read(tmp_path / "tree", DicomConfig.model_validate(TEST_ONLY | config))

    return read_tree


def coded(meaning_of: Any) -> list[Dataset]:
    """A code sequence of one item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = meaning_of.value, meaning_of.scheme_designator
    item.CodeMeaning = meaning_of.meaning
    return [item]


def test_headers_say_who_when_and_how(add: Add, read_with: Callable[..., Manifest], tmp_path: Path) -> None:
    add("2020/IM1", 1)
    add("2020/é 2.DCM", 2, PatientAge=None, PatientBirthDate="19800229", PatientSex="M", ViewPosition="LL")
    add("2021/series/3", 3, PatientAge=None, PatientBirthDate="21000101", PatientSex=None, ViewPosition=None)
    add("2021/series/4", 4, Modality="CR", BodyPartExamined=None, PatientAge="010M", StudyInstanceUID=None)
    steps: list[tuple[int, int]] = []
    config = DicomConfig.model_validate(TEST_ONLY | {"name": "archive"})
    manifest = read(tmp_path / "tree", config, lambda stage, done, total, figures={}: steps.append((done, total)))
    table = manifest.table
    assert table["path"].tolist() == ["2020/IM1", "2020/é 2.DCM", "2021/series/3", "2021/series/4"]
    assert table["image_id"].tolist() == [f"{UID}{number}" for number in (1, 2, 3, 4)]
    assert table["study_id"].tolist() == [f"{UID}1.1", f"{UID}1.2", f"{UID}1.3", f"{UID}4"]
    assert table["patient_id"].tolist() == ["P1", "P2", "P3", "P4"]
    assert table["view_position"].tolist() == ["PA", "LATERAL", "UNKNOWN", "PA"]
    assert table["sex"].tolist() == ["F", "M", "UNKNOWN", "F"]
    assert table["age_years"].tolist() == pytest.approx([58, 40.0, np.nan, 10 / 12], abs=0.01, nan_ok=True)
    assert table[["height", "width"]].to_numpy().tolist() == [[20, 24]] * 4
    assert set(table["source"]) == {"archive"}
    assert "1 files do not say which part of the body they show." in manifest.header.notes
    assert steps[3] == (4, 4)


@pytest.mark.parametrize(
    ("tags", "view"),
    [
        ({"ViewPosition": "RLD"}, "LATERAL"),
        ({"ViewPosition": None, "ViewCodeSequence": coded(codes.cid4010.PosteroAnterior)}, "PA"),
        ({"ViewPosition": "", "ViewCodeSequence": coded(codes.cid4010.AnteroPosterior)}, "AP"),
        ({"ViewPosition": "XX", "ViewCodeSequence": coded(codes.cid4010.LeftLateral)}, "LATERAL"),
        ({"ViewPosition": None, "ViewCodeSequence": coded(codes.cid4010.LeftAnteriorOblique)}, "UNKNOWN"),
        ({"ViewPosition": None, "PatientOrientation": ["P", "F"]}, "LATERAL"),
        ({"ViewPosition": None, "PatientOrientation": ["L", "F"]}, "UNKNOWN"),
    ],
)
def test_a_view_is_told_by_position_else_code_else_orientation(
    tags: dict[str, Any], view: str, add: Add, read_with: Callable[..., Manifest]
) -> None:
    add("1", 1, **tags)
    assert read_with().table["view_position"].tolist() == [view]


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "CT"}, "modality 'CT' is none of CR, DX, RG"),
        ({"Modality": None}, "modality ''"),
        ({"BodyPartExamined": "HAND"}, "body part 'HAND'"),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": coded(codes.SCT.Abdomen)}, "body part 'ABDOMEN'"),
        ({"PatientSpeciesDescription": "Canis lupus familiaris"}, "of a Canis lupus familiaris, not of a person"),
    ],
)
def test_what_is_no_chest_radiograph_is_listed_with_its_reason(
    tags: dict[str, Any], reason: str, add: Add, read_with: Callable[..., Manifest]
) -> None:
    add("chest", 1, BodyPartExamined="CHEST PA")
    add("other", 2, **tags)
    manifest = read_with()
    assert manifest.table["path"].tolist() == ["chest"]
    assert [(refusal.path, refusal.code.value) for refusal in manifest.refused] == [("other", "not-a-chest-radiograph")]
    assert reason in manifest.refused[0].message
    assert any("1 files or records were left out" in note for note in manifest.header.notes)


def test_files_that_are_no_images_are_listed_and_other_files_passed_over(
    add: Add, read_with: Callable[..., Manifest], tmp_path: Path
) -> None:
    add("chest", 1)
    add("again/copy", 1)
    add("report", 3, Rows=None, Columns=None, PixelData=None, Modality="SR")
    add("cine", 4, NumberOfFrames=3)
    bare = add("bare.dcm", 5)
    bare.write_bytes(bare.read_bytes()[132:])
    (tmp_path / "tree" / "read me.txt").write_text("no image")
    (tmp_path / "tree" / "empty").write_bytes(b"")
    codes_of = {refusal.path: refusal.code.value for refusal in read_with().refused}
    expected = {"bare.dcm": "not-an-image", "cine": "multi-frame", "report": "not-an-image", "chest": "bad-record"}
    assert codes_of == expected


def test_damaged_files_stop_unless_they_are_to_be_left_out(
    add: Add, read_with: Callable[..., Manifest], tmp_path: Path
) -> None:
    add("chest", 1)
    add("nameless", 2, SOPInstanceUID="")
    whole = add("cut", 3)
    whole.write_bytes(whole.read_bytes()[:400])
    (tmp_path / "tree" / "empty.dcm").write_bytes(b"")
    outside = tmp_path / "elsewhere"
    shutil.copy(tmp_path / "tree" / "chest", outside)
    (tmp_path / "tree" / "link").symlink_to(outside)
    with pytest.raises(ManifestError, match=r"3 DICOM files cannot be used .* - .*images\.broken=exclude"):
        read_with()
    manifest = read_with(images={"broken": "exclude"})
    assert manifest.table["path"].tolist() == ["chest"]
    found = {refusal.path: refusal.code.value for refusal in manifest.refused}
    expected = {"cut": "not-an-image", "empty.dcm": "empty-file", "link": "outside-root", "nameless": "bad-record"}
    assert found == expected


def test_without_patient_ids_somebody_must_say_so(add: Add, read_with: Callable[..., Manifest]) -> None:
    add("1", 1)
    add("2", 2, PatientID=None, PresentationIntentType="FOR PROCESSING")
    with pytest.raises(ManifestError, match=r"1 files have no Patient ID \(first: 2\).*patients=each-study"):
        read_with()
    manifest = read_with(patients="each-study")
    assert manifest.table["patient_id"].tolist() == [f"{UID}1.1", f"{UID}1.2"]
    assert any("people may be in several splits" in note for note in manifest.header.notes)
    assert any("1 files are FOR PROCESSING" in note for note in manifest.header.notes)


@pytest.mark.parametrize(
    ("key", "name"), [("SOPInstanceUID", f"{UID}1"), ("StudyInstanceUID", f"{UID}1.1"), ("path", "a/1")]
)
def test_labels_may_come_from_a_table(
    key: str, name: str, add: Add, read_with: Callable[..., Manifest], tmp_path: Path
) -> None:
    add("a/1", 1)
    add("a/2", 2)
    (tmp_path / "tree" / "labels.csv").write_text(f"which,mass,coin\n{name},1,0\nunknown,0,0\n")
    labels = {"findings": {"mass": "Mass", "coin": "Swallowed_Coin"}, "kind": "columns"}
    manifest = read_with(table={"file": "labels.csv", "column": "which", "key": key, "labels": labels})
    assert manifest.table["label.Mass"].tolist() == ["present", "not-labelled"]
    assert manifest.table["label.Swallowed_Coin"].tolist() == ["absent", "not-labelled"]
    assert "Labels from labels.csv: 1 of 2 images are in it." in manifest.header.notes
    assert "Findings that the common vocabulary lacks: Swallowed_Coin." in manifest.header.notes


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ("which,mass\nx,1\n", r"no row is of an image here \(first: 'x'; a file's path is '1'\)"),
        ("which,mass\n1,1\n1,0\n", r"labels\.csv: 1 rows repeat a path, such as '1' \(first: line 3\)"),
        ("which,mass\n1,often\n", r"labels\.csv: .* such as 'often' \(first: line 2\)"),
        ("which,mass\n", "no row"),
    ],
)
def test_a_label_table_that_does_not_fit_stops(
    rows: str, what: str, add: Add, read_with: Callable[..., Manifest], tmp_path: Path
) -> None:
    add("1", 1)
    (tmp_path / "tree" / "labels.csv").write_text(rows)
    labels = {"findings": {"mass": "Mass"}, "kind": "columns"}
    with pytest.raises(ManifestError, match=what):
        read_with(table={"file": "labels.csv", "column": "which", "key": "path", "labels": labels})


def test_images_without_labels_go_all_the_way_to_an_unlabelled_cohort(
    add: Add, read_with: Callable[..., Manifest], tmp_path: Path
) -> None:
    for number in range(1, 7):
        add(f"{number}", number, PatientID=f"P{number % 3}")
    manifest = read_with(split={"method": "patients", "test_fraction": 0.3})
    assert manifest.findings == ()
    assert manifest.table.groupby("patient_id")["split"].nunique().max() == 1
    write_manifest(manifest, tmp_path / "m.parquet")
    again = read_manifest(tmp_path / "m.parquet")
    assert again.table.equals(manifest.table)
    request = CohortRequest(("Mass", "Lung_Opacity"), PreprocessSpec(size=32), LabelPolicy(), tmp_path / "cache")
    cohort = open_cohort(again, request)
    assert (len(cohort), cohort.num_labelled) == (6, 0)
    assert np.isnan(cohort.labels).all()


def test_a_tree_without_radiographs_is_refused(add: Add, read_with: Callable[..., Manifest], tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="there is no such folder"):
        read_with()
    add("hand", 1, BodyPartExamined="HAND")
    with pytest.raises(EmptyCohortError, match="first of 1 other files: hand: body part 'HAND'"):
        read_with()
    add("chest", 2)
    with pytest.raises(ConfigError, match="no official split"):
        read_with(split={"method": "official"})


def test_real_files_are_read_as_they_come(shared_data: Path) -> None:
    config = DicomConfig.model_validate(TEST_ONLY | {"patients": "each-study"})
    manifest = read(shared_data / "dicom", config)
    table = manifest.table.set_index("path")
    jpeg = table.loc["cr_chest_pa_8bit_jpeg_baseline.dcm"]
    assert (jpeg["view_position"], jpeg["sex"], jpeg["age_years"], jpeg["height"]) == ("PA", "M", 62, 1024)
    assert table.loc["cr_chest_mono1_10bit_jpegls14.dcm", "width"] == 1760
    # The same image with another header carries the same UID: its second file is told of.
    assert [(refusal.path, refusal.code.value) for refusal in manifest.refused] == [
        ("same_image_monochrome1_header.dcm", "bad-record")
    ]
