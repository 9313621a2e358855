"""Signs bundles, and makes the keys for it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pocketcxr.domain.errors import UsageError
from pocketcxr.domain.extras import require
from pocketcxr.export.writing import write_bundle
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.card import SEAL, SIGNATURE
from pocketcxr.runtime.signature import EXTRA, fingerprint

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def sign_bundle(path: Path, key: Path) -> str:
    """The fingerprint of the key with which the bundle at `path` now is signed; an older signature is replaced.

    The bundle is verified first. Raises BundleError when it is damaged or cannot be written, UsageError when `key`
    holds no private Ed25519 key in PEM, MissingExtraError without the package cryptography.
    """
    private = _read_private_key(key)
    bundle = open_bundle(path)
    write_bundle({**bundle.files, SIGNATURE: private.sign(bundle.files[SEAL])}, path)
    return fingerprint(private.public_key())


def new_key(path: Path) -> Path:
    """The file of a new key's public half, NAME.pub.pem beside the private half written to `path`.

    The private file is not encrypted and for its owner alone. Raises UsageError where either exists or cannot be
    written.
    """
    require("cryptography", EXTRA, "making a key")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    public_path = public_key_path(path)
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write_new(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
    _write_new(public_path, public, mode=0o644)
    return public_path


def public_key_path(path: Path) -> Path:
    """Where the public half of the private key at `path` lies."""
    return path.with_name(f"{path.name.removesuffix('.pem')}.pub.pem")


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
    except FileExistsError as error:
        raise UsageError(f"{path} exists, and a key is never replaced; leave --new-key out or name another") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror or error}); choose another folder") from error


def _read_private_key(path: Path) -> "Ed25519PrivateKey":
    require("cryptography", EXTRA, "signing a bundle")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise UsageError(
            f"--key {path} cannot be read ({error.strerror or error}); --new-key makes a new one"
        ) from error
    except TypeError as error:
        raise UsageError(f"--key {path} is encrypted; decrypt it first with: openssl pkey") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"--key {path} is no private key in PEM; --new-key makes one") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"--key {path} is not an Ed25519 key; --new-key makes one")
    return key
