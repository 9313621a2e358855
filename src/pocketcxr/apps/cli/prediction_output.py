"""How predictions are printed: a table to read, one JSON document, or CSV."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pocketcxr._version import __version__
from pocketcxr.apps.cli import console
from pocketcxr.domain.prediction import Decision, FindingScore, Prediction, Refusal
from pocketcxr.runtime.bundle import Bundle
from pocketcxr.runtime.card import NOTICE, Card
from pocketcxr.runtime.input_gate import InputWarning
from pocketcxr.runtime.score_columns import score_cells, score_columns

JSON_VERSION = 1
"""Raised when a program that reads the document would misread it."""
BAR_WIDTH = 20


@dataclass(frozen=True)
class Answer:
    """What is printed of one file."""

    result: Prediction | Refusal
    pictures: Mapping[str, str]
    """Path of the heatmap picture by finding."""
    warnings: Sequence[InputWarning] = ()
    is_checked: bool = False
    """Whether an input gate was asked what a scored file shows."""


def as_json(bundle: Bundle, answers: Sequence[Answer]) -> str:
    """One JSON document: the bundle, then every file in order with its scores or its refusal."""
    document = {
        "version": JSON_VERSION,
        "notice": NOTICE,
        "made_by": f"pocketcxr {__version__}",
        "bundle": {
            "path": bundle.path,
            "name": bundle.card.name,
            "sha256": bundle.digest,
            "is_simulated": bundle.card.is_simulated,
        },
        "results": [_as_data(answer) for answer in answers],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def csv_header(card: Card) -> str:
    """The first line: path, status ("scored" or the refusal's code), message, then the columns of score_columns."""
    return _line(["path", "status", "message", *score_columns(card)])


def csv_row(card: Card, answer: Answer) -> str:
    """One file's line; message is why it was refused, or what is odd about it though it was scored.

    The cells are empty where the file was refused or the model never learnt the finding.
    """
    match answer.result:
        case Refusal(path, code, message):
            return _line([path, code.value, message, *("" for _ in score_columns(card))])
        case Prediction(path, scores):
            warnings = "; ".join(warning.message for warning in answer.warnings)
            return _line([path, "scored", warnings, *score_cells(card, scores)])


def print_table(answer: Answer, operating_point: str | None = None) -> None:
    """The file's findings, the most probable first, or why it was refused, on stdout.

    With decisions at the operating point of that name, where one is given.
    """
    path = escape(printable(answer.result.path))
    console.stdout.print(f"[bold]{path}[/]", soft_wrap=True, highlight=False)
    match answer.result:
        case Refusal(code=code, message=message):
            reason = printable(message.removeprefix(f"{answer.result.path}: "))
            text = f"  [red]refused ({code.value})[/] {escape(reason)}"
            console.stdout.print(text, soft_wrap=True, highlight=False)
        case Prediction(scores=scores):
            console.stdout.print(_table(scores, operating_point), highlight=False)
            for finding, picture in answer.pictures.items():
                line = f"  [dim]{finding}:[/] {escape(printable(picture))}"
                console.stdout.print(line, soft_wrap=True, highlight=False)
    console.stdout.print()


def printable(text: str) -> str:
    """The text with file name bytes that are no UTF-8 written as escapes, so that any stream takes it."""
    return text.encode("utf-8", "backslashreplace").decode()


def _line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([printable(cell) for cell in cells])
    return text.getvalue()


def _table(scores: Sequence[FindingScore], operating_point: str | None) -> Table:
    is_calibrated = any(score.is_calibrated for score in scores)
    table = Table(box=None, pad_edge=True)
    table.add_column("finding", no_wrap=True)
    table.add_column("calibrated probability" if is_calibrated else "probability", justify="right")
    table.add_column("")
    if operating_point is not None:
        table.add_column(f"at {operating_point}", no_wrap=True)
    for score in sorted(scores, key=lambda score: -1.0 if score.probability is None else -score.probability):
        decided = [] if operating_point is None else [_decided(score.decision(operating_point))]
        if score.probability is None:
            table.add_row(score.finding, "-", Text("never learnt", style="dim"), *decided)
            continue
        bar = Text("━" * round(score.probability * BAR_WIDTH), style="cyan")
        if is_calibrated and not score.is_calibrated:
            bar.append(" not calibrated" if bar else "not calibrated", style="dim")
        table.add_row(score.finding, f"{score.probability:.3f}", bar, *decided)
    return table


def _decided(decision: Decision | None) -> Text:
    if decision is None:
        return Text("-", style="dim")
    if decision.is_positive:
        return Text(f"positive (≥ {decision.threshold:.3f})", style="bold")
    return Text(f"negative (< {decision.threshold:.3f})")


def _as_data(answer: Answer) -> dict[str, object]:
    match answer.result:
        case Refusal(path, code, message):
            return {"path": path, "status": "refused", "code": code.value, "message": message}
        case Prediction(path, scores):
            findings = [
                {
                    "finding": score.finding,
                    "logit": score.logit,
                    "probability": score.probability,
                    "is_calibrated": score.is_calibrated,
                    "decisions": [asdict(decision) for decision in score.decisions],
                    "heatmap": answer.pictures.get(score.finding),
                }
                for score in scores
            ]
            warnings = [{"code": warning.code, "message": printable(warning.message)} for warning in answer.warnings]
            checked = {"input_checked": answer.is_checked, "warnings": warnings}
            return {"path": path, "status": "scored", **checked, "findings": findings}
