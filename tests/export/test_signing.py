"""Keys are made once and kept to their owner; signing adds one file and nothing else."""

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from pocketcxr.domain.errors import BundleError, UsageError
from pocketcxr.export.build import BuiltFiles
from pocketcxr.export.pack import pack
from pocketcxr.export.signing import new_key, public_key_path, sign_bundle
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.card import SIGNATURE, CardFacts
from pocketcxr.runtime.signature import fingerprint, read_public_key


def test_a_new_key_is_its_owners_alone_and_never_replaced(tmp_path: Path) -> None:
    private = tmp_path / "maker.pem"
    public = new_key(private)
    assert public == public_key_path(private) == tmp_path / "maker.pub.pem"
    if os.name == "posix":
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes(), public.read_bytes()
    with pytest.raises(UsageError, match="never replaced"):
        new_key(private)
    assert (private.read_bytes(), public.read_bytes()) == before


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_signing_adds_the_signature_and_changes_nothing_else(
    name: str, facts: CardFacts, built: BuiltFiles, tmp_path: Path
) -> None:
    path, key = pack(facts, built.files, tmp_path / name), tmp_path / "maker.pem"
    before = open_bundle(path).files
    public = new_key(key)
    assert sign_bundle(path, key) == fingerprint(read_public_key(public))
    once = open_bundle(path, public).files
    assert {**before, SIGNATURE: once[SIGNATURE]} == once
    sign_bundle(path, key)
    assert open_bundle(path, public).files == once
    other = tmp_path / "other.pem"
    new_key(other)
    sign_bundle(path, other)
    with pytest.raises(BundleError, match="is not by"):
        open_bundle(path, public)


def test_keys_that_cannot_sign_say_why(facts: CardFacts, built: BuiltFiles, tmp_path: Path) -> None:
    path = pack(facts, built.files, tmp_path / "bundle.zip")
    locked, text = tmp_path / "locked.pem", tmp_path / "text.pem"
    locked.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    )
    text.write_text("no key")
    public = new_key(tmp_path / "maker.pem")
    wrong = (
        (locked, "is encrypted"),
        (text, "no private key"),
        (public, "no private key"),
        (tmp_path / "none", "cannot be read"),
    )
    for key, message in wrong:
        with pytest.raises(UsageError, match=message):
            sign_bundle(path, key)
