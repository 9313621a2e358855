"""pocketcxr sign: says who made a bundle, so that others can refuse those of anybody else."""

from pathlib import Path
from typing import Annotated

import typer

from pocketcxr.apps.cli import console


def sign(
    bundle: Annotated[Path, typer.Argument(help="The --out of pocketcxr export; its signature is added to it.")],
    key: Annotated[Path, typer.Option(metavar="PRIVATE.pem", help="The private Ed25519 key; keep it to yourself.")],
    is_new: Annotated[
        bool, typer.Option("--new-key", help="First make the key, and NAME.pub.pem beside it to hand out.")
    ] = False,
) -> None:
    """Sign a bundle with Ed25519; predict and score check it with --trusted-key. Needs pocketcxr[sign]."""
    from pocketcxr.export.signing import new_key, sign_bundle
    from pocketcxr.runtime.bundle import open_bundle

    if is_new:
        open_bundle(bundle)  # no key is left behind for a bundle that cannot be signed
        public = new_key(key)
        console.say(f"private key: {key} (not encrypted: keep it where nobody else reads it)")
        console.say(f"public key: {public} (hand it out by another way than the bundle)")
    console.say(f"{bundle} is signed by key {sign_bundle(bundle, key)}")
