"""The option --no-input-gate of the commands that score files, and what they say of it."""

from typing import TYPE_CHECKING, Annotated

import typer

from pocketcxr.apps.cli import console

if TYPE_CHECKING:
    from pocketcxr.runtime.bundle import Bundle

NoInputGate = Annotated[
    bool, typer.Option("--no-input-gate", help="Score whatever can be decoded, chest X-ray or not.")
]


def say_what_is_checked(bundle: "Bundle", no_input_gate: bool) -> None:
    """Says so on stderr where nothing checks what the files show."""
    from pocketcxr.runtime.input_gate import GATE

    if no_input_gate:
        console.say("The input gate is off: nothing checks whether a file is a frontal chest X-ray.")
    elif GATE not in bundle.files:
        console.say("This bundle has no input gate: nothing checks whether a file is a frontal chest X-ray.")
