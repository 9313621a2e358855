"""PadChest's labels: what a cell of the column Labels lists, and which state every finding has by it.

The vocabulary lies in sources/padchest_labels.csv, a line a label text:

    kind        report (tells of the report as a whole), finding, diagnosis, place (column Localizations, not read)
    kind_of     its parents in the authors' tree, where it is a kind of them by definition
    filed_under its other parents: the tree puts it there, a radiologist need not
    finding     the finding of our vocabulary that it stands for, if there is one
    name        what it is called where labels are findings one by one

The tree is that of the authors' repository auriml/Rx-thorax-automatic-captioning, manual_review/trees_code.txt, as it
was adapted in 2020; the three diagnoses that it has and the table has not (viral pneumonia, COVID 19, COVID 19
uncertain) are left out. Which parents hold by definition is our judgement. docs/reference/sources/padchest.md.
"""

import csv
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pocketcxr.domain.findings import broader, known_findings
from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.csv_tables import FIRST_LINE
from pocketcxr.manifest.mapping import LabelMapping, by_label, finding_of

FindingChoice = Literal["differential-diagnoses", "common", "all"]
Implied = Literal["tree", "definition", "none"]
Silence = Literal[LabelState.NOT_LABELLED, LabelState.UNMENTIONED]

NORMAL, EXCLUDE, NO_FINDING = "normal", "exclude", "No_Finding"
INCOMPLETE: frozenset[str] = frozenset({"", "unchanged", "suboptimal study", EXCLUDE})
"""Beside these a finding that is not named need not be absent; "" is a sentence for which the network had no label."""
_ITEM = r"'[^']*'|\"[^\"]*\""
_LIST = re.compile(rf"\[\s*(?:(?:{_ITEM})\s*(?:,\s*(?:{_ITEM})\s*)*)?\]")
_STATES: tuple[LabelState, ...] = tuple(LabelState)
_CODE = {state: code for code, state in enumerate(_STATES)}


@dataclass(frozen=True)
class PadchestLabel:
    """One label text: a line of the vocabulary. finding: None where it is not mapped; name: "" for kind report."""

    text: str
    kind: str
    kind_of: tuple[str, ...]
    filed_under: tuple[str, ...]
    finding: str | None
    name: str
    note: str


def _vocabulary() -> tuple[PadchestLabel, ...]:
    lines = files("pocketcxr.manifest.sources").joinpath("padchest_labels.csv").read_text(encoding="utf-8").splitlines()
    return tuple(
        PadchestLabel(
            row["label"],
            row["kind"],
            tuple(filter(None, row["kind_of"].split("|"))),
            tuple(filter(None, row["filed_under"].split("|"))),
            row["finding"] or None,
            row["name"],
            row["note"],
        )
        for row in csv.DictReader(lines)
    )


_VOCABULARY = _vocabulary()
LABELS: dict[str, PadchestLabel] = {label.text: label for label in _VOCABULARY if label.kind != "place"}
"""The 193 label texts: 174 findings, among them the four that tell of the report, and 19 differential diagnoses."""
MAPPINGS: tuple[LabelMapping, ...] = tuple(LabelMapping(one.text, one.finding, one.note) for one in _VOCABULARY)
"""The labels and, after them, the 104 places, which are no findings."""
_TEXTS = {text: mapping for text, mapping in by_label(MAPPINGS).items() if text in LABELS}
_PLACE = {text: place for place, text in enumerate(LABELS)}


@dataclass(frozen=True)
class LabelReading:
    """How labels become states.

    implied: which parents a label makes present. silence: the state of what an incomplete report does not name.
    min_positives: findings present in fewer images are left out; the differential diagnoses never are.
    """

    findings: FindingChoice
    implied: Implied
    silence: Silence
    min_positives: int


@dataclass(frozen=True, eq=False)
class Cells:
    """The column Labels. codes: int [row], which text of `named` a row has. named: the labels that the text lists.

    problems: why the text names nothing that can be used, "" where it does.
    """

    codes: NDArray[np.int64]
    named: tuple[frozenset[str], ...]
    problems: tuple[str, ...]

    @property
    def is_unlabelled(self) -> NDArray[np.bool_]:
        """Bool [row]: nobody labelled the report, or it says nothing."""
        answer: NDArray[np.bool_] = np.array([bool(text) for text in self.problems], dtype=np.bool_)[self.codes]
        return answer

    @property
    def is_incomplete(self) -> NDArray[np.bool_]:
        """Bool [row]: labelled, but what is not named need not be absent."""
        answer: NDArray[np.bool_] = np.array([bool(one & INCOMPLETE) for one in self.named], dtype=np.bool_)[self.codes]
        return answer & ~self.is_unlabelled


def listed(cell: str) -> tuple[str, ...] | None:
    """The texts that a cell such as "['normal', ' kyphosis']" lists, spaces around them cut off; None if it is no list.

    Nothing is evaluated: a label file is somebody else's text.
    """
    if _LIST.fullmatch(cell) is None:
        return None
    return tuple(" ".join(item[1:-1].split()) for item in re.findall(_ITEM, cell))


def read_cells(cells: "pd.Series[str]", path: Path) -> Cells:
    """What the column lists. Raises ManifestError with file, line and text for a label that nobody knows."""
    codes, texts = pd.factorize(cells)
    lists = [listed(text) for text in texts.tolist()]
    named = tuple(frozenset(labels or ()) for labels in lists)
    for code, labels in enumerate(named):
        for label in sorted(labels - _PLACE.keys() - {""}):
            finding_of(label, _TEXTS, f"{path}: line {int((codes == code).argmax()) + FIRST_LINE}")
    problems = tuple(_problem(text, labels) for text, labels in zip(texts.tolist(), lists, strict=True))
    return Cells(codes.astype(np.int64), named, problems)


def label_states(cells: Cells, is_chosen: NDArray[np.bool_], reading: LabelReading) -> pd.DataFrame:
    """The LabelState texts of the chosen rows, one column a finding.

    What a row names is present, and so is what that implies. What it does not name is unmentioned; absent where the row
    says "normal" and nothing else; `reading.silence` where the report is incomplete; not labelled where it is no use.
    """
    columns, reach = _columns(reading)
    is_named = np.zeros((len(cells.named), len(_PLACE)), dtype=np.bool_)
    for row, labels in enumerate(cells.named):
        is_named[row, [_PLACE[label] for label in labels if label]] = True
    rest = np.array([_CODE[_unnamed(*pair, reading.silence)] for pair in zip(cells.named, cells.problems, strict=True)])
    is_present = (is_named.astype(np.float32) @ reach.astype(np.float32)) > 0
    states = np.where(is_present, _CODE[LabelState.PRESENT], rest[:, None]).astype(np.int8)
    if NO_FINDING in columns:
        is_normal = np.array([labels == {NORMAL} for labels in cells.named], dtype=np.bool_)
        is_something = is_named[:, [place for text, place in _PLACE.items() if LABELS[text].kind != "report"]].any(
            axis=1
        )
        nothing = states[:, columns.index(NO_FINDING)]
        nothing[is_normal], nothing[is_something] = _CODE[LabelState.PRESENT], _CODE[LabelState.ABSENT]
    codes = cells.codes[is_chosen]
    counts = np.bincount(codes, minlength=len(cells.named)) @ (states == _CODE[LabelState.PRESENT])
    least = 0 if reading.findings == "differential-diagnoses" else reading.min_positives
    texts = pd.array([state.value for state in _STATES], dtype="str")
    return pd.DataFrame(
        {name: texts.take(states[codes, place]) for place, name in enumerate(columns) if counts[place] >= least},
        index=pd.RangeIndex(len(codes)),
    )


def _problem(text: str, labels: tuple[str, ...] | None) -> str:
    """Why the row is unlabelled, "" where it is labelled."""
    if text in ("", "nan"):
        return "has no labels, its report is missing or empty"
    if labels is None:
        return f"has Labels that are no list: {text[:60]!r}"
    if not labels:
        return "has an empty list of labels"
    return "is labelled 'exclude', its report tells nothing of use" if set(labels) == {EXCLUDE} else ""


def _unnamed(named: frozenset[str], problem: str, silence: Silence) -> LabelState:
    """The state of a finding that the row does not name."""
    if problem:
        return LabelState.NOT_LABELLED
    if named == {NORMAL}:
        return LabelState.ABSENT
    return silence if named & INCOMPLETE else LabelState.UNMENTIONED


def _columns(reading: LabelReading) -> tuple[list[str], NDArray[np.bool_]]:
    """The findings in order, and which of them a label makes present, bool [label, finding]."""
    if reading.findings == "common":
        mapped = {label.finding for label in LABELS.values()}
        columns = [finding for finding in known_findings() if finding in mapped]
    else:
        is_wanted = (
            {"diagnosis"} if reading.findings == "differential-diagnoses" else {"report", "finding", "diagnosis"}
        )
        columns = [label.name for label in LABELS.values() if label.name and label.kind in is_wanted]
    reach = np.zeros((len(LABELS), len(columns)), dtype=np.bool_)
    for text, place in _PLACE.items():
        for name in _told(text, reading) if text != NORMAL else ():
            if name in columns:
                reach[place, columns.index(name)] = True
    return columns, reach


def _told(text: str, reading: LabelReading) -> frozenset[str]:
    """The findings that are present where a label is."""
    labels = {LABELS[one] for one in _with_parents(text, reading.implied)}
    if reading.findings != "common":
        return frozenset(label.name for label in labels)
    findings = {label.finding for label in labels if label.finding is not None}
    return frozenset(findings).union(*(broader(finding) for finding in findings if reading.implied != "none"))


def _with_parents(text: str, implied: Implied) -> frozenset[str]:
    """The label and all its parents, grandparents and so on of that sort."""
    label = LABELS[text]
    parents = {"tree": label.kind_of + label.filed_under, "definition": label.kind_of, "none": ()}[implied]
    return frozenset({text}).union(*(_with_parents(parent, implied) for parent in parents))
