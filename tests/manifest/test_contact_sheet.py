"""The sample images: of every split, of different patients, and honest where they are missing."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketcxr.manifest.contact_sheet import contact_sheet
from pocketcxr.manifest.schema import Manifest

MakeManifest = Callable[..., Manifest]


@pytest.fixture
def folder(make_manifest: MakeManifest, tmp_path: Path) -> Manifest:
    """Twelve patients in three splits; every second one has an edema."""
    manifest = make_manifest(
        {"Edema": ["present", "absent"] * 6, "Mass": ["uncertain"] + ["not-labelled"] * 11},
        splits=["train"] * 8 + ["validation"] * 2 + ["test"] * 2,
    )
    (tmp_path / "images").mkdir()
    ramp = np.add.outer(np.arange(40), np.arange(30)).astype(np.uint8)
    for path in manifest.table["path"]:
        Image.fromarray(ramp).save(tmp_path / path)
    return replace(manifest, header=manifest.header.model_copy(update={"root": str(tmp_path)}))


def test_each_split_shows_as_many_images_half_of_them_with_a_finding(folder: Manifest) -> None:
    sheet = contact_sheet(folder, np.random.default_rng(0), num_images=6)
    assert [image.split for image in sheet.images] == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2
    assert sheet.note == ""
    for first in (0, 2, 4):
        assert sum("Edema" in image.caption for image in sheet.images[first : first + 2]) == 1
    for image in sheet.images:
        assert Image.open(io.BytesIO(image.jpeg)).size == (192, 192)


def test_the_images_are_of_different_patients_while_there_are_any(folder: Manifest) -> None:
    table = folder.table.assign(patient_id=["a"] * 6 + ["b", "c"] + ["d", "e", "f", "g"])
    table["label.Mass"] = ["absent"] * 6 + ["present"] * 2 + ["absent"] * 4
    for seed in range(4):
        sheet = contact_sheet(replace(folder, table=table), np.random.default_rng(seed), num_images=9)
        assert sum("Mass" in image.caption for image in sheet.images if image.split == "train") == 2


def test_a_seed_gives_the_same_sheet_and_other_seeds_other_ones(folder: Manifest) -> None:
    first, again = (contact_sheet(folder, np.random.default_rng(0), 3) for _ in range(2))
    assert first == again
    captions = {
        tuple(one.caption for one in contact_sheet(folder, np.random.default_rng(s), 3).images) for s in range(8)
    }
    assert len(captions) > 1


def test_captions_tell_present_uncertain_absent_and_unknown(make_manifest: MakeManifest, folder: Manifest) -> None:
    states = {
        "Pleural_Thickening": ["present", "uncertain", "absent", "unmentioned"],
        "Mass": ["present", "present", "unmentioned", "not-labelled"],
    }
    manifest = replace(make_manifest(states), header=folder.header.model_copy(update={"findings": tuple(states)}))
    captions = {image.caption for image in contact_sheet(manifest, np.random.default_rng(0)).images}
    assert captions == {
        "Pleural Thickening, Mass",
        "Mass, Pleural Thickening (uncertain)",
        "no finding present",
        "no label known",
    }


def test_unreadable_files_are_passed_over_and_counted(folder: Manifest) -> None:
    for path in folder.table["path"][:7]:
        folder.file_of(path).write_bytes(b"")
    sheet = contact_sheet(folder, np.random.default_rng(0), num_images=12)
    assert [image.split for image in sheet.images].count("train") == 1
    assert sheet.note == "7 of 12 image files tried could not be read (first: empty-file)."


def test_without_any_image_the_sheet_is_empty_and_says_why(make_manifest: MakeManifest) -> None:
    sheet = contact_sheet(make_manifest({"Edema": ["present"] * 3}), np.random.default_rng(0))
    assert sheet.images == ()
    assert sheet.note == "No sample images: 3 of 3 image files tried could not be read (first: not-found)."


def test_where_only_labels_were_asked_for_no_file_is_opened(folder: Manifest) -> None:
    header = folder.header.model_copy(update={"is_labels_only": True})
    sheet = contact_sheet(replace(folder, header=header), np.random.default_rng(0))
    assert (sheet.images, sheet.note) == ((), "No sample images: only the labels were read.")
