"""Bundles are written whole, deterministically, and never over something else."""

import hashlib
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from pocketcxr.domain.errors import BundleError, UsageError
from pocketcxr.export.build import BuiltFiles, NetToExport
from pocketcxr.export.golden import golden_files
from pocketcxr.export.pack import pack
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.card import CardFacts
from pocketcxr.runtime.golden import golden_cases, verify_golden
from pocketcxr.runtime.session import open_engine


def test_equal_contents_give_equal_zips(facts: CardFacts, built: BuiltFiles, tmp_path: Path) -> None:
    first = pack(facts, built.files, tmp_path / "one.zip")
    backwards = dict(reversed(built.files.items()))
    second = pack(facts, backwards, tmp_path / "new" / "two.zip")
    assert first.read_bytes() == second.read_bytes()


def test_a_folder_and_a_zip_hold_the_same_bundle(facts: CardFacts, built: BuiltFiles, tmp_path: Path) -> None:
    folder = open_bundle(pack(facts, built.files, tmp_path / "bundle"))
    packed = open_bundle(pack(facts, built.files, tmp_path / "bundle.zip"))
    assert folder.files == packed.files
    assert folder.digest == packed.digest
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(tmp_path / "bundle.zip").extractall(unpacked)
    assert open_bundle(unpacked).digest == packed.digest


def test_the_seal_is_what_sha256sum_checks(facts: CardFacts, built: BuiltFiles, tmp_path: Path) -> None:
    folder = pack(facts, built.files, tmp_path / "bundle")
    digest, name = (folder / "card.sha256").read_text().split()
    assert name == "card.json"
    assert digest == hashlib.sha256((folder / "card.json").read_bytes()).hexdigest()
    if os.name == "posix":
        subprocess.run(["sha256sum", "--check", "card.sha256"], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_a_bundle_is_replaced_and_nothing_stays_behind(
    name: str, facts: CardFacts, built: BuiltFiles, tmp_path: Path
) -> None:
    out = tmp_path / name
    pack(facts, built.files, out)
    pack(facts.model_copy(update={"name": "newer"}), built.files, out)
    assert open_bundle(out).card.name == "newer"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_is_not_a_bundle_is_never_replaced(facts: CardFacts, built: BuiltFiles, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.txt").write_text("meow")
    archive = tmp_path / "mine.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("letter.txt", "dear")
    text = tmp_path / "note.zip"
    text.write_text("not a zip")
    for out in (photos, archive, text):
        with pytest.raises(UsageError, match="not replaced"):
            pack(facts, built.files, out)
    assert (photos / "cat.txt").read_text() == "meow"
    assert zipfile.ZipFile(archive).namelist() == ["letter.txt"]


def test_a_disk_that_refuses_leaves_the_old_bundle(
    facts: CardFacts, built: BuiltFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = pack(facts, built.files, tmp_path / "bundle.zip")
    before = out.read_bytes()

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BundleError, match="No space left"):
        pack(facts.model_copy(update={"name": "newer"}), built.files, out)
    monkeypatch.undo()
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.zip"]


def test_golden_vectors_are_always_the_same_and_hold_here(
    facts: CardFacts, source: NetToExport, built: BuiltFiles, tmp_path: Path
) -> None:
    assert golden_files(source.net, source.spec).keys() <= built.files.keys()
    again = golden_files(source.net, source.spec)
    assert all(again[name] == built.files[name] for name in again if not name.endswith(("logits.npy", "heatmaps.npy")))
    bundle = open_bundle(pack(facts, built.files, tmp_path / "bundle"))
    assert len(golden_cases(bundle)) == 5
    assert verify_golden(open_engine(bundle, num_threads=1)) <= 1e-4
