"""The reader of VinDr-CXR: several readers an image, boxes, both layouts, and what is wrong with other files."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from pocketcxr.domain.errors import ConfigError, ManifestError, RefusalCode
from pocketcxr.domain.findings import known_findings
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.schema import Manifest, read_manifest, write_manifest
from pocketcxr.manifest.several_readers import Agreement, agreed_states
from pocketcxr.manifest.sources.vindr_cxr import COMPETITION, MAPPINGS, VindrCxrConfig, read
from pocketcxr.manifest.splits import SplitConfig

HEIGHT, WIDTH = 40, 60
LABELS = [mapping.label for mapping in MAPPINGS if mapping.label != "Other disease"]
KAGGLE = VindrCxrConfig(split=SplitConfig(method="patients"))
OPTIONS = VindrCxrConfig()


def _dicom(path: Path, height: int = HEIGHT, width: int = WIDTH) -> None:
    """Write a DICOM file of so many pixels."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.Modality = DigitalXRayImageStorageForPresentation, "DX"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = height, width, 1
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.PhotometricInterpretation = 7, 0, "MONOCHROME2"
    dataset.PixelData = np.arange(height * width, dtype=np.uint16).astype(np.uint8).tobytes()
    path.parent.mkdir(exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


@dataclass
class Kaggle:
    """The competition's folder: four images of three readers, to be broken in one way and written."""

    root: Path
    header: str = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"
    rows: list[str] = field(
        default_factory=lambda: [
            "a,Cardiomegaly,3,R8,6,10,30,20.0",
            "a,Cardiomegaly,3,R9,7,10,31,20",
            "a,Nodule/Mass,8,R9,1,1,5,5",
            "a,Nodule/Mass,8,R9,11,1,15,5",
            "a,No finding,14,R10,,,,",
            "b,No finding,14,R8,,,,",
            "b,No finding,14,R9,,,,",
            "b,No finding,14,R10,,,,",
            "c,Other lesion,9,R1,1,1,5,5",
            "c,Pleural effusion,10,R2,1,1,5,5",
            "c,Pleural effusion,10,R3,1,1,5,5",
            "c,Pleural effusion,10,R1,1,1,5,5",
            "d,ILD,5,R1,0,0,60,40",
            "d,ILD,5,R2,0,0,60,40",
            "d,No finding,14,R3,,,,",
        ]
    )
    meta: list[str] | None = None
    suffix: str = ".dicom"
    size: tuple[int, int] = (HEIGHT, WIDTH)

    def write(self) -> Path:
        (self.root / "train.csv").write_text("\n".join([self.header, *self.rows]) + "\n")
        if self.meta is not None:
            (self.root / "train_meta.csv").write_text("\n".join(["image_id,dim0,dim1", *self.meta]) + "\n")
        (self.root / "train").mkdir(exist_ok=True)
        for name in dict.fromkeys(row.split(",")[0] for row in self.rows):
            path = self.root / f"train/{name}{self.suffix}"
            if self.suffix == ".dicom":
                _dicom(path, *self.size)
            else:
                pixels = np.arange(self.size[0] * self.size[1], dtype=np.uint16).astype(np.uint8)
                Image.fromarray(pixels.reshape(self.size)).save(path)
        return self.root


@pytest.fixture
def kaggle(tmp_path: Path) -> Kaggle:
    return Kaggle(tmp_path)


def _states(manifest: Manifest, finding: str) -> list[str]:
    return manifest.table[f"label.{finding}"].tolist()


def test_what_most_readers_mark_is_present_what_none_marks_absent_and_the_rest_uncertain(kaggle: Kaggle) -> None:
    manifest = read(kaggle.write(), KAGGLE)
    assert manifest.table["image_id"].tolist() == ["a", "b", "c", "d"]
    assert _states(manifest, "Cardiomegaly") == ["present", "absent", "absent", "absent"]
    assert _states(manifest, "Lung_Lesion") == ["uncertain", "absent", "absent", "absent"]
    assert _states(manifest, "Effusion") == ["absent", "absent", "present", "absent"]
    assert _states(manifest, "No_Finding") == ["uncertain", "present", "absent", "uncertain"]


@pytest.mark.parametrize(
    ("agreement", "expected"),
    [
        ("any", ["present", "present", "present"]),
        ("majority", ["present", "uncertain", "present"]),
        ("unanimous", ["uncertain", "uncertain", "present"]),
    ],
)
def test_the_agreement_is_chosen(agreement: Agreement, expected: list[str], kaggle: Kaggle) -> None:
    options = VindrCxrConfig(split=SplitConfig(method="patients"), agreement=agreement)
    manifest = read(kaggle.write(), options)
    first = [_states(manifest, finding)[0] for finding in ("Cardiomegaly", "Lung_Lesion")]
    assert [*first, _states(manifest, "Effusion")[2]] == expected
    assert any(agreement in note for note in manifest.header.notes)


@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=8).flatmap(
        lambda readers: st.tuples(st.just(readers), st.tuples(*(st.integers(0, num) for num in readers)))
    )
)
def test_stricter_agreement_never_finds_more_and_what_nobody_marks_is_always_absent(
    votes: tuple[list[int], tuple[int, ...]],
) -> None:
    readers, marked = pd.Series(votes[0]), pd.DataFrame({"Mass": votes[1]})
    degrees: tuple[Agreement, ...] = ("unanimous", "majority", "any")
    strict, most, loose = (agreed_states(marked, readers, degree)["Mass"] for degree in degrees)
    assert ((strict == "present") <= (most == "present")).all()
    assert ((most == "present") <= (loose == "present")).all()
    assert ((loose == "present") == (marked["Mass"] > 0)).all()
    for states in (strict, most, loose):
        assert ((states == "absent") == (marked["Mass"] == 0)).all()


def test_the_boxes_of_every_reader_are_kept_where_the_finding_is_present(kaggle: Kaggle) -> None:
    manifest = read(kaggle.write(), KAGGLE)
    boxes = manifest.regions
    assert boxes["finding"].value_counts().to_dict() == {
        "Effusion": 3,
        "Cardiomegaly": 2,
        "Interstitial_Lung_Disease": 2,
    }
    first = boxes.iloc[0]
    assert (first["image_id"], first["x"], first["y"], first["w"], first["h"]) == ("a", 6, 10, 24, 10)
    assert any("2 boxes of findings that too few readers marked" in note for note in manifest.header.notes)
    options = VindrCxrConfig(split=SplitConfig(method="patients"), agreement="any")
    assert len(read(kaggle.root, options).regions) == 9
    assert read(kaggle.root, VindrCxrConfig(split=SplitConfig(method="patients"), boxes="none")).regions.empty


def test_boxes_fit_a_resized_copy_when_its_original_size_is_told(kaggle: Kaggle) -> None:
    kaggle.suffix, kaggle.size = ".png", (20, 20)
    with pytest.raises(ManifestError, match=r"7 boxes lie on images that are no DICOM .*train/a\.png.*boxes=file"):
        read(kaggle.write(), KAGGLE)
    kaggle.meta = [f"{name},{HEIGHT},{WIDTH}" for name in "abcdx"]
    box = read(kaggle.write(), KAGGLE).regions.iloc[0]
    assert (box["x"], box["y"], box["w"], box["h"]) == pytest.approx((2, 5, 8, 5))


def test_boxes_of_copies_in_their_original_size_need_no_table(kaggle: Kaggle) -> None:
    kaggle.suffix = ".png"
    options = VindrCxrConfig(split=SplitConfig(method="patients"), boxes="file")
    assert read(kaggle.write(), options).regions["x"].tolist()[:2] == [6, 7]
    kaggle.size = (20, 20)
    with pytest.raises(ManifestError, match="boxes reach beyond their image"):
        read(kaggle.write(), options)


def test_people_are_unknown_and_the_manifest_says_so(kaggle: Kaggle) -> None:
    manifest = read(kaggle.write(), KAGGLE)
    assert manifest.table["patient_id"].tolist() == manifest.table["image_id"].tolist()
    assert set(manifest.table["sex"]) == {"UNKNOWN"}
    assert set(manifest.table["view_position"]) == {"PA"}
    assert any("names no patients" in note for note in manifest.header.notes)
    with pytest.raises(ConfigError, match="no official split"):
        read(kaggle.root, OPTIONS)


def test_labels_only_needs_no_image(kaggle: Kaggle) -> None:
    kaggle.meta = [f"{name},{HEIGHT},{WIDTH}" for name in "abc"]
    root = kaggle.write()
    for path in (root / "train").iterdir():
        path.unlink()
    images = ImagesConfig(labels_only=True)
    manifest = read(root, VindrCxrConfig(split=SplitConfig(method="patients"), images=images))
    assert manifest.table["path"].tolist() == [f"train/{name}.dicom" for name in "abcd"]
    assert manifest.table["height"].tolist() == [HEIGHT, HEIGHT, HEIGHT, 0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,Cardiomegalie,3,R8,1,1,5,5", r"line 17: label 'Cardiomegalie' .*nearest: 'Cardiomegaly'"),
        ("a,Cardiomegaly,3,R8,1,1,1,5", r"have a box of no area \(first: line 17\)"),
        ("a,Cardiomegaly,3,R8,5,5,1,9", r"have a box of no area \(first: line 17\)"),
        ("a,Cardiomegaly,3,R8,1,,5,5", r"without four numbers \(first: line 17\)"),
        ("a,Cardiomegaly,3,R8,1,one,5,5", r"without four numbers"),
        ("a,Cardiomegaly,3,R8,1,1,inf,5", r"without four numbers"),
        ("a,Cardiomegaly,3,R8,1,1,99,5", r"1 boxes reach beyond their image .*'a'"),
        ("a,Cardiomegaly,3,R8,-9,1,9,5", r"regions: column 'x'"),
        ("a,No finding,14,R8,,,,", r"2 rows are of a reader who says both nothing and something \(first: line 2\)"),
        (",No finding,14,R8,,,,", r"have no image_id \(first: line 17\)"),
        ("e,No finding,14,R8,,,,,,,", r"no readable CSV"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(row: str, message: str, kaggle: Kaggle) -> None:
    kaggle.rows.append(row)
    with pytest.raises(ManifestError, match=message):
        read(kaggle.write(), KAGGLE)


def test_a_repeated_row_counts_once(kaggle: Kaggle) -> None:
    expected = read(kaggle.write(), KAGGLE)
    kaggle.rows += [kaggle.rows[0], kaggle.rows[2], kaggle.rows[5]]
    manifest = read(kaggle.write(), KAGGLE)
    pd.testing.assert_frame_equal(manifest.table, expected.table)
    pd.testing.assert_frame_equal(manifest.regions, expected.regions)


@pytest.mark.parametrize("name", ["image_id", "class_name", "rad_id", "x_min"])
def test_a_missing_column_is_named(name: str, kaggle: Kaggle) -> None:
    kaggle.header = kaggle.header.replace(name, "something")
    with pytest.raises(ManifestError, match=rf"has no column '{name}'"):
        read(kaggle.write(), KAGGLE)


@pytest.mark.parametrize("meta", [["a,0,60"], ["a,40,"], ["a,40,60", "a,40,60"]])
def test_a_wrong_table_of_sizes_is_refused(meta: list[str], kaggle: Kaggle) -> None:
    kaggle.meta = meta
    with pytest.raises(ManifestError, match=r"train_meta\.csv"):
        read(kaggle.write(), KAGGLE)


def test_a_folder_that_is_no_vindr_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"train\.csv: there is no such file"):
        read(tmp_path, OPTIONS)
    with pytest.raises(ManifestError, match="no such folder"):
        read(tmp_path / "nowhere", OPTIONS)


@pytest.mark.parametrize("length", [0, 300])
def test_a_cut_image_is_refused_or_left_out_with_its_boxes(length: int, kaggle: Kaggle) -> None:
    image = kaggle.write() / "train/a.dicom"
    image.write_bytes(image.read_bytes()[:length])
    with pytest.raises(ManifestError, match=r"1 of 4 images cannot be read"):
        read(kaggle.root, KAGGLE)
    options = VindrCxrConfig(split=SplitConfig(method="patients"), images=ImagesConfig(broken="exclude"))
    manifest = read(kaggle.root, options)
    assert manifest.table["image_id"].tolist() == ["b", "c", "d"]
    assert "a" not in set(manifest.regions["image_id"])
    assert manifest.refused[0].code is not RefusalCode.NOT_FOUND


def test_encodings_and_line_ends_do_not_matter(respell: Callable[[Path, str], None], kaggle: Kaggle) -> None:
    kaggle.header += ",note"
    kaggle.rows = [f"{row},M\u00fcller" for row in kaggle.rows]
    expected = read(kaggle.write(), KAGGLE).table
    path = kaggle.root / "train.csv"
    text = path.read_text()
    respell(path, text)
    pd.testing.assert_frame_equal(read(kaggle.root, KAGGLE).table, expected)


def test_a_root_with_spaces_and_letters_of_other_alphabets(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.root = tmp_path / "R\u00f6ntgen \u80f8\u90e8 images"
    kaggle.root.mkdir()
    kaggle.rows = [f"\u00fc {row}" for row in kaggle.rows]
    write_manifest(read(kaggle.write(), KAGGLE), tmp_path / "m.parquet")
    again = read_manifest(tmp_path / "m.parquet")
    assert all(again.file_of(path).is_file() for path in again.table["path"])


@dataclass
class PhysioNet:
    """PhysioNet's folder: two training images of three readers, a test image of one consensus."""

    root: Path
    labels: list[str] = field(default_factory=lambda: list(LABELS))
    train: list[tuple[str, str, tuple[str, ...]]] = field(
        default_factory=lambda: [
            ("a", "R1", ("Pneumonia", "Consolidation")),
            ("a", "R2", ("Pneumonia", "Lung tumor")),
            ("a", "R3", ("No finding",)),
            ("b", "R1", ("No finding",)),
            ("b", "R2", ("No finding",)),
            ("b", "R4", ("Rib fracture",)),
        ]
    )
    test: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=lambda: [("t", "", ("Rib fracture",))])
    boxes: list[str] = field(
        default_factory=lambda: ["a,R1,Consolidation,1,1,9,9", "a,R3,No finding,,,,", "b,R4,Rib fracture,1,1,9,9"]
    )

    def write(self) -> Path:
        folder = self.root / "annotations"
        folder.mkdir(exist_ok=True)
        for part, rows in (("train", self.train), ("test", self.test)):
            lines = [",".join(["image_id", *(["rad_id"] if part == "train" else []), *self.labels])]
            for image, reader, marked in rows:
                marks = ["1" if label in marked else "0" for label in self.labels]
                lines.append(",".join([image, *([reader] if part == "train" else []), *marks]))
                _dicom(self.root / part / f"{image}.dicom")
            (folder / f"image_labels_{part}.csv").write_text("\n".join(lines) + "\n")
        corners = "class_name,x_min,y_min,x_max,y_max"
        (folder / "annotations_train.csv").write_text("\n".join([f"image_id,rad_id,{corners}", *self.boxes]) + "\n")
        (folder / "annotations_test.csv").write_text(f"image_id,{corners}\nt,Rib fracture,2,3,4,5\n")
        return self.root


@pytest.fixture
def physionet(tmp_path: Path) -> PhysioNet:
    return PhysioNet(tmp_path)


def test_physionets_parts_are_read_with_their_labels_boxes_and_split(physionet: PhysioNet) -> None:
    manifest = read(physionet.write(), OPTIONS)
    assert manifest.table["path"].tolist() == ["train/a.dicom", "train/b.dicom", "test/t.dicom"]
    assert manifest.table["split"].tolist()[-1] == "test"
    assert "test" not in manifest.table["split"].tolist()[:2]
    assert _states(manifest, "Pneumonia") == ["present", "absent", "absent"]
    assert _states(manifest, "Consolidation") == ["uncertain", "absent", "absent"]
    assert _states(manifest, "Rib_Fracture") == ["absent", "uncertain", "present"]
    assert _states(manifest, "No_Finding") == ["uncertain", "present", "absent"]
    (box,) = manifest.regions.itertuples()
    assert (box.image_id, box.finding, box.x, box.y, box.w, box.h) == ("t", "Rib_Fracture", 2, 3, 2, 2)


def test_one_part_alone_can_be_read(physionet: PhysioNet) -> None:
    physionet.write()
    manifest = read(physionet.root, VindrCxrConfig(parts=("test",)))
    assert manifest.table["image_id"].tolist() == ["t"]


def test_a_label_nobody_knows_and_one_that_is_missing_are_named(physionet: PhysioNet) -> None:
    physionet.labels[0] = "Aorta"
    with pytest.raises(ManifestError, match="column 'Aorta' is no label"):
        read(physionet.write(), OPTIONS)
    physionet.labels = LABELS[1:]
    with pytest.raises(ManifestError, match="has no column 'Aortic enlargement'"):
        read(physionet.write(), OPTIONS)


def test_a_reader_who_answers_twice_or_not_at_all_is_refused(physionet: PhysioNet) -> None:
    physionet.train.append(("a", "R1", ()))
    with pytest.raises(ManifestError, match=r"1 rows repeat an image of the same reader \(first: line 8\)"):
        read(physionet.write(), OPTIONS)
    physionet.train.pop()
    path = physionet.write() / "annotations/image_labels_train.csv"
    path.write_text(path.read_text().replace("a,R1,0", "a,R1,2"))
    with pytest.raises(ManifestError, match=r"neither 0 nor 1 in column 'Aortic enlargement' \(first: line 2\)"):
        read(physionet.root, OPTIONS)


def test_the_official_labels_are_all_mapped_and_to_findings_of_the_vocabulary() -> None:
    assert len(LABELS) == 28
    assert len({mapping.label for mapping in MAPPINGS}) == len(MAPPINGS)
    assert {mapping.finding for mapping in MAPPINGS} - {None} <= set(known_findings())
    assert len(COMPETITION) == 15


def test_the_whole_table_of_the_competition(tmp_path: Path) -> None:
    """Where torchxrayvision, which ships it, is installed: against counts that pandas makes of the raw table."""
    package = find_spec("torchxrayvision")
    if package is None or not package.submodule_search_locations:
        pytest.skip("the competition's table comes with torchxrayvision, which is not installed")
    path = Path(package.submodule_search_locations[0]) / "data" / "vinbigdata-train.csv.gz"
    options = VindrCxrConfig(
        split=SplitConfig(method="patients"), images=ImagesConfig(labels_only=True), label_table=path.name
    )
    manifest = read(path.parent, options)
    assert manifest.num_images == 15_000
    raw = pd.read_csv(path)
    assert (raw.groupby("image_id")["rad_id"].nunique() == 3).all()
    marked = raw.groupby(["image_id", "class_name"])["rad_id"].nunique()
    present = marked[marked >= 2]
    for mapping in COMPETITION:
        if mapping.finding is not None:
            states = manifest.table[f"label.{mapping.finding}"]
            assert (states == "present").sum() == (present.index.get_level_values(1) == mapping.label).sum()
            assert (states != "absent").sum() == (marked.index.get_level_values(1) == mapping.label).sum()
    assert (manifest.table["label.No_Finding"] == "present").sum() == 10_606
    mapped = raw[~raw["class_name"].isin(["No finding", "Other lesion"])]
    kept = pd.MultiIndex.from_frame(mapped[["image_id", "class_name"]]).isin(present.index)
    assert len(manifest.regions) == kept.sum() == 26_883
