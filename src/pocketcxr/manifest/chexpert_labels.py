"""The 14 observations of the CheXpert labeller (Irvin et al. 2019, arXiv 1901.07031): columns and their four states.

CheXpert itself and MIMIC-CXR-JPG are labelled with it; both readers use what is here.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.findings import CHEXPERT
from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.csv_tables import column, refuse_rows
from pocketcxr.manifest.mapping import LabelMapping

OBSERVATIONS: tuple[LabelMapping, ...] = (
    LabelMapping("No Finding", "No_Finding", "1 or blank, never 0: a blank is no statement that something was found"),
    LabelMapping("Enlarged Cardiomediastinum", "Enlarged_Cardiomediastinum"),
    LabelMapping("Cardiomegaly", "Cardiomegaly"),
    LabelMapping("Lung Opacity", "Lung_Opacity"),
    LabelMapping("Lung Lesion", "Lung_Lesion"),
    LabelMapping("Edema", "Edema"),
    LabelMapping("Consolidation", "Consolidation"),
    LabelMapping("Pneumonia", "Pneumonia"),
    LabelMapping("Atelectasis", "Atelectasis"),
    LabelMapping("Pneumothorax", "Pneumothorax"),
    LabelMapping("Pleural Effusion", "Effusion", "one name with ChestX-ray14's Effusion"),
    LabelMapping("Pleural Other", "Pleural_Other"),
    LabelMapping("Fracture", "Fracture"),
    LabelMapping("Support Devices", "Support_Devices"),
)
"""In the order of CheXpert's tables."""

OTHER_SPELLINGS: tuple[LabelMapping, ...] = (
    LabelMapping("No Findings", "No_Finding", "so spelled in MIMIC-CXR-JPG's table of a radiologist"),
    LabelMapping("Airspace Opacity", "Lung_Opacity", "so named in MIMIC-CXR-JPG's table of a radiologist"),
)

_STATES: dict[str, LabelState] = {
    "1": LabelState.PRESENT,
    "1.0": LabelState.PRESENT,
    "0": LabelState.ABSENT,
    "0.0": LabelState.ABSENT,
    "-1": LabelState.UNCERTAIN,
    "-1.0": LabelState.UNCERTAIN,
}


def observation_states(
    table: pd.DataFrame, path: Path, findings: Sequence[str] = CHEXPERT, blank: LabelState = LabelState.UNMENTIONED
) -> pd.DataFrame:
    """The states of the findings in the table's rows: one column a finding, of LabelState texts.

    table: of csv_tables.read_csv. blank: what an empty cell says. Raises ManifestError where a column is missing or
    holds another text than 1, 0, -1 (also with ".0") and blank.
    """
    return pd.DataFrame({finding: _states(table, path, finding, blank) for finding in findings}, dtype="str")


def findings_told(table: pd.DataFrame, path: Path, findings: Sequence[str] = CHEXPERT) -> tuple[str, ...]:
    """Those of the findings that have a column. Raises ManifestError where none has."""
    told = tuple(finding for finding in findings if set(_spellings(finding)) & set(table.columns))
    if not told:
        raise ManifestError(
            f"{path}: has a column for none of {', '.join(findings)}; its columns are "
            f"{', '.join(map(repr, table.columns))} - restore the header"
        )
    return told


def _states(table: pd.DataFrame, path: Path, finding: str, blank: LabelState) -> "pd.Series[str]":
    names = _spellings(finding)
    texts = column(table, names, path)
    states = texts.map({text: state.value for text, state in (_STATES | {"": blank}).items()})
    is_wrong = states.isna()
    if is_wrong.any():
        name = next(name for name in names if name in table.columns)
        what = f"have none of 1, 0, -1 and blank in column {name!r}, such as {texts[is_wrong].iloc[0]!r}"
        refuse_rows(is_wrong, path, what, "correct the table")
    return states


def _spellings(finding: str) -> tuple[str, ...]:
    return tuple(mapping.label for mapping in (*OBSERVATIONS, *OTHER_SPELLINGS) if mapping.finding == finding)
