"""pocketcxr predict: findings and heatmaps of X-ray files by a bundle, without PyTorch."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pocketcxr.apps.cli import console
from pocketcxr.apps.cli.no_input_gate import NoInputGate, say_what_is_checked
from pocketcxr.apps.cli.trusted_key import TrustedKey
from pocketcxr.domain.errors import PocketCxrError, UnknownNameError, UsageError
from pocketcxr.domain.progress import silent

if TYPE_CHECKING:
    from pocketcxr.apps.cli.prediction_output import Answer
    from pocketcxr.runtime.bundle import Bundle
    from pocketcxr.runtime.card import Card
    from pocketcxr.runtime.predict import Scored
    from pocketcxr.runtime.session import Engine

SOME_REFUSED = 3
_Form = Literal["table", "csv", "json"]


def predict(
    bundle: Annotated[Path, typer.Argument(help="A bundle: the --out of pocketcxr export.")],
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE...", help="X-rays: PNG, JPEG or DICOM.")] = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    is_csv: Annotated[bool, typer.Option("--csv", help="Print one line a file.")] = False,
    heatmaps: Annotated[Path | None, typer.Option(help="Folder for pictures of where each score comes from.")] = None,
    top: Annotated[
        str, typer.Option(metavar="N|all", help="How many findings a file get a picture, highest first.")
    ] = "3",
    operating_point: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the table's decisions; the bundle's first if not given.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="First compare this machine with the golden vectors.")
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; as many as processors if not given.")] = None,
    trusted_key: TrustedKey = None,
    no_input_gate: NoInputGate = False,
) -> None:
    """Score X-ray files. Research use only. Not a medical device.

    Exit codes: 0 every file was scored, 3 some were refused (each says why), 1 the bundle is damaged, 2 wrong usage.
    """
    from pocketcxr.runtime.bundle import open_bundle
    from pocketcxr.runtime.golden import verify_golden
    from pocketcxr.runtime.session import open_engine

    wanted = _wanted_pictures(heatmaps, top)
    if is_json and is_csv:
        raise UsageError("--json and --csv exclude each other; give one of them")
    if not files and not verify:
        raise UsageError("no file to score; name PNG, JPEG or DICOM files after the bundle, or give --verify")
    engine = open_engine(open_bundle(bundle, trusted_key), threads)
    card = engine.bundle.card
    decided_at = _decided_at(card, operating_point)
    _say_what_it_is(card)
    if verify:
        console.say(
            f"golden vectors: this machine deviates by at most {verify_golden(engine):.1e} of the largest value"
        )
        if trusted_key is not None:
            console.say(f"signature: by {trusted_key}")
    if not files:
        return
    say_what_is_checked(engine.bundle, no_input_gate)
    form: _Form = "json" if is_json else "csv" if is_csv else "table"
    num_refused = _print(engine.bundle, _answers(engine, files, wanted, not no_input_gate, form), form, decided_at)
    if num_refused:
        console.say(f"{num_refused} of {len(files)} files refused")
        raise typer.Exit(SOME_REFUSED)


@dataclass(frozen=True)
class _WantedPictures:
    """Where heatmap pictures go and how many a file gets; None: none, and all."""

    folder: Path | None
    top: int | None


def _wanted_pictures(folder: Path | None, top: str) -> _WantedPictures:
    if top != "all" and not (top.isdecimal() and int(top) > 0):
        raise UsageError(f"--top {top}: give a number of findings from 1, or all")
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--heatmaps {folder} cannot be made ({error.strerror}); name another folder") from error
    return _WantedPictures(folder, None if top == "all" else int(top))


def _say_what_it_is(card: "Card") -> None:
    from pocketcxr.runtime.card import NOTICE

    console.say(f"{NOTICE} {_calibration(card)}")
    if card.is_simulated:
        console.say(console.SIMULATED)


def _calibration(card: "Card") -> str:
    """What may be made of the probabilities, in a sentence."""
    learnt = [finding for finding in card.findings if finding not in card.unlearnt]
    missing = [finding for finding in learnt if finding not in card.calibrated]
    if len(missing) == len(learnt):
        return "Probabilities are not calibrated."
    cohorts = "; ".join(dict.fromkeys(line.fitted_on for line in card.calibrated.values()))
    exceptions = f", except for {', '.join(missing)}" if missing else ""
    return f"Probabilities are calibrated (on {cohorts}){exceptions}."


def _decided_at(card: "Card", name: str | None) -> str | None:
    """The operating point of that name, by default the card's first; None where the card has none.

    Raises UsageError for a name it does not have.
    """
    if name is None:
        return next(iter(card.criteria), None)
    if not card.criteria:
        raise UsageError(f"--operating-point {name}: this bundle has none; pocketcxr calibrate BUNDLE adds them")
    if name not in card.criteria:
        raise UnknownNameError.of("operating point", name, card.criteria)
    return name


def _answers(
    engine: "Engine", files: Sequence[Path], wanted: _WantedPictures, checks_input: bool, form: _Form
) -> "Iterator[Answer]":
    """One answer a file, as soon as it is there."""
    from pocketcxr.apps.cli.prediction_output import Answer, printable
    from pocketcxr.domain.prediction import Refusal
    from pocketcxr.runtime.predict import predict_files

    # On a terminal the answers themselves show how far it is, and a bar below them would be torn by each.
    has_bar = len(files) > 1 and (form == "json" or not sys.stdout.isatty())
    with console.progress_bars() if has_bar else nullcontext(silent) as progress:
        for number, result in enumerate(predict_files(engine, files, checks_input), start=1):
            if isinstance(result, Refusal):
                yield Answer(result, {})
            else:
                for warning in result.warnings:
                    console.say(f"warning: {printable(warning.message)}")
                yield Answer(result.prediction, _draw(result, wanted), result.warnings, result.is_checked)
            progress("predict", number, len(files))


def _print(bundle: "Bundle", answers: "Iterable[Answer]", form: _Form, decided_at: str | None) -> int:
    """Writes the answers to stdout, each as soon as it is there unless they are one document; how many are refusals."""
    from pocketcxr.apps.cli.prediction_output import as_json, csv_header, csv_row, print_table
    from pocketcxr.domain.prediction import Refusal

    if form == "json":
        answers = list(answers)
        sys.stdout.write(as_json(bundle, answers))
    elif form == "csv":
        sys.stdout.write(csv_header(bundle.card))
    num_refused = 0
    for answer in answers:
        num_refused += isinstance(answer.result, Refusal)
        if form == "csv":
            sys.stdout.write(csv_row(bundle.card, answer))
            sys.stdout.flush()
        elif form == "table":
            print_table(answer, decided_at)
    return num_refused


def _draw(scored: "Scored", wanted: _WantedPictures) -> dict[str, str]:
    """The pictures' paths by finding, written. Raises PocketCxrError when the folder takes no more."""
    from pocketcxr.runtime.pictures import picture, picture_name, strongest

    if wanted.folder is None:
        return {}
    paths = {}
    for score in strongest(scored, wanted.top):
        path = wanted.folder / picture_name(scored, score.finding)
        try:
            picture(scored, score).save(path)
        except OSError as error:
            raise PocketCxrError(f"{path} cannot be written ({error.strerror or error}); make room") from error
        paths[score.finding] = str(path)
    return paths
