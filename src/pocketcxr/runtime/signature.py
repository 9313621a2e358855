"""Who made a bundle: Ed25519 (RFC 8032) over the bytes of card.sha256, which seals every other file.

`openssl pkeyutl -verify -rawin -pubin -inkey PUBLIC.pem -in card.sha256 -sigfile card.sig` checks the same.
"""

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from pocketcxr.domain.errors import BundleError, UsageError
from pocketcxr.domain.extras import require
from pocketcxr.runtime.card import SIGNATURE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

EXTRA = "sign"


def check_signature(where: str, seal: bytes, signature: bytes | None, trusted_key: Path) -> None:
    """Nothing, when `signature` is that of the seal by the holder of the key in `trusted_key` (PEM, public).

    `where` names the bundle in messages. Raises BundleError when the signature is missing or not by that key,
    UsageError when the key cannot be used, MissingExtraError without the package cryptography.
    """
    public = read_public_key(trusted_key)
    from cryptography.exceptions import InvalidSignature

    if signature is None:
        raise BundleError(
            f"{where} is not signed (no {SIGNATURE}), and only bundles signed by {trusted_key} are trusted here; "
            "get it from its maker again, or sign it with: pocketcxr sign BUNDLE --key PRIVATE.pem"
        )
    try:
        public.verify(signature, seal)
    except InvalidSignature as error:
        raise BundleError(
            f"{where}: its {SIGNATURE} is not by {trusted_key} (key {fingerprint(public)}), or the bundle was changed "
            "after signing; do not use it"
        ) from error


def read_public_key(path: Path) -> "Ed25519PublicKey":
    """The Ed25519 key in the PEM file at `path`. Raises UsageError when there is none."""
    require("cryptography", EXTRA, "checking a bundle's signature")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise UsageError(f"trusted key {path} cannot be read ({error.strerror or error}); name a PEM file") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"trusted key {path} is no public key in PEM; pocketcxr sign --new-key makes one beside the private key"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"trusted key {path} is not an Ed25519 key; make one with: pocketcxr sign --new-key")
    return key


def fingerprint(key: "Ed25519PublicKey") -> str:
    """The first 16 digits of the SHA-256 of the key's 32 bytes, to compare by eye."""
    return sha256(key.public_bytes_raw()).hexdigest()[:16]
