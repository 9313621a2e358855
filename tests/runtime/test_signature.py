"""A bundle that must be signed opens only when the holder of the trusted key signed it as it is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pocketcxr.domain import extras
from pocketcxr.domain.errors import BundleError, MissingExtraError, UsageError
from pocketcxr.export.pack import pack
from pocketcxr.export.signing import new_key, public_key_path, sign_bundle
from pocketcxr.export.writing import zip_bytes
from pocketcxr.runtime.bundle import Bundle, open_bundle, seal_bytes, sha256
from pocketcxr.runtime.card import SIGNATURE, CardFacts


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key with its public half beside it."""
    path = tmp_path_factory.mktemp("keys") / "maker.pem"
    new_key(path)
    return path


@pytest.fixture
def signed(bundle: Bundle, key: Path, tmp_path: Path) -> Path:
    path = tmp_path / "signed.zip"
    shutil.copy(bundle.path, path)
    sign_bundle(path, key)
    return path


def with_changes(bundle: Bundle, path: Path, **files: bytes) -> Path:
    path.write_bytes(zip_bytes({**bundle.files, **files}))
    return path


def test_what_the_trusted_key_signed_opens_and_is_the_same_bundle(signed: Path, bundle: Bundle, key: Path) -> None:
    opened = open_bundle(signed, public_key_path(key))
    assert opened.digest == bundle.digest
    assert set(opened.files) - set(bundle.files) == {SIGNATURE}


def test_without_a_key_nothing_is_required_and_a_signature_does_not_disturb(signed: Path, bundle: Bundle) -> None:
    assert open_bundle(signed).card == bundle.card == open_bundle(Path(bundle.path)).card


def test_an_unsigned_bundle_is_refused_where_a_key_is_trusted(bundle: Bundle, key: Path) -> None:
    with pytest.raises(BundleError, match="is not signed"):
        open_bundle(Path(bundle.path), public_key_path(key))


def test_a_signature_by_another_key_is_refused(signed: Path, tmp_path: Path) -> None:
    other = new_key(tmp_path / "other.pem")
    with pytest.raises(BundleError, match=r"is not by .*other\.pub\.pem"):
        open_bundle(signed, other)


def test_who_changes_the_card_and_seals_it_anew_cannot_keep_the_signature(
    signed: Path, key: Path, tmp_path: Path
) -> None:
    opened = open_bundle(signed)
    card = json.dumps({**json.loads(opened.files["card.json"]), "intended_use": "anything"}).encode()
    forged = with_changes(
        opened, tmp_path / "forged.zip", **{"card.json": card, "card.sha256": seal_bytes(sha256(card))}
    )
    assert open_bundle(forged).card.intended_use == "anything"
    with pytest.raises(BundleError, match="changed after signing"):
        open_bundle(forged, public_key_path(key))


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"\0" * 1000], ids=["empty", "zeros", "long"])
def test_nonsense_is_no_signature(signature: bytes, bundle: Bundle, key: Path, tmp_path: Path) -> None:
    path = with_changes(bundle, tmp_path / "b.zip", **{SIGNATURE: signature})
    with pytest.raises(BundleError, match=r"card\.sig"):
        open_bundle(path, public_key_path(key))


def test_a_changed_file_is_refused_also_where_the_signature_is_good(signed: Path, key: Path, tmp_path: Path) -> None:
    path = with_changes(open_bundle(signed), tmp_path / "b.zip", **{"model.onnx": b"another"})
    with pytest.raises(BundleError, match=r"model\.onnx was changed"):
        open_bundle(path, public_key_path(key))


def test_packing_anew_drops_the_signature(signed: Path, key: Path, tmp_path: Path) -> None:
    opened = open_bundle(signed)
    facts = CardFacts.model_validate(opened.card.model_dump(exclude={"sha256"}))
    again = pack(facts, opened.files, tmp_path / "again.zip")
    assert SIGNATURE not in open_bundle(again).files
    with pytest.raises(BundleError, match="is not signed"):
        open_bundle(again, public_key_path(key))


def test_what_is_no_public_ed25519_key_is_refused(signed: Path, key: Path, tmp_path: Path) -> None:
    rsa = tmp_path / "rsa.pem"
    public = generate_private_key(65537, 1024).public_key()
    rsa.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for path, message in ((rsa, "not an Ed25519 key"), (key, "no public key"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(UsageError, match=message):
            open_bundle(signed, path)


def test_openssl_verifies_the_same(signed: Path, key: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    files = open_bundle(signed).files
    for name in ("card.sha256", SIGNATURE):
        (tmp_path / name).write_bytes(files[name])
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(public_key_path(key))]
    command += ["-in", str(tmp_path / "card.sha256"), "-sigfile", str(tmp_path / SIGNATURE)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    (tmp_path / "card.sha256").write_bytes(seal_bytes("0" * 64))
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_the_missing_package_is_named(signed: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(extras, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"pocketcxr\[sign\]"):
        open_bundle(signed, public_key_path(key))


def test_nothing_of_cryptography_is_loaded_without_a_key(bundle: Bundle) -> None:
    script = (
        "import sys; from pathlib import Path; from pocketcxr.runtime.bundle import open_bundle\n"
        f"open_bundle(Path({bundle.path!r})); print('cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
