"""Labels in somebody's own table, as its owner describes them: columns of yes and no, or one column of names."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import pandas as pd
from pydantic import AfterValidator, BaseModel, Field, model_validator

from pocketcxr.domain.errors import ManifestError, UnknownNameError
from pocketcxr.domain.findings import canonical, known_findings
from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.csv_tables import FIRST_LINE, column, read_csv, refuse_rows


def spelled(name: str) -> str:
    """The finding in the vocabulary's spelling, or as it is if the vocabulary lacks it. Raises ValueError."""
    try:
        return canonical(name, known_findings())
    except UnknownNameError:
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) is None:
            raise ValueError("a finding's name has letters, digits and underscores, no spaces") from None
        return name


def own_findings(names: Iterable[object]) -> tuple[str, ...]:
    """Those of the names that the vocabulary lacks."""
    return tuple(str(name) for name in names if name not in known_findings())


SourceName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
"""What somebody calls a data set of their own; no full stop: `combine` puts it before ids with one."""
FindingName = Annotated[str, AfterValidator(spelled)]
Texts = tuple[str, ...]


class StateTexts(BaseModel, frozen=True, extra="forbid"):
    """What stands in a cell for which state; capitals do not matter. A text of no list is refused, not guessed at."""

    present: Texts = ("1", "1.0", "true", "yes", "y", "present", "positive")
    absent: Texts = ("0", "0.0", "false", "no", "n", "absent", "negative")
    uncertain: Texts = ("-1", "-1.0", "uncertain")
    unmentioned: Texts = ("unmentioned",)
    """A report was read, and it does not speak of the finding."""
    not_labelled: Texts = ("", "not-labelled")
    """Nobody looked for the finding: an empty cell, unless it stands in another list."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        self.states()
        return self

    def states(self) -> dict[str, LabelState]:
        """The state of each text, small letters."""
        states: dict[str, LabelState] = {}
        for state, texts in (
            (LabelState.PRESENT, self.present),
            (LabelState.ABSENT, self.absent),
            (LabelState.UNCERTAIN, self.uncertain),
            (LabelState.UNMENTIONED, self.unmentioned),
            (LabelState.NOT_LABELLED, self.not_labelled),
        ):
            for text in texts:
                if states.setdefault(text.casefold(), state) is not state:
                    raise ValueError(
                        f"text {text!r} stands for both {states[text.casefold()].value} and {state.value}; "
                        "keep it in one list (an empty list is [])"
                    )
        return states


class WideLabels(BaseModel, frozen=True, extra="forbid"):
    """One column a finding."""

    kind: Literal["columns"] = "columns"
    findings: Annotated[Mapping[str, FindingName], Field(min_length=1)]
    """The table's column -> the finding."""
    texts: StateTexts = StateTexts()


class ListedLabels(BaseModel, frozen=True, extra="forbid"):
    """One column that names what is there, as in "Mass|Nodule"."""

    kind: Literal["list"] = "list"
    column: str
    separator: Annotated[str, Field(min_length=1)] = "|"
    findings: Annotated[Mapping[str, FindingName | None], Field(min_length=1)]
    """The text -> the finding, or null for a text that stands for none of them ("No Finding")."""
    others: Literal[LabelState.ABSENT, LabelState.UNMENTIONED]
    """What the findings are that a cell does not name: absent if somebody looked for all of them in every image,
    unmentioned if texts came from reports. In an empty cell all are not-labelled."""


Labels = Annotated[WideLabels | ListedLabels, Field(discriminator="kind")]


def read_table(path: Path) -> pd.DataFrame:
    """The CSV (.csv, .csv.gz) or Parquet table as text, "" where empty. Raises ManifestError."""
    if path.suffix != ".parquet":
        return read_csv(path)
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ManifestError(
            f"{path}: is no readable Parquet file ({error}) - check the name, or export it again"
        ) from error
    return table.astype("string").fillna("").astype("str")


def states_of(table: pd.DataFrame, labels: WideLabels | ListedLabels | None, path: Path) -> pd.DataFrame:
    """The LabelState texts of every row, one column a finding in the order of the config; none without labels.

    Raises ManifestError with the file, the column, the line and the text that the config does not explain.
    """
    match labels:
        case WideLabels():
            return _wide(table, labels, path)
        case ListedLabels():
            return _listed(table, labels, path)
        case None:
            return pd.DataFrame(index=table.index)


def _wide(table: pd.DataFrame, labels: WideLabels, path: Path) -> pd.DataFrame:
    known = {text: state.value for text, state in labels.texts.states().items()}
    states: dict[str, pd.Series[str]] = {}
    for name, finding in labels.findings.items():
        if finding in states:
            raise ManifestError(f"{path}: two label columns are {finding}, the second is {name!r} - keep one of them")
        texts = column(table, (name,), path)
        values = texts.str.casefold().map(known)
        strange = texts[values.isna()]
        refuse_rows(
            values.isna(),
            path,
            f"have an unexplained label in column {name!r}, such as {strange.iloc[0] if len(strange) else ''!r}",
            "say what it stands for in labels.texts",
        )
        states[finding] = values
    return pd.DataFrame(states, index=table.index, dtype="str")


def _listed(table: pd.DataFrame, labels: ListedLabels, path: Path) -> pd.DataFrame:
    findings = tuple(dict.fromkeys(finding for finding in labels.findings.values() if finding is not None))
    codes, cells = pd.factorize(column(table, (labels.column,), path))
    states = np.full((len(cells), len(findings)), labels.others.value, dtype="<U16")
    for code, cell in enumerate(cells):
        if not cell:
            states[code] = LabelState.NOT_LABELLED.value
        for text in (part.strip() for part in str(cell).split(labels.separator)):
            if not text:
                continue
            if text not in labels.findings:
                line = int((codes == code).argmax()) + FIRST_LINE
                raise ManifestError(
                    f"{path}: line {line}: column {labels.column!r} names {text!r}, which labels.findings does not "
                    "explain - give its finding, or null if it stands for none"
                )
            finding = labels.findings[text]
            if finding is not None:
                states[code, findings.index(finding)] = LabelState.PRESENT.value
    return pd.DataFrame(states[codes], columns=list(findings), index=table.index, dtype="str")
