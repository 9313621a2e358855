"""The reader of ChestMNIST: MedMNIST's files as they are, and what is wrong with others."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from pocketcxr.domain.errors import ConfigError, EmptyCohortError, ManifestError, MissingExtraError, RefusalCode
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.npz_images import STAMP
from pocketcxr.manifest.schema import read_manifest, write_manifest
from pocketcxr.manifest.sources import chestmnist
from pocketcxr.manifest.sources.chestmnist import MAPPINGS, ChestmnistConfig, read
from pocketcxr.manifest.splits import SplitConfig

OPTIONS = ChestmnistConfig(check_md5=False)
COUNTS = {"train": 5, "val": 2, "test": 3}


def _arrays(side: int) -> dict[str, NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    arrays = {f"{part}_images": rng.integers(0, 256, (num, side, side), np.uint8) for part, num in COUNTS.items()}
    return arrays | {f"{part}_labels": rng.integers(0, 2, (num, 14), np.uint8) for part, num in COUNTS.items()}


@dataclass
class Archive:
    """A small file in MedMNIST's format, to be broken in one way and written."""

    folder: Path
    side: int = 28
    arrays: dict[str, NDArray[np.generic]] = field(default_factory=lambda: dict(_arrays(28)))

    @property
    def path(self) -> Path:
        return self.folder / ("chestmnist.npz" if self.side == 28 else f"chestmnist_{self.side}.npz")

    def write(self) -> Path:
        np.savez_compressed(self.path, **self.arrays)
        return self.path


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def _texts(states: NDArray[np.generic]) -> list[list[str]]:
    return np.where(states == 1, "present", "absent").tolist()


def test_every_image_becomes_a_file_of_its_own_pixels_with_its_own_labels(archive: Archive) -> None:
    manifest = read(archive.write().parent, OPTIONS)
    assert manifest.findings == CHESTXRAY14
    table = manifest.table
    assert table["split"].tolist() == ["train"] * 5 + ["validation"] * 2 + ["test"] * 3
    assert (table[["height", "width"]] == 28).all(axis=None)
    for part, split in (("train", "train"), ("val", "validation"), ("test", "test")):
        rows = table[table["split"] == split]
        for image, path in zip(archive.arrays[f"{part}_images"], rows["path"], strict=True):
            with Image.open(manifest.file_of(path)) as picture:
                assert (np.asarray(picture) == image).all()
        labels = rows[[f"label.{finding}" for finding in CHESTXRAY14]]
        assert labels.to_numpy().tolist() == _texts(archive.arrays[f"{part}_labels"])


def test_nobody_is_named_and_the_manifest_says_so(archive: Archive) -> None:
    manifest = read(archive.write(), OPTIONS)
    assert manifest.table["patient_id"].tolist() == manifest.table["image_id"].tolist()
    assert manifest.table["age_years"].isna().all()
    assert set(manifest.table["sex"]) == set(manifest.table["view_position"]) == {"UNKNOWN"}
    assert any("names no patients" in note for note in manifest.header.notes)
    with pytest.raises(ConfigError, match="no patients to split by"):
        read(archive.path, ChestmnistConfig(split=SplitConfig(method="patients")))


def test_labels_stand_in_medmnists_order_which_is_chestxray14s() -> None:
    info = pytest.importorskip("medmnist.info").INFO["chestmnist"]
    assert [mapping.label for mapping in MAPPINGS] == list(info["label"].values())
    assert [mapping.finding for mapping in MAPPINGS] == list(CHESTXRAY14)
    published = {28: info["MD5"]} | {side: info[f"MD5_{side}"] for side in (64, 128, 224)}
    assert published == chestmnist.OFFICIAL_MD5


def test_images_are_unpacked_once(archive: Archive) -> None:
    first = read(archive.write(), OPTIONS)
    image = archive.folder / "chestmnist/train/000000.png"
    before = image.stat().st_mtime_ns
    reports: list[str] = []
    second = read(archive.path, OPTIONS, lambda stage, done, total, figures={}: reports.append(stage))
    assert image.stat().st_mtime_ns == before
    assert "unpacking images" not in reports
    assert first.table.equals(second.table)


def test_a_stopped_run_goes_on_where_it_was(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pocketcxr.manifest.npz_images._BLOCK", 2)
    archive.write()
    written: list[str] = []
    save = Image.Image.save

    def full_disk(picture: Image.Image, path: Path, **settings: object) -> None:
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(str(path))
        save(picture, path, **settings)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", full_disk)
        with pytest.raises(ManifestError, match=r"No space left on device.*goes on where it stopped"):
            read(archive.path, OPTIONS)
    stamp = json.loads((archive.folder / "chestmnist" / STAMP).read_text())
    assert stamp["num_done"] == {"train_images": 2}
    kept = archive.folder / "chestmnist/train/000001.png"
    before = kept.stat().st_mtime_ns
    manifest = read(archive.path, OPTIONS)
    assert kept.stat().st_mtime_ns == before
    for path, image in zip(manifest.table["path"], np.concatenate(list(archive.arrays.values())[:3]), strict=True):
        with Image.open(manifest.file_of(path)) as picture:
            assert (np.asarray(picture) == image).all()


def test_another_folder_and_letters_of_other_alphabets(archive: Archive, tmp_path: Path) -> None:
    archive.folder = tmp_path / "R\u00f6ntgen \u80f8\u90e8 images"
    archive.folder.mkdir()
    folder = tmp_path / "un packed \u00fc"
    manifest = read(archive.write(), ChestmnistConfig(check_md5=False, unpack_to=folder))
    write_manifest(manifest, tmp_path / "m.parquet")
    again = read_manifest(tmp_path / "m.parquet")
    assert again.header.root == str(folder)
    assert all(again.file_of(path).is_file() for path in again.table["path"])


def test_somebody_elses_folder_and_another_archives_are_left_alone(archive: Archive) -> None:
    folder = archive.folder / "chestmnist"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(ManifestError, match=r"not unpacked from chestmnist\.npz"):
        read(archive.write(), OPTIONS)
    (folder / "thesis.txt").unlink()
    read(archive.path, OPTIONS)
    archive.arrays["train_images"] = archive.arrays["train_images"][::-1]
    with pytest.raises(ManifestError, match="holds the images of an archive with MD5"):
        read(archive.write(), OPTIONS)


def test_labels_only_unpacks_nothing(archive: Archive) -> None:
    manifest = read(archive.write(), ChestmnistConfig(images=ImagesConfig(labels_only=True)))
    assert manifest.num_images == 10
    assert (manifest.table["height"] == 28).all()
    assert not (archive.folder / "chestmnist").exists()


def test_a_file_that_is_not_the_published_one_is_refused_unless_simulated(archive: Archive) -> None:
    archive.write()
    with pytest.raises(ManifestError, match=r"has MD5 .* published file 02c8a6516a18b556561a56cbdd36c4a8"):
        read(archive.path, ChestmnistConfig())
    (archive.folder / "SIMULATED.txt").write_text("SIMULATED")
    manifest = read(archive.path, ChestmnistConfig())
    assert manifest.header.is_simulated
    assert (archive.folder / "chestmnist/SIMULATED.txt").is_file()


def test_true_labels_are_read_of_simulated_data_only(archive: Archive) -> None:
    clean = {name: 1 - labels for name, labels in archive.arrays.items() if name.endswith("labels")}
    np.savez(archive.folder / "chestmnist_clean.npz", **clean)
    with pytest.raises(ConfigError, match="not simulated"):
        read(archive.write(), ChestmnistConfig(clean=True))
    (archive.folder / "SIMULATED.txt").write_text("SIMULATED")
    images = ImagesConfig(labels_only=True)
    manifest = read(archive.folder, ChestmnistConfig(clean=True, images=images))
    assert manifest.header.is_simulated
    labels = manifest.table[[f"label.{finding}" for finding in CHESTXRAY14]]
    assert labels.to_numpy().tolist() == _texts(np.concatenate(list(clean.values())))


def test_the_only_file_is_meant_and_of_several_the_one_of_the_size(archive: Archive) -> None:
    archive.write()
    other = Archive(archive.folder, 64, dict(_arrays(64)))
    other.write()
    with pytest.raises(ManifestError, match=r"holds chestmnist\.npz, chestmnist_64\.npz - say which size"):
        read(archive.folder, OPTIONS)
    manifest = read(archive.folder, ChestmnistConfig(size=64, check_md5=False))
    assert (manifest.table["height"] == 64).all()
    archive.path.unlink()
    assert (read(archive.folder, OPTIONS).table["height"] == 64).all()
    with pytest.raises(ManifestError, match=r"chestmnist_128\.npz: there is no such file"):
        read(archive.folder, ChestmnistConfig(size=128))
    with pytest.raises(ManifestError, match="squares of one side, 28"):
        read(other.path, ChestmnistConfig(size=28, check_md5=False))
    with pytest.raises(ValidationError, match="size"):
        ChestmnistConfig.model_validate({"size": 32})


def test_a_folder_without_a_file_is_an_error_that_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"holds no chestmnist\.npz .*zenodo"):
        read(tmp_path, OPTIONS)
    with pytest.raises(ManifestError, match="no such file or folder"):
        read(tmp_path / "nowhere", OPTIONS)


def _spoil_shape(archive: Archive) -> None:
    archive.arrays["val_images"] = np.zeros((2, 28, 28, 3), np.uint8)


def _spoil_type(archive: Archive) -> None:
    archive.arrays["val_images"] = np.zeros((2, 28, 28), np.float32)


def _spoil_side(archive: Archive) -> None:
    archive.arrays["val_images"] = np.zeros((2, 30, 30), np.uint8)


def _spoil_labels(archive: Archive) -> None:
    archive.arrays["test_labels"] = archive.arrays["test_labels"][:2]


def _spoil_label_type(archive: Archive) -> None:
    archive.arrays["test_labels"] = archive.arrays["test_labels"].astype(np.float64)


def _spoil_values(archive: Archive) -> None:
    archive.arrays["test_labels"] = archive.arrays["test_labels"] + np.uint8(1)


def _spoil_names(archive: Archive) -> None:
    archive.arrays["validation_images"] = archive.arrays.pop("val_images")


def _drop_labels(archive: Archive) -> None:
    del archive.arrays["train_labels"]


def _pickle(archive: Archive) -> None:
    archive.arrays["train_labels"] = np.array([["no", None]], dtype=object)


def _pickle_images(archive: Archive) -> None:
    archive.arrays["train_images"] = np.array([["no", None]], dtype=object)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_spoil_shape, r"'val_images' is uint8\[2, 28, 28, 3\]"),
        (_spoil_type, r"'val_images' is float32"),
        (_spoil_side, r"its images are train 28 x 28, val 30 x 30"),
        (_spoil_labels, r"'test_labels' is uint8\[2, 14\]; whole numbers \[3, 14\]"),
        (_spoil_label_type, r"'test_labels' is float64"),
        (_spoil_values, r"other values than 0 and 1 in 3 rows \(first: row 0\)"),
        (_spoil_names, r"has no array 'val_images'; it has .*validation_images"),
        (_drop_labels, r"has no array 'train_labels'"),
        (_pickle, r"'train_labels' cannot be read .*allow_pickle"),
        (_pickle_images, r"'train_images' is object"),
    ],
)
def test_another_content_is_refused(spoil: object, message: str, archive: Archive) -> None:
    assert callable(spoil)
    spoil(archive)
    with pytest.raises(ManifestError, match=message):
        read(archive.write(), OPTIONS)


def test_no_image_at_all_is_an_empty_cohort(archive: Archive) -> None:
    archive.arrays = {name: array[:0] for name, array in archive.arrays.items()}
    with pytest.raises(EmptyCohortError, match="holds no image"):
        read(archive.write(), OPTIONS)


@pytest.mark.parametrize("length", [0, 10, 2000])
def test_a_cut_archive_is_refused(length: int, archive: Archive) -> None:
    path = archive.write()
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ManifestError, match=r"no readable \.npz"):
        read(path, OPTIONS)


def test_damage_within_the_images_is_found_while_unpacking(archive: Archive) -> None:
    path = archive.write()
    content = bytearray(path.read_bytes())
    content[400:800] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=r"damaged or cut short|no readable"):
        read(path, OPTIONS)


def test_a_missing_png_is_named(archive: Archive) -> None:
    manifest = read(archive.write(), OPTIONS)
    manifest.file_of("test/000001.png").unlink()
    with pytest.raises(ManifestError, match=r"1 of 10 images cannot be read .*test/000001\.png"):
        read(archive.path, OPTIONS)
    excluded = read(archive.path, ChestmnistConfig(check_md5=False, images=ImagesConfig(broken="exclude")))
    assert excluded.num_images == 9
    assert [refusal.code for refusal in excluded.refused] == [RefusalCode.NOT_FOUND]


def test_medmnist_downloads_what_is_not_there(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def download(split: str, download: bool, root: str, size: int) -> None:
        asked.append((split, download, root, size))
        archive.write()

    monkeypatch.setitem(sys.modules, "medmnist.dataset", SimpleNamespace(ChestMNIST=download))
    options = ChestmnistConfig(size=28, download=True, check_md5=False)
    assert read(archive.folder, options).num_images == 10
    read(archive.folder, options)
    assert asked == [("val", True, str(archive.folder), 28)]


def test_without_a_network_the_address_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("medmnist.dataset")

    def refuse(*address: object, **settings: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    with pytest.raises(ManifestError, match=r"check the network, or download it from https://zenodo"):
        read(tmp_path, ChestmnistConfig(size=64, download=True))
    assert capsys.readouterr().out == ""


def test_without_medmnist_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "medmnist.dataset", None)
    with pytest.raises(MissingExtraError, match=r"pocketcxr\[medmnist\]"):
        read(tmp_path, ChestmnistConfig(size=64, download=True))
