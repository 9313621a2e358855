"""The pocketcxr command: registers the subcommands and turns errors into messages and exit codes.

Exit codes: 0 done, 1 the work failed, 2 wrong usage, 3 some inputs were refused, 130 stopped by Ctrl-C.
"""

import sys

import typer

from pocketcxr._version import __version__
from pocketcxr.apps.cli import console
from pocketcxr.domain.errors import PocketCxrError

app = typer.Typer(
    name="pocketcxr",
    help="Distil large chest X-ray classifiers into small, explained, on-device ones. Research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"pocketcxr {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main() -> None:
    """Entry point: runs the command and exits with its code."""
    try:
        app()
    except PocketCxrError as error:
        console.complain(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        console.complain("stopped; the same command again goes on where it can")
        sys.exit(130)


if __name__ == "__main__":
    main()
