"""The reader of Open-i: reports as XML or as Kaggle's tables, and what is wrong with other files."""

import gzip
import tarfile
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

from pocketcxr.domain.errors import ConfigError, EmptyCohortError, ManifestError, RefusalCode
from pocketcxr.domain.findings import broader, known_findings
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.mesh_terms import findings_named, report_states, rules_of
from pocketcxr.manifest.schema import Manifest, read_manifest, write_manifest
from pocketcxr.manifest.sources.open_i import DICOM_METADATA, MAPPINGS, PROJECTIONS, OpenIConfig, read
from pocketcxr.manifest.splits import SplitConfig

OPTIONS = OpenIConfig()
EXCLUDE = OpenIConfig(images=ImagesConfig(broken="exclude"))
RULES = rules_of(MAPPINGS)


def draw(path: Path) -> None:
    """Write a small image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(32 * 40, dtype=np.uint8).reshape(32, 40)).save(path)


@dataclass
class Report:
    uid: str
    terms: list[str]
    images: list[str]

    def xml(self) -> str:
        majors = "".join(f"<major>{term}</major>" for term in self.terms)
        images = "".join(f'<parentImage id="{image}"><caption/></parentImage>' for image in self.images)
        return (
            f'<?xml version="1.0" encoding="utf-8"?>\n<eCitation><uId id="{self.uid}"/>'
            f"<MeSH>{majors}<automatic>pneumothorax</automatic></MeSH>{images}</eCitation>"
        )


@dataclass
class Folder:
    """The library's folder: five reports of seven images, to be broken in one way and written."""

    root: Path
    reports: list[Report] = field(
        default_factory=lambda: [
            Report("CXR1", ["normal"], ["CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001"]),
            Report("CXR2", ["Cardiomegaly/borderline", "Pulmonary Artery/enlarged"], ["CXR2_IM-0652-1001"]),
            Report("CXR10", ["Hydropneumothorax/left", "Thickening/pleura/apex"], ["CXR10_IM-0002-1001"]),
            Report("CXR11", ["No Indexing"], ["CXR11_IM-0067-1001", "CXR11_IM-0067-2001"]),
            Report("CXR12", ["Nodule/lung/right"], []),
            Report("CXR13", ["Technical Quality of Image Unsatisfactory"], ["CXR13_IM-0198-1001"]),
        ]
    )

    def write(self) -> Path:
        (self.root / "ecgen-radiology").mkdir(exist_ok=True)
        for report in self.reports:
            (self.root / f"ecgen-radiology/{report.uid.removeprefix('CXR')}.xml").write_text(report.xml())
            for image in report.images:
                draw(self.root / f"NLMCXR_png/{image}.png")
        return self.root

    def kaggle(self) -> Path:
        """The same as Kaggle has it."""
        lines, projections = ["uid,MeSH,Problems,image,findings"], ["uid,filename,projection"]
        for report in self.reports:
            number = report.uid.removeprefix("CXR")
            lines.append(f'{number},"{";".join(report.terms)}",,,"Heart, lungs."')
            for image in report.images:
                name = f"{number}_IM{image.partition('IM')[2]}.dcm.png"
                projections.append(f"{number},{name},{'Frontal' if name.endswith('1001.dcm.png') else 'Lateral'}")
                draw(self.root / "images/images_normalized" / name)
        (self.root / "indiana_reports.csv").write_text("\n".join(lines) + "\n")
        (self.root / PROJECTIONS).write_text("\n".join(projections) + "\n")
        return self.root


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def _states(manifest: Manifest, finding: str) -> list[str]:
    return manifest.table[f"label.{finding}"].tolist()


P, A, U, S, N = "present", "absent", "uncertain", "unmentioned", "not-labelled"


@pytest.mark.parametrize("layout", ["xml", "kaggle"])
def test_reports_become_states_of_all_their_images(layout: str, folder: Folder) -> None:
    manifest = read(folder.write() if layout == "xml" else folder.kaggle(), OPTIONS)
    assert manifest.table["patient_id"].tolist() == ["CXR1", "CXR1", "CXR2", "CXR10", "CXR11", "CXR11", "CXR13"]
    assert _states(manifest, "No_Finding") == [P, P, S, A, N, N, S]
    assert _states(manifest, "Cardiomegaly") == [A, A, U, S, N, N, S]
    assert _states(manifest, "Pleural_Thickening") == [A, A, S, P, N, N, S]
    assert _states(manifest, "Pneumothorax") == _states(manifest, "Effusion") == [A, A, S, P, N, N, S]
    assert _states(manifest, "Nodule") == [A, A, S, S, N, N, S]
    assert all(manifest.file_of(path).is_file() for path in manifest.table["path"])
    assert any(
        "1 reports have no image. 2 images are of reports that nobody indexed" in n for n in manifest.header.notes
    )


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("Opacity/lung/base/left", {"Lung_Opacity"}),
        ("Opacity/ribs/left/anterior/round", set()),
        ("Thickening/pleura/apex/bilateral", {"Pleural_Thickening"}),
        ("Thickening/bronchi", set()),
        ("Aorta/enlarged/tortuous/mild", {"Aortic_Enlargement", "Aortic_Elongation"}),
        ("Lung/hilum/lymph nodes/bilateral/enlarged", {"Adenopathy"}),
        ("Diaphragm/right/elevated", {"Hemidiaphragm_Elevation"}),
        ("Diaphragm/bilateral/elevated", set()),
        ("Fractures, Bone/Thoracic Vertebrae", {"Vertebral_Fracture"}),
        ("Fractures, Bone/humerus", {"Fracture"}),
        ("Implanted Medical Device/humerus/left", set()),
        ("Implanted Medical Device/left", {"Support_Devices"}),
        ("Subcutaneous  Emphysema", {"Subcutaneous_Emphysema"}),
        ("Lymph nodes/left/enlarged", {"Adenopathy"}),
        ("Cystic Fibrosis", set()),
        ("Pulmonary Edema/interstitial/mild", {"Edema"}),
    ],
)
def test_a_term_is_read_with_its_qualifiers(term: str, expected: set[str]) -> None:
    assert findings_named(term, RULES, "here") == expected


def test_terms_that_are_mapped_are_mapped_once_and_to_findings_of_the_vocabulary() -> None:
    labels = [mapping.label for mapping in MAPPINGS]
    assert len(set(labels)) == len(labels)
    assert {mapping.finding for mapping in MAPPINGS} - {None} <= set(known_findings())
    heads = {label.partition("/")[0] for label in labels}
    assert heads <= set(labels), "a term with qualifiers that none of the rules fits would be unknown"


@given(st.lists(st.sampled_from([m.label for m in MAPPINGS if m.label not in ("normal", "No Indexing")]), min_size=1))
def test_what_is_named_is_present_with_all_it_is_a_kind_of_and_nothing_is_absent(terms: list[str]) -> None:
    states = report_states({"r": terms}, MAPPINGS).loc["r"]
    present = set(states.index[states == P])
    named = set().union(*(findings_named(term, RULES, "r") for term in terms))
    assert named <= present
    assert present == named.union(*(broader(finding) for finding in named)) & set(states.index)
    assert set(states.index[states == A]) <= {"No_Finding"}


def test_a_clear_term_counts_for_more_than_a_borderline_one() -> None:
    terms = ["Cardiomegaly/borderline", "Cardiac Shadow/enlarged", "Pleural Effusion/borderline"]
    states = report_states({"r": terms}, MAPPINGS).loc["r"]
    assert (states["Cardiomegaly"], states["Effusion"], states["No_Finding"]) == (P, U, A)


def test_views_come_from_kaggles_table_before_the_headers(folder: Folder) -> None:
    assert set(read(folder.write(), OPTIONS).table["view_position"]) == {"UNKNOWN"}
    lines = [
        "imageid,View Position",
        "CXR1_IM-0001-3001,PA",
        "CXR1_IM-0001-4001,PA",
        "CXR2_IM-0652-1001,LL",
        "CXR10_IM-0002-1001,AP",
    ]
    (folder.root / DICOM_METADATA).write_bytes(gzip.compress("\n".join(lines).encode()))
    positions = read(folder.root, OPTIONS).table["view_position"].tolist()
    assert positions[:4] == ["PA", "PA", "LATERAL", "AP"]
    (folder.root / PROJECTIONS).write_text(
        "uid,filename,projection\n1,1_IM-0001-3001.dcm.png,Frontal\n1,1_IM-0001-4001.dcm.png,Lateral\n"
        "2,2_IM-0652-1001.dcm.png,Frontal\n"
    )
    positions = read(folder.root, OPTIONS).table["view_position"].tolist()
    assert positions == ["PA", "LATERAL", "UNKNOWN", "AP", "UNKNOWN", "UNKNOWN", "UNKNOWN"]


def test_the_same_patients_fall_into_the_same_part_of_either_copy(folder: Folder, tmp_path: Path) -> None:
    write_manifest(read(folder.write(), OPTIONS), tmp_path / "m.parquet")
    other = Folder(tmp_path / "kaggle", folder.reports)
    other.root.mkdir()
    split = SplitConfig(file=tmp_path / "m.splits.csv")
    copied = read(other.kaggle(), OpenIConfig(split=split)).table
    original = read_manifest(tmp_path / "m.parquet").table
    assert copied["split"].tolist() == original["split"].tolist()
    with pytest.raises(ConfigError, match="no official split"):
        read(folder.root, OpenIConfig(split=SplitConfig(method="official")))


def test_images_may_lie_beside_the_reports(folder: Folder) -> None:
    folder.write()
    for path in (folder.root / "NLMCXR_png").iterdir():
        path.rename(folder.root / path.name)
    assert read(folder.root, OPTIONS).table["path"].tolist()[0] == "CXR1_1_IM-0001-3001.png"


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (["Cardiomegalie/mild"], r"CXR2: term 'Cardiomegalie/mild' .*nearest: 'cardiomegaly'"),
        (["normal", "Nodule/lung"], r"CXR2: is indexed as both normal and"),
        ([""], r"2\.xml: is no report of Open-i"),
    ],
)
def test_terms_that_cannot_be_understood_are_refused(terms: list[str], message: str, folder: Folder) -> None:
    folder.reports[1].terms = terms
    with pytest.raises(ManifestError, match=message):
        read(folder.write(), OPTIONS)


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]>'
    '<eCitation><uId id="CXR2"/><MeSH><major>&b;</major></MeSH></eCitation>'
)
ELSEWHERE = (
    '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    '<eCitation><uId id="CXR2"/><MeSH><major>&x;</major></MeSH></eCitation>'
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, "declares a document type"),
        (ELSEWHERE, "declares a document type"),
        ("", "no element found"),
        ("<eCitation><uId", "no readable XML"),
        ("<eCitation><MeSH><major>normal</major></MeSH></eCitation>", "no report of Open-i"),
        ('<eCitation><uId id="CXR2"/><parentImage/></eCitation>', "no report of Open-i"),
        ('<?xml version="1.0" encoding="no-such"?><eCitation/>', "no readable XML"),
    ],
)
def test_a_damaged_or_hostile_report_is_refused_or_left_out(content: str, message: str, folder: Folder) -> None:
    path = folder.write() / "ecgen-radiology/2.xml"
    path.write_text(content)
    with pytest.raises(ManifestError, match=rf"2\.xml: .*{message}"):
        read(folder.root, OPTIONS)
    manifest = read(folder.root, EXCLUDE)
    assert "CXR2" not in manifest.table["patient_id"].tolist()
    assert [(refusal.path, refusal.code) for refusal in manifest.refused] == [
        ("ecgen-radiology/2.xml", RefusalCode.BAD_RECORD)
    ]


def test_a_report_may_have_another_encoding_or_a_byte_order_mark(folder: Folder) -> None:
    expected = read(folder.write(), OPTIONS).table
    for number, encoding in (("1", "utf-8-sig"), ("2", "latin-1"), ("10", "utf-16")):
        path = folder.root / f"ecgen-radiology/{number}.xml"
        text = (
            path.read_text()
            .replace("utf-8", encoding.removesuffix("-sig"))
            .replace("caption/", "caption>\u00e9</caption")
        )
        path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    pd.testing.assert_frame_equal(read(folder.root, OPTIONS).table, expected)


def test_two_reports_of_one_name_and_an_image_of_two_patients_are_refused(folder: Folder) -> None:
    folder.write()
    (folder.root / "ecgen-radiology/99.xml").write_text(folder.reports[0].xml())
    with pytest.raises(ManifestError, match=r"99\.xml: is a second report of CXR1"):
        read(folder.root, OPTIONS)
    report = Report("CXR99", ["normal"], ["CXR1_1_IM-0001-3001"])
    (folder.root / "ecgen-radiology/99.xml").write_text(report.xml())
    with pytest.raises(ManifestError, match=r"repeat an image \(first: CXR1_1_IM-0001-3001\)"):
        read(folder.root, OPTIONS)


def test_a_report_cannot_name_a_file_outside_the_root(folder: Folder, tmp_path: Path) -> None:
    folder.root = tmp_path / "root"
    folder.root.mkdir()
    draw(tmp_path / "outside.png")
    folder.reports[1].images = ["../../outside"]
    with pytest.raises(ManifestError, match="outside-root"):
        read(folder.write(), OPTIONS)


@pytest.mark.parametrize("length", [0, 40])
def test_a_cut_image_is_refused_or_left_out(length: int, folder: Folder) -> None:
    image = folder.write() / "NLMCXR_png/CXR2_IM-0652-1001.png"
    image.write_bytes(image.read_bytes()[:length])
    with pytest.raises(ManifestError, match="1 of 7 images cannot be read"):
        read(folder.root, OPTIONS)
    assert read(folder.root, EXCLUDE).num_images == 6


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("indiana_reports.csv", "uid,MeSH", "uid,Terms", "has no column 'MeSH'"),
        ("indiana_reports.csv", "10,", "1,", r"repeat a report \(first: line 4\)"),
        ("indiana_reports.csv", "10,", ",", r"have no uid \(first: line 4\)"),
        (PROJECTIONS, "projection", "side", "has no column 'projection'"),
        (PROJECTIONS, "Lateral", "Oblique", r"neither Frontal nor Lateral \(first: line 2\)"),
        (PROJECTIONS, "10,10_", "77,10_", r"are of no report in indiana_reports\.csv \(first: line 5\)"),
        (PROJECTIONS, "1_IM-0001-4001", "1_IM-0001-3001", r"repeat an image \(first: line 3\)"),
        (PROJECTIONS, "10_IM-0002-1001.dcm.png", "", r"have no filename \(first: line 5\)"),
    ],
)
def test_a_wrong_table_of_kaggles_is_refused(file: str, old: str, new: str, message: str, folder: Folder) -> None:
    path = folder.kaggle() / file
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ManifestError, match=message):
        read(folder.root, OPTIONS)


def test_encodings_and_line_ends_of_kaggles_tables_do_not_matter(
    respell: Callable[[Path, str], None], folder: Folder
) -> None:
    expected = read(folder.kaggle(), OPTIONS).table
    path = folder.root / "indiana_reports.csv"
    text = path.read_text().replace("Heart,", "C\u00f6ur,")
    respell(path, text)
    pd.testing.assert_frame_equal(read(folder.root, OPTIONS).table, expected)


def test_a_root_with_spaces_and_letters_of_other_alphabets(folder: Folder, tmp_path: Path) -> None:
    folder.root = tmp_path / "R\u00f6ntgen \u80f8\u90e8 images"
    folder.root.mkdir()
    write_manifest(read(folder.write(), OPTIONS), tmp_path / "m.parquet")
    again = read_manifest(tmp_path / "m.parquet")
    assert all(again.file_of(path).is_file() for path in again.table["path"])


def test_a_folder_that_is_no_open_i_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"holds neither ecgen-radiology/ nor indiana_reports\.csv"):
        read(tmp_path, OPTIONS)
    (tmp_path / "ecgen-radiology").mkdir()
    with pytest.raises(EmptyCohortError):
        read(tmp_path, OPTIONS)


@pytest.mark.slow
def test_all_reports_of_the_library(tmp_path: Path) -> None:
    """Where torchxrayvision, which ships them, is installed: against a search of the raw text."""
    package = find_spec("torchxrayvision")
    if package is None or not package.submodule_search_locations:
        pytest.skip("the reports come with torchxrayvision, which is not installed")
    data = Path(package.submodule_search_locations[0]) / "data"
    with tarfile.open(data / "NLMCXR_reports.tgz") as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / DICOM_METADATA).write_bytes((data / DICOM_METADATA).read_bytes())
    manifest = read(tmp_path, OpenIConfig(images=ImagesConfig(labels_only=True)))
    assert (manifest.num_images, manifest.num_patients) == (7470, 3851)
    assert any("3955 reports" in note for note in manifest.header.notes)
    assert any("104 reports have no image" in note for note in manifest.header.notes)
    texts = [path.read_text(encoding="utf-8") for path in (tmp_path / "ecgen-radiology").iterdir()]
    for term, finding, state in (
        ("<major>normal<", "No_Finding", P),
        ("<major>No Indexing<", "Mass", N),
        ("<major>Pulmonary Atelectasis", "Atelectasis", P),
        ("<major>Scoliosis", "Scoliosis", P),
        ("<major>Consolidation", "Consolidation", P),
    ):
        expected = sum(text.count("<parentImage ") for text in texts if term in text)
        assert (manifest.table[f"label.{finding}"] == state).sum() == expected, term
    views = manifest.table["view_position"].value_counts().to_dict()
    assert views == {"PA": 3593, "UNKNOWN": 2589, "LATERAL": 865, "AP": 423}
