"""The pocketcxr command: registers the subcommands and turns errors into messages and exit codes.

Exit codes: 0 done, 1 the work failed, 2 wrong usage, 3 some inputs were refused, 130 stopped by Ctrl-C.
"""

import sys

import typer

from pocketcxr._version import __version__
from pocketcxr.apps.cli import console
from pocketcxr.apps.cli.bench import bench
from pocketcxr.apps.cli.calibrate import calibrate
from pocketcxr.apps.cli.compare import compare
from pocketcxr.apps.cli.concepts import concepts
from pocketcxr.apps.cli.distill import distill
from pocketcxr.apps.cli.evaluate import evaluate
from pocketcxr.apps.cli.explain import explain
from pocketcxr.apps.cli.export import export
from pocketcxr.apps.cli.models import models
from pocketcxr.apps.cli.predict import predict
from pocketcxr.apps.cli.prepare import prepare
from pocketcxr.apps.cli.quickstart import quickstart
from pocketcxr.apps.cli.score import score
from pocketcxr.apps.cli.serve import serve
from pocketcxr.apps.cli.sign import sign
from pocketcxr.apps.cli.simulate import simulate
from pocketcxr.apps.cli.train import train
from pocketcxr.domain.errors import PocketCxrError

STOPPED = 130

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


for command in (
    quickstart,
    simulate,
    prepare,
    train,
    distill,
    compare,
    evaluate,
    explain,
    concepts,
    export,
    predict,
    score,
    serve,
    calibrate,
    sign,
    bench,
    models,
):
    app.command()(command)


def main() -> None:
    """Entry point: runs the command and exits with its code."""
    try:
        app()
    except PocketCxrError as error:
        console.complain(str(error))
        sys.exit(error.exit_code)
    except SystemExit as stop:
        # Typer turns Ctrl-C into this code on its own.
        if stop.code == STOPPED:
            console.complain("stopped; the same command again goes on where it can")
        raise


if __name__ == "__main__":
    main()
