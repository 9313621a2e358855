"""A bundle whose files are not the packed ones is refused, however it is changed."""

import hashlib
import json
import random
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pocketcxr.domain.errors import BundleError
from pocketcxr.export.pack import pack
from pocketcxr.export.writing import zip_bytes
from pocketcxr.runtime.bundle import Bundle, open_bundle, seal_bytes
from pocketcxr.runtime.card import SCHEMA_VERSION


def write_folder(files: Mapping[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def write_zip(files: Mapping[str, bytes], path: Path) -> Path:
    path.write_bytes(zip_bytes(files))
    return path


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def resealed(bundle: Bundle, changes: Mapping[str, Any]) -> dict[str, bytes]:
    """The bundle's files with a changed card that is sealed again, as someone with an editor and sha256sum would."""
    card = json.dumps({**json.loads(bundle.files["card.json"]), **changes}).encode()
    return {**bundle.files, "card.json": card, "card.sha256": seal_bytes(hashlib.sha256(card).hexdigest())}


def test_an_untouched_bundle_opens_as_folder_and_as_zip(bundle: Bundle, tmp_path: Path) -> None:
    folder = open_bundle(write_folder(bundle.files, tmp_path / "bundle"))
    packed = open_bundle(write_zip(bundle.files, tmp_path / "bundle.zip"))
    assert folder.card == packed.card == bundle.card
    assert folder.digest == packed.digest == bundle.digest


def test_one_changed_byte_in_any_file_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    folder = write_folder(bundle.files, tmp_path / "bundle")
    rng = random.Random(0)
    for name, data in bundle.files.items():
        for place in (0, len(data) - 1, rng.randrange(len(data))):
            changed = flipped(data, place)
            (folder / name).write_bytes(changed)
            with pytest.raises(BundleError):
                open_bundle(folder)
            with pytest.raises(BundleError):
                open_bundle(write_zip({**bundle.files, name: changed}, tmp_path / "bundle.zip"))
        (folder / name).write_bytes(data)
    open_bundle(folder)


def test_a_byte_changed_in_the_zip_itself_is_refused_or_changes_no_file(bundle: Bundle, tmp_path: Path) -> None:
    whole = zip_bytes(bundle.files)
    rng = random.Random(1)
    directory = whole.rindex(b"PK\x01\x02", 0, whole.index(b"PK\x05\x06"))
    places = [rng.randrange(len(whole)) for _ in range(60)] + [rng.randrange(directory, len(whole)) for _ in range(60)]
    refused = 0
    for place in places:
        path = tmp_path / "bundle.zip"
        path.write_bytes(flipped(whole, place))
        try:
            opened = open_bundle(path)
        except BundleError:
            refused += 1
        else:
            assert opened.files == bundle.files
    assert refused >= 60


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.9999])
def test_a_truncated_zip_is_refused(share: float, bundle: Bundle, tmp_path: Path) -> None:
    whole = zip_bytes(bundle.files)
    path = tmp_path / "bundle.zip"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BundleError, match="intact zip"):
        open_bundle(path)


@pytest.mark.parametrize("name", ["model.onnx", "preprocess.onnx", "golden/tall.image.npy", "card.sha256", "card.json"])
def test_a_missing_file_is_refused_by_name(name: str, bundle: Bundle, tmp_path: Path) -> None:
    files = {other: data for other, data in bundle.files.items() if other != name}
    with pytest.raises(BundleError, match=name):
        open_bundle(write_zip(files, tmp_path / "bundle.zip"))
    with pytest.raises(BundleError, match=name):
        open_bundle(write_folder(files, tmp_path / "bundle"))


def test_an_additional_file_is_refused_by_name(bundle: Bundle, tmp_path: Path) -> None:
    folder = write_folder({**bundle.files, "golden/extra.txt": b""}, tmp_path / "bundle")
    with pytest.raises(BundleError, match=r"golden/extra\.txt"):
        open_bundle(folder)


def test_a_newer_schema_says_so(bundle: Bundle, tmp_path: Path) -> None:
    files = resealed(bundle, {"schema_version": SCHEMA_VERSION + 1, "something_new": 1})
    with pytest.raises(BundleError, match="upgrade"):
        open_bundle(write_zip(files, tmp_path / "bundle.zip"))


@pytest.mark.parametrize(
    "changes",
    [
        {"findings": []},
        {"findings": ["Mass", "Mass", "Nodule"]},
        {"unlearnt": ["Cat"]},
        {"something_new": 1},
        {"sha256": {}},
        {"schema_version": "one"},
    ],
    ids=str,
)
def test_a_card_that_makes_no_sense_is_refused(changes: dict[str, Any], bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"card\.json is not a bundle's card"):
        open_bundle(write_zip(resealed(bundle, changes), tmp_path / "bundle.zip"))


def test_what_is_no_bundle_is_refused_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    with zipfile.ZipFile(tmp_path / "letters.zip", "w") as archive:
        archive.writestr("dear.txt", "hello")
    for name in ("empty", "photo.png", "letters.zip", "absent.zip"):
        with pytest.raises(BundleError, match=r"pocketcxr export|copy it again"):
            open_bundle(tmp_path / name)


@pytest.mark.parametrize("name", ["../evil.onnx", "/evil.onnx", "golden/../../evil", "C:/evil", "..\\evil"])
def test_a_zip_that_points_outside_is_refused(name: str, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="outside the bundle"):
        open_bundle(write_zip({**bundle.files, name: b""}, tmp_path / "bundle.zip"))
    assert not list(tmp_path.parent.glob("evil*"))


def test_a_zip_with_the_same_name_twice_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    path = write_zip(bundle.files, tmp_path / "bundle.zip")
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model.onnx", bundle.files["model.onnx"])
    with pytest.raises(BundleError, match="two files of the same name"):
        open_bundle(path)


def test_a_zip_bomb_is_refused_before_it_is_read(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(1001):
            archive.writestr(f"{index}", b"")
    with pytest.raises(BundleError, match="at most"):
        open_bundle(path)


def test_a_link_in_a_folder_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    folder = write_folder(bundle.files, tmp_path / "bundle")
    shutil.move(folder / "model.onnx", tmp_path / "elsewhere.onnx")
    (folder / "model.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(BundleError, match="is a link"):
        open_bundle(folder)


def test_what_pack_writes_opens(packable: Any, tmp_path: Path) -> None:
    card = open_bundle(pack(packable.facts, packable.files, tmp_path / "b")).card
    assert card.model_dump(exclude={"sha256"}) == packable.facts.model_dump()
    assert set(card.sha256) - set(packable.files) == {"MODEL_CARD.md", "model_card.html", "sbom.cdx.json"}
    assert set(packable.files) <= set(card.sha256)
    assert card.calibration is None
    assert card.builds.int8 is None
    assert "Not a medical device" in card.intended_use
