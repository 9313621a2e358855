"""pocketcxr score: a row of probabilities for every file of a folder or table, however many, without PyTorch."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketcxr.apps.cli import console
from pocketcxr.apps.cli.no_input_gate import NoInputGate, say_what_is_checked
from pocketcxr.apps.cli.trusted_key import TrustedKey
from pocketcxr.domain.errors import UsageError

if TYPE_CHECKING:
    from pocketcxr.runtime.bulk import Pictures, Summary
    from pocketcxr.runtime.bulk_files import Source

SOME_REFUSED = 3


def score(
    bundle: Annotated[Path, typer.Argument(help="A bundle: the --out of pocketcxr export.")],
    source: Annotated[Path, typer.Argument(metavar="FOLDER|TABLE", help="Or a .csv or .parquet with a column path.")],
    out: Annotated[Path, typer.Option(help="The results: a .csv, or a .parquet with a .csv beside it.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes that decode files.")] = 1,
    heatmaps: Annotated[Path | None, typer.Option(help="Folder for pictures of where each score comes from.")] = None,
    top: Annotated[
        str, typer.Option(metavar="N|all", help="How many findings a file get a picture, highest first.")
    ] = "3",
    batch_size: Annotated[int, typer.Option(min=1, max=256, help="Images that go through the model together.")] = 16,
    seconds: Annotated[float, typer.Option(min=0.1, help="Most time to decode one file.")] = 30.0,
    memory_mb: Annotated[int, typer.Option(min=64, help="Most memory to decode one file (Linux).")] = 1024,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the model.")] = 1,
    trusted_key: TrustedKey = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print what the run came to as JSON.")] = False,
    no_input_gate: NoInputGate = False,
) -> None:
    """Score a folder or a table of X-rays; the same command again goes on where it was stopped. Research use only.

    Exit codes: 0 every file was scored, 3 some were refused (each says why), 1 the work failed, 2 wrong usage.
    """
    from pocketcxr.runtime.bulk import BulkSettings, score_files
    from pocketcxr.runtime.bulk_results import to_parquet
    from pocketcxr.runtime.bulk_worker import Limits
    from pocketcxr.runtime.bundle import open_bundle
    from pocketcxr.runtime.card import NOTICE
    from pocketcxr.runtime.session import open_engine

    rows = _rows_path(out)
    settings = BulkSettings(
        workers, batch_size, Limits(seconds, memory_mb), _pictures(heatmaps, top), not no_input_gate
    )
    engine = open_engine(open_bundle(bundle, trusted_key), threads)
    console.say(NOTICE)
    if engine.bundle.card.is_simulated:
        console.say(console.SIMULATED)
    say_what_is_checked(engine.bundle, no_input_gate)
    began = time.monotonic()
    with console.progress_bars() as progress:
        summary = score_files(engine, _source(source, rows, out, heatmaps), rows, settings, progress)
    if rows != out:
        to_parquet(rows, out)
    _report(summary, out, time.monotonic() - began, is_json)


def _rows_path(out: Path) -> Path:
    """The CSV file that the rows are written to. Raises UsageError, MissingExtraError before any work is done."""
    from pocketcxr.domain.extras import require

    if not out.absolute().parent.is_dir():
        raise UsageError(f"--out {out}: {out.absolute().parent} is no folder; make it, or name another file")
    match out.suffix.lower():
        case ".csv":
            return out
        case ".parquet":
            require("pyarrow", "train", "--out with .parquet")
            return out.with_suffix(".csv")
    raise UsageError(f"--out {out}: give a file that ends in .csv or .parquet")


def _source(source: Path, rows: Path, out: Path, heatmaps: Path | None) -> "Source":
    """The files to score without what the run itself writes."""
    from pocketcxr.runtime.bulk_files import Source
    from pocketcxr.runtime.bulk_results import header_path

    written = [rows, out, header_path(rows), *([heatmaps] if heatmaps else [])]
    parts = [path.with_name(f"{path.name}.part") for path in (out, header_path(rows))]
    return Source(source, frozenset(path.resolve() for path in (*written, *parts)))


def _pictures(folder: Path | None, top: str) -> "Pictures | None":
    from pocketcxr.runtime.bulk import Pictures

    if top != "all" and not (top.isdecimal() and int(top) > 0):
        raise UsageError(f"--top {top}: give a number of findings from 1, or all")
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--heatmaps {folder} cannot be made ({error.strerror}); name another folder") from error
    return Pictures(folder, None if top == "all" else int(top))


def _report(summary: "Summary", out: Path, took_seconds: float, is_json: bool) -> None:
    """Says what the run came to; ends the command with SOME_REFUSED where that is so."""
    from pocketcxr.runtime.bulk_results import SCORED

    refused = {code: num for code, num in sorted(summary.counts.items()) if code != SCORED}
    num_new = summary.num_files - summary.num_kept
    rate = num_new / max(took_seconds, 1e-9)
    if is_json:
        document = {
            "out": str(out),
            "files": summary.num_files,
            "kept": summary.num_kept,
            "scored": summary.counts[SCORED],
            "refused": refused,
            "seconds": round(took_seconds, 3),
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    kept = f"{summary.num_kept} were there from an earlier run; " if summary.num_kept else ""
    console.say(f"{out}: {summary.num_files} files; {kept}{num_new} in {took_seconds:.1f} s ({rate:.0f} a second)")
    if refused:
        reasons = ", ".join(f"{num} {code}" for code, num in refused.items())
        console.say(f"{sum(refused.values())} of {summary.num_files} files refused: {reasons}")
        raise typer.Exit(SOME_REFUSED)
