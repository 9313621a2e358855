"""The reader of PadChest: the official files as they are, and what is wrong with others."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from pocketcxr.domain.errors import ConfigError, EmptyCohortError, ImageRefusedError, ManifestError, RefusalCode
from pocketcxr.imaging.load import load
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.schema import Manifest, read_manifest, write_manifest
from pocketcxr.manifest.sources.padchest import COLUMNS, TABLE, PadchestConfig, known_broken, read
from pocketcxr.manifest.splits import SplitConfig

HEADER = ",".join(["", *COLUMNS, "Report"])
TEST = SplitConfig(method="external-test")
LABELS_ONLY = PadchestConfig(images=ImagesConfig(labels_only=True), split=TEST)
EXCLUDE = PadchestConfig(images=ImagesConfig(broken="exclude"), split=TEST)
EVERY = PadchestConfig(split=TEST, projections=("PA", "AP", "AP_horizontal", "L", "COSTAL", "EXCLUDE", "UNK"))
HEIGHT, WIDTH = 32, 40


@dataclass(frozen=True)
class Row:
    image: str
    labels: str
    folder: str = "0"
    date: str = "20140915"
    study: str = "s1"
    patient: str = "p1"
    birth: str = "1930.0"
    sex: str = "F"
    projection: str = "PA"
    pediatric: str = "No"
    method: str = "RNN_model"

    def line(self) -> str:
        people = (self.date, self.study, self.patient, self.birth, self.sex, self.projection, self.pediatric)
        told = (f"{HEIGHT}", f"{WIDTH}", self.method, f'"{self.labels}"', " silueta cardiomediastínica .")
        return ",".join(["7", self.image, self.folder, *people, *told])


@dataclass
class Folder:
    """Seven rows in the official layout, to be broken in one way and written."""

    root: Path
    header: str = HEADER
    rows: list[Row] = field(
        default_factory=lambda: [
            Row("a.png", "['pneumonia', ' pleural effusion']"),
            Row("b.png", "['normal']", "1", study="s2", patient="p2", birth="1999.0", sex="M", method="Physician"),
            Row("c.png", "['unchanged']", "54", study="s3", patient="p2", projection="AP_horizontal", sex="O"),
            Row("d.png", "['exclude']", study="s4", patient="p3"),
            Row("e.png", "nan", study="s5", patient="p4", sex="nan", birth=""),
            Row("f.png", "['nodule']", study="s2", patient="p2", projection="L"),
            Row("g.png", "['COPD signs']", study="s6", patient="p5", birth="2012.0", projection="AP", pediatric="PED"),
        ]
    )
    table: str = TABLE
    encoding: str = "utf-8"
    newline: str = "\n"
    place: Callable[[Row], str] = lambda row: f"{row.folder}/{row.image}"

    def write(self) -> Path:
        """The folder, written."""
        self.root.mkdir(exist_ok=True)
        text = self.newline.join([self.header, *(row.line() for row in self.rows)]) + self.newline
        data = text.encode(self.encoding)
        (self.root / self.table).write_bytes(gzip.compress(data) if self.table.endswith(".gz") else data)
        for row in self.rows:
            draw(self.root / self.place(row))
        return self.root


def draw(path: Path, least: int = 0, greatest: int = 4095) -> None:
    """Write a small PNG of 16 bits, of which 12 are used."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.linspace(least, greatest, HEIGHT * WIDTH).round().astype(np.uint16).reshape(HEIGHT, WIDTH)
    Image.fromarray(values).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def _rows(manifest: Manifest) -> dict[str, dict[str, object]]:
    records = manifest.table.to_dict(orient="records")
    return {str(row["image_id"]): {str(name): value for name, value in row.items()} for row in records}


def test_rows_become_rows(folder: Folder) -> None:
    manifest = read(folder.write(), PadchestConfig(split=TEST))
    rows = _rows(manifest)
    assert list(rows) == ["a.png", "b.png", "c.png", "g.png"]
    first = rows["a.png"]
    assert (first["path"], first["patient_id"], first["study_id"]) == ("0/a.png", "p1", "s1")
    assert (first["view_position"], first["sex"], first["age_years"]) == ("PA", "F", 84.0)
    assert (first["height"], first["width"]) == (HEIGHT, WIDTH)
    assert (first["label.Pneumonia"], first["label.Effusion"], first["label.No_Finding"]) == (
        *["present"] * 2,
        "absent",
    )
    assert rows["b.png"]["label.Pneumonia"] == "absent"
    assert (rows["c.png"]["path"], rows["c.png"]["view_position"], rows["c.png"]["sex"]) == ("54/c.png", "AP", "O")
    assert rows["c.png"]["label.Pneumonia"] == "not-labelled"
    assert rows["g.png"]["view_position"] == "AP"


def test_unlabelled_images_are_left_out_and_listed_or_kept_and_unknown(folder: Folder) -> None:
    root = folder.write()
    refused = read(root, PadchestConfig(split=TEST)).refused
    bad = RefusalCode.BAD_RECORD
    assert [(one.path, one.code) for one in refused] == [("0/d.png", bad), ("0/e.png", bad)]
    assert "line 5: is labelled 'exclude'" in refused[0].message
    assert "line 6: has no labels" in refused[1].message
    kept = read(root, PadchestConfig(split=TEST, unlabelled="keep"))
    assert not kept.refused
    for image in ("d.png", "e.png"):
        assert {_rows(kept)[image][f"label.{finding}"] for finding in kept.findings} == {"not-labelled"}
    assert _rows(kept)["e.png"]["sex"] == "UNKNOWN"
    assert str(_rows(kept)["e.png"]["age_years"]) == "nan"


def test_a_broken_list_is_listed_and_never_guessed_at(folder: Folder) -> None:
    folder.rows[0] = replace(folder.rows[0], labels="['pneumonia', ' pleural effus")
    manifest = read(folder.write(), PadchestConfig(split=TEST))
    assert "a.png" not in _rows(manifest)
    assert "line 2: has Labels that are no list: \"['pneumonia', ' pleural effus\"" in manifest.refused[0].message


@pytest.mark.parametrize(
    ("settings", "images"),
    [
        ({}, "abcg"),
        ({"projections": ["L"]}, "f"),
        ({"projections": ["PA", "L"]}, "abf"),
        ({"pediatric": "exclude"}, "abc"),
        ({"min_age_years": 18}, "ac"),
        ({"manual_labels_only": True}, "b"),
        ({"unlabelled": "keep"}, "abcdeg"),
        ({"unlabelled": "keep", "min_age_years": 1}, "abcdg"),
    ],
)
def test_the_images_asked_for_are_chosen(settings: dict[str, object], images: str, folder: Folder) -> None:
    folder.rows[1] = replace(folder.rows[1], birth="2000.0")
    config = PadchestConfig.model_validate({"split": TEST, **settings})
    assert list(_rows(read(folder.write(), config))) == [f"{image}.png" for image in images]


def test_the_19_diagnoses_are_always_19_and_all_labels_bear_names_of_their_own(folder: Folder) -> None:
    root = folder.write()
    diagnoses = read(root, PadchestConfig(split=TEST, findings="differential-diagnoses"))
    assert len(diagnoses.findings) == 19
    assert _rows(diagnoses)["a.png"]["label.Pneumonia"] == "present"
    every = read(root, PadchestConfig(split=TEST, findings="all"))
    assert every.findings == ("No_Finding", "Effusion", "Pneumonia", "COPD_Signs")


def test_every_projection_has_a_view_position(folder: Folder) -> None:
    views = {"PA": "PA", "AP": "AP", "AP_horizontal": "AP", "L": "LATERAL"} | dict.fromkeys(
        ("COSTAL", "EXCLUDE", "UNK"), "UNKNOWN"
    )
    folder.rows = [Row(f"{name}.png", "['normal']", projection=name) for name in views]
    rows = _rows(read(folder.write(), EVERY))
    assert {name: rows[f"{name}.png"]["view_position"] for name in views} == views


@pytest.mark.parametrize("birth", ["", "nan", "1600.0", "2052.0", "soon"])
def test_an_absurd_birth_year_gives_no_age(birth: str, folder: Folder) -> None:
    folder.rows[0] = replace(folder.rows[0], birth=birth)
    assert np.isnan(read(folder.write(), PadchestConfig(split=TEST)).table["age_years"].iloc[0])


def test_who_shares_a_study_is_one_person(folder: Folder) -> None:
    folder.rows = [
        Row("a.png", "['normal']", study="s1", patient="p1"),
        Row("b.png", "['normal']", study="s1", patient="p2"),
        Row("c.png", "['normal']", study="s2", patient="p2"),
        Row("d.png", "['normal']", study="s2", patient="p3"),
        Row("e.png", "['normal']", study="s3", patient="p4"),
    ]
    manifest = read(folder.write(), PadchestConfig())
    assert manifest.table["patient_id"].tolist() == ["p1", "p1", "p1", "p1", "p4"]
    assert "Study s1 is under two patients" in manifest.header.notes[0]
    assert manifest.table.groupby("patient_id")["split"].nunique().max() == 1


@pytest.mark.parametrize(
    "place",
    [lambda row: f"images-224/{row.image}", lambda row: f"images/{row.image}", lambda row: row.image],
    ids=["images-224", "images", "beside the table"],
)
def test_images_may_all_lie_in_one_folder(place: Callable[[Row], str], folder: Folder) -> None:
    folder.place = place
    rows = _rows(read(folder.write(), EVERY))
    assert {image: row["path"] for image, row in rows.items()} == {
        row.image: place(row) for row in folder.rows if row.image in rows
    }


def test_images_may_be_jpeg_and_in_part_in_another_folder(folder: Folder) -> None:
    root = folder.write()
    Image.fromarray(load(root / "0/a.png").image).save(root / "0/a.jpg")
    (root / "0/a.png").unlink()
    (root / "images-512").mkdir()
    (root / "54/c.png").rename(root / "images-512/c.png")
    paths = read(root, PadchestConfig(split=TEST)).table["path"].tolist()
    assert paths == ["0/a.jpg", "1/b.png", "images-512/c.png", "0/g.png"]


def test_a_missing_image_is_missed_where_it_was_published(folder: Folder) -> None:
    root = folder.write()
    (root / "54" / "c.png").unlink()
    with pytest.raises(ManifestError, match=r"1 of 4 images cannot be read .*54/c\.png"):
        read(root, PadchestConfig(split=TEST))
    manifest = read(root, EXCLUDE)
    assert [one.path for one in manifest.refused][-1] == "54/c.png"
    assert "c.png" not in _rows(manifest)


def test_files_known_to_be_broken_are_left_out_unless_they_are_whole_here(folder: Folder) -> None:
    name, reason = next(iter(known_broken().items()))
    folder.rows.append(Row(name, "['normal']", study="s9", patient="p9"))
    root = folder.write()
    manifest = read(root, PadchestConfig(split=TEST))
    assert name not in _rows(manifest)
    (refusal,) = [one for one in manifest.refused if one.code is RefusalCode.CORRUPT]
    assert refusal.path == f"0/{name}"
    assert reason in refusal.message
    assert name in _rows(read(root, PadchestConfig(split=TEST, known_broken="keep")))


def test_16_bits_become_8_whatever_part_of_them_is_used(tmp_path: Path) -> None:
    for greatest in (1023, 4095, 65_535):
        draw(tmp_path / f"{greatest}.png", least=greatest // 16, greatest=greatest)
    images = [load(tmp_path / f"{greatest}.png").image for greatest in (1023, 4095, 65_535)]
    for image in images:
        assert (image.min(), image.max()) == (0, 255)
        assert np.abs(image.astype(int) - images[-1]).max() <= 1


@pytest.mark.parametrize("keep", [0, 20])
def test_an_empty_or_beheaded_file_is_refused(keep: int, folder: Folder) -> None:
    root = folder.write()
    (root / "0/a.png").write_bytes((root / "0/a.png").read_bytes()[:keep])
    with pytest.raises(ManifestError, match=r"0/a\.png"):
        read(root, PadchestConfig(split=TEST))
    code = RefusalCode.EMPTY_FILE if keep == 0 else RefusalCode.CORRUPT
    assert [(one.path, one.code) for one in read(root, EXCLUDE).refused][-1] == ("0/a.png", code)


def test_a_file_cut_short_behind_its_header_is_refused_at_the_latest_when_it_is_decoded(folder: Folder) -> None:
    root = folder.write()
    data = (root / "0/a.png").read_bytes()
    (root / "0/a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageRefusedError) as refused:
        load(root / "0/a.png")
    assert refused.value.code is RefusalCode.CORRUPT


@pytest.mark.parametrize("name", COLUMNS)
def test_a_missing_column_is_named(name: str, folder: Folder) -> None:
    folder.header = folder.header.replace(f",{name},", ",other,")
    config = PadchestConfig(
        images=ImagesConfig(labels_only=True), split=TEST, pediatric="exclude", manual_labels_only=True
    )
    with pytest.raises(ManifestError, match=rf"has no column '{name}'"):
        read(folder.write(), config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": "['pneumonia', 'hemothorax']"}, r"line 2: label 'hemothorax'"),
        ({"image": "b.png"}, r"repeat an image, such as b\.png \(first: line 3\)"),
        ({"image": ""}, r"have no ImageID \(first: line 2\)"),
        ({"patient": "nan"}, r"have no PatientID \(first: line 2\)"),
        ({"projection": "OBLICUA"}, r"have an unknown Projection \(first: line 2\)"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(changes: dict[str, str], message: str, folder: Folder) -> None:
    folder.rows[0] = replace(folder.rows[0], **changes)
    folder.place = lambda row: f"{row.folder}/{row.image or 'x.png'}"
    with pytest.raises(ManifestError, match=message):
        read(folder.write(), LABELS_ONLY)


def test_an_unknown_label_is_refused_even_in_a_row_that_was_not_asked_for(folder: Folder) -> None:
    folder.rows[5] = replace(folder.rows[5], labels="['nodul']")
    with pytest.raises(ManifestError, match=r"line 7: label 'nodul'"):
        read(folder.write(), LABELS_ONLY)


@pytest.mark.parametrize(
    ("encoding", "newline"), [("utf-8-sig", "\n"), ("latin-1", "\n"), ("utf-8", "\r\n"), ("utf-8-sig", "\r\n")]
)
def test_encodings_and_line_ends_do_not_matter(encoding: str, newline: str, folder: Folder) -> None:
    expected = read(folder.write(), LABELS_ONLY).table
    folder.encoding, folder.newline = encoding, newline
    assert read(folder.write(), LABELS_ONLY).table.equals(expected)


def test_the_table_may_be_packed_and_paths_may_have_spaces_and_other_letters(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "radiografías de tórax 胸", table=TABLE + ".gz")
    folder.rows[0] = replace(folder.rows[0], image="niño á.png")
    assert list(_rows(read(folder.write(), PadchestConfig(split=TEST)))) == ["niño á.png", "b.png", "c.png", "g.png"]


def test_labels_only_reads_sizes_from_the_table_and_no_image(folder: Folder) -> None:
    root = folder.write()
    for row in folder.rows:
        (root / folder.place(row)).unlink()
    manifest = read(root, LABELS_ONLY)
    assert manifest.header.is_labels_only
    assert set(zip(manifest.table["height"], manifest.table["width"], strict=True)) == {(HEIGHT, WIDTH)}
    assert manifest.table["path"].tolist() == ["0/a.png", "1/b.png", "54/c.png", "0/g.png"]


def test_true_labels_are_read_from_simulated_data_only(folder: Folder) -> None:
    root = folder.write()
    clean = PadchestConfig(split=TEST, clean=True)
    with pytest.raises(ConfigError, match="is not simulated"):
        read(root, clean)
    (root / "SIMULATED.txt").write_text("simulated\n")
    folder.rows[0] = replace(folder.rows[0], labels="['nodule']")
    folder.table = TABLE.replace(".csv", "_clean.csv")
    folder.write()
    assert _rows(read(root, clean))["a.png"]["label.Nodule"] == "present"
    assert "Nodule" not in read(root, PadchestConfig(split=TEST)).findings


def test_nothing_left_is_an_error_of_its_own(folder: Folder) -> None:
    root = folder.write()
    with pytest.raises(EmptyCohortError):
        read(root, PadchestConfig(projections=("COSTAL",)))
    folder.rows = []
    with pytest.raises(EmptyCohortError, match="holds no image"):
        read(folder.write(), PadchestConfig())
    with pytest.raises(ManifestError, match="there is no such folder"):
        read(root / "nowhere", PadchestConfig())
    with pytest.raises(ConfigError, match="no official split"):
        read(Folder(root).write(), PadchestConfig(split=SplitConfig()))


def test_settings_outside_their_range_are_refused() -> None:
    wrongs: list[dict[str, object]] = [
        {"projections": []},
        {"min_positives": -1},
        {"incomplete": "absent"},
        {"min_age_years": 300},
    ]
    for wrong in wrongs:
        with pytest.raises(ValidationError):
            PadchestConfig.model_validate(wrong)


def test_a_manifest_survives_the_disk(folder: Folder, tmp_path: Path) -> None:
    manifest = read(folder.write(), PadchestConfig(split=TEST))
    path = tmp_path / "m.parquet"
    write_manifest(manifest, path)
    assert read_manifest(path).table.equals(manifest.table)
