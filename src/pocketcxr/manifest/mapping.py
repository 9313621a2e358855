"""Which of a source's label texts is which finding: written down, one by one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from pocketcxr.domain.errors import ManifestError, UnknownNameError
from pocketcxr.domain.findings import meaning
from pocketcxr.manifest.csv_tables import FIRST_LINE


@dataclass(frozen=True)
class LabelMapping:
    """One label text of a source: its finding in our vocabulary, or None where it is not mapped, and why."""

    label: str
    finding: str | None
    note: str = ""


def by_label(mappings: Iterable[LabelMapping]) -> dict[str, LabelMapping]:
    """The mapping of each label text, in order. Raises ManifestError where a text is mapped twice."""
    known: dict[str, LabelMapping] = {}
    for mapping in mappings:
        if known.setdefault(mapping.label, mapping) is not mapping:
            raise ManifestError(f"label text {mapping.label!r} is mapped twice - keep one of the two")
    return known


def finding_of(label: str, known: Mapping[str, LabelMapping], where: str) -> str | None:
    """The finding that a label text stands for, None where it is not mapped on purpose.

    known: of `by_label`. where: the file and line, for the error. Raises ManifestError for a text that nobody mapped:
    an unknown label is no absent finding.
    """
    mapping = known.get(label)
    if mapping is None:
        near = get_close_matches(label, known, n=3)
        hint = f"; nearest: {', '.join(map(repr, near))}" if near else ""
        raise ManifestError(
            f"{where}: label {label!r} is none that this source is known to use{hint} - correct the table, or look at "
            "the known ones with `pocketcxr prepare SOURCE --list-findings`"
        )
    return mapping.finding


def findings_of(labels: "pd.Series[str]", known: Mapping[str, LabelMapping], path: Path) -> "pd.Series[str]":
    """The finding of each row's label text, NaN where it is not mapped on purpose.

    Raises ManifestError with the file, the line and the text of the first one that nobody mapped.
    """
    codes, texts = pd.factorize(labels)
    names = [
        finding_of(str(text), known, f"{path}: line {int((codes == code).argmax()) + FIRST_LINE}")
        for code, text in enumerate(texts)
    ]
    return pd.Series(names, dtype="str").iloc[codes].set_axis(labels.index)


def mapping_table(mappings: Iterable[LabelMapping]) -> pd.DataFrame:
    """The mapping for a person to read, a row a label: label, finding ("" where not mapped), meaning, note."""
    rows = [(m.label, m.finding or "", _meaning_of(m.finding), m.note) for m in mappings]
    return pd.DataFrame(rows, columns=["label", "finding", "meaning", "note"], dtype="str")


def _meaning_of(finding: str | None) -> str:
    if finding is None:
        return ""
    try:
        return meaning(finding).definition
    except UnknownNameError:
        return ""
