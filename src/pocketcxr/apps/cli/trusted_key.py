"""The option --trusted-key of every command that runs a bundle, and its check where that may be a run as well."""

from pathlib import Path
from typing import Annotated

import typer

TrustedKey = Annotated[
    Path | None,
    typer.Option(
        "--trusted-key",
        metavar="PUBLIC.pem",
        envvar="POCKETCXR_TRUSTED_KEY",
        help="Refuse the bundle unless pocketcxr sign signed it with this key's private half.",
    ),
]


def refuse_untrusted(source: Path, trusted_key: Path | None) -> None:
    """Nothing, when `source` is a run, no key is given, or the bundle there is signed by the key. Raises BundleError.

    A run is the user's own work and is never signed.
    """
    from pocketcxr.runtime.bundle import open_bundle
    from pocketcxr.runtime.card import CARD

    if trusted_key is not None and (source.is_file() or (source / CARD).is_file()):
        open_bundle(source, trusted_key)
