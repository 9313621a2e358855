"""Packs a bundle: its files with the card, the model card and the bill of materials that speak of them.

All three are made here, so that no bundle lacks one and they never contradict each other.
"""

from collections.abc import Mapping
from pathlib import Path

from pocketcxr.export.model_card import model_card_files
from pocketcxr.export.sbom import base_install, sbom
from pocketcxr.export.writing import write_bundle
from pocketcxr.runtime.bundle import seal_bytes, sha256
from pocketcxr.runtime.card import CARD, SEAL, SIGNATURE, Card, CardFacts, card_bytes

SBOM = "sbom.cdx.json"


def pack(facts: CardFacts, files: Mapping[str, bytes], out: Path) -> Path:
    """`out`, written as a bundle of `files` and what says of them: one zip when it ends in .zip, a folder otherwise.

    Of an older bundle's files those are made anew that hang on the card, and its signature goes.
    Raises as `write_bundle` does.
    """
    kept = {name: files[name] for name in sorted(files) if name not in {CARD, SEAL, SIGNATURE, SBOM}}
    contents = {**kept, **model_card_files(facts)}
    contents[SBOM] = sbom(facts, contents, base_install())
    hashes = {name: sha256(contents[name]) for name in sorted(contents)}
    sealed = card_bytes(Card.model_validate({**facts.model_dump(), "sha256": hashes}))
    return write_bundle({**contents, CARD: sealed, SEAL: seal_bytes(sha256(sealed))}, out)
