"""What crosses splits is refused by name; what only counts a person twice is told."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from pocketcxr.domain.errors import ManifestError
from pocketcxr.manifest.leaks import LeakReport, check_leaks, refuse_leaks, sentences
from pocketcxr.manifest.schema import Manifest

MakeManifest = Callable[..., Manifest]
SIDE = 128
SPLITS = ("train", "train", "validation", "test")


def draw(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    field = np.asarray(sum(gaussian_filter(rng.standard_normal((SIDE, SIDE)), scale) * scale for scale in (2, 6, 16)))
    image = (field - field.min()) / (field.max() - field.min()) * 255
    Image.fromarray(image.astype(np.uint8)).save(path)


@pytest.fixture
def folder(make_manifest: MakeManifest, tmp_path: Path) -> Manifest:
    """Four patients with an image each, two of them in training."""
    manifest = make_manifest({"Edema": ["present", "absent", "present", "absent"]}, splits=SPLITS)
    (tmp_path / "images").mkdir()
    for row, path in enumerate(manifest.table["path"]):
        draw(tmp_path / path, row)
    return replace(manifest, header=manifest.header.model_copy(update={"root": str(tmp_path)}))


def copy(manifest: Manifest, source: int, target: int) -> None:
    files = [manifest.file_of(path) for path in manifest.table["path"]]
    files[target].write_bytes(files[source].read_bytes())


def test_a_manifest_without_a_leak_passes(folder: Manifest) -> None:
    report = check_leaks(folder, images=True)
    assert report.is_clean
    assert (report.num_images, report.num_compared, report.pairs, report.refused) == (4, 4, (), ())
    refuse_leaks(report, "M")
    assert sentences(report) == ("4 images were compared by content; no copy lies in another split.",)


def test_a_copied_file_under_another_patient_in_another_split_is_refused_and_both_are_named(folder: Manifest) -> None:
    copy(folder, 1, 3)
    report = check_leaks(folder, images=True)
    assert [pair.kind for pair in report.pairs] == ["same-file"]
    assert not report.is_clean
    with pytest.raises(ManifestError) as refusal:
        refuse_leaks(report, "M")
    message = str(refusal.value)
    assert message.startswith("M: 1 pairs")
    for told in ("images/1.png (patient p1, train)", "images/3.png (patient p3, test)", "the same file", "remove one"):
        assert told in message


def test_a_jpeg_copy_is_found(folder: Manifest) -> None:
    first, last = (folder.file_of(folder.table["path"].iloc[row]) for row in (0, 3))
    Image.open(first).save(last.with_suffix(".jpg"), quality=60)
    last.write_bytes(last.with_suffix(".jpg").read_bytes())
    report = check_leaks(folder, images=True)
    (pair,) = report.crossing
    assert (pair.kind, pair.first.patient_id, pair.second.patient_id) == ("near-duplicate", "p0", "p3")
    assert "of 256 bits differ" in str(pair)


def test_a_mirrored_image_is_no_copy(folder: Manifest) -> None:
    first, last = (folder.file_of(folder.table["path"].iloc[row]) for row in (0, 3))
    Image.open(first).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(last)
    assert check_leaks(folder, images=True).pairs == ()


def test_two_patients_of_one_split_are_told_and_not_refused(folder: Manifest) -> None:
    copy(folder, 0, 1)
    report = check_leaks(folder, images=True)
    refuse_leaks(report, "M")
    assert (len(report.within), report.crossing) == (1, ())
    assert "under two patients" in sentences(report)[1]


def test_copies_of_one_patient_in_one_split_are_ordinary(folder: Manifest) -> None:
    copy(folder, 0, 1)
    table = folder.table.assign(patient_id=["p0", "p0", "p2", "p3"])
    assert check_leaks(replace(folder, table=table), images=True).pairs == ()


@pytest.mark.parametrize(("column", "kind"), [("patient_id", "patients"), ("study_id", "studies")])
def test_a_patient_or_study_in_two_splits_is_refused_from_the_table_alone(
    make_manifest: MakeManifest, column: str, kind: str
) -> None:
    manifest = make_manifest({"Edema": ["present"] * 4}, splits=SPLITS)
    manifest.table[column] = ["x", "y", "z", "x"]
    report = check_leaks(manifest, images=False)
    assert report.num_compared == 0
    with pytest.raises(ManifestError, match=rf"M: 1 {kind} are in two splits \(first: 'x'\)"):
        refuse_leaks(report, "M")
    assert sentences(report) == (f"1 {kind} are in two splits (first: x).",)


def test_unreadable_files_are_listed_and_the_rest_is_compared(folder: Manifest) -> None:
    copy(folder, 1, 3)
    folder.file_of(folder.table["path"].iloc[0]).write_bytes(b"")
    report = check_leaks(folder, images=True)
    assert (report.num_compared, len(report.crossing), len(report.refused)) == (3, 1, 1)
    assert "1 files could not be compared (first: empty-file" in sentences(report)[-1]


def test_the_report_survives_json(folder: Manifest) -> None:
    copy(folder, 1, 3)
    folder.file_of(folder.table["path"].iloc[0]).unlink()
    report = check_leaks(folder, images=True)
    assert LeakReport.model_validate_json(report.model_dump_json()) == report


def test_the_message_names_three_pairs_and_counts_the_rest(make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest = make_manifest({"Edema": ["present"] * 6}, splits=["train"] + ["test"] * 5)
    (tmp_path / "images").mkdir()
    for path in manifest.table["path"]:
        draw(tmp_path / path, 0)
    manifest = replace(manifest, header=manifest.header.model_copy(update={"root": str(tmp_path)}))
    with pytest.raises(ManifestError, match=r"M: 5 pairs.*and 2 more") as refusal:
        refuse_leaks(check_leaks(manifest, images=True), "M")
    assert str(refusal.value).count("the same file") == 3
