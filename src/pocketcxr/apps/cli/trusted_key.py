"""The option --trusted-key of every command that runs a bundle."""

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
