"""What tables say about people and views, in our words."""

import pandas as pd

from pocketcxr.domain.study import Sex, ViewPosition
from pocketcxr.manifest.rules import MAX_AGE_YEARS

VIEWS: dict[str, str] = {view.value: view.value for view in ViewPosition} | {
    "L": ViewPosition.LATERAL.value,
    "LL": ViewPosition.LATERAL.value,
    "RL": ViewPosition.LATERAL.value,
    "LATERAL": ViewPosition.LATERAL.value,
}
"""Texts of official tables -> ViewPosition; what is not here is UNKNOWN."""

SEXES: dict[str, str] = {sex.value: sex.value for sex in Sex} | {
    "Female": Sex.FEMALE.value,
    "Male": Sex.MALE.value,
}
"""Texts of official tables -> Sex; what is not here is UNKNOWN."""

_YEARS_OF = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


def views(texts: "pd.Series[str]") -> "pd.Series[str]":
    """The view positions, UNKNOWN where the text is none that we know."""
    return texts.map(VIEWS).fillna(ViewPosition.UNKNOWN.value).astype("str")


def sexes(texts: "pd.Series[str]") -> "pd.Series[str]":
    """The sexes, UNKNOWN where the text is none that we know."""
    return texts.map(SEXES).fillna(Sex.UNKNOWN.value).astype("str")


def age_in_years(ages: "pd.Series[str]") -> "pd.Series[float]":
    """Ages such as "58", "058Y", "010M" in years, float64; NaN where none is given or believable (there is a 414)."""
    parts = pd.Series(ages.unique()).str.extract(r"^(\d+(?:\.\d+)?)([YMWD]?)$")
    years = pd.to_numeric(parts[0]).astype("float64") * parts[1].map(_YEARS_OF).astype("float64")
    known = dict(zip(ages.unique(), years.where(years <= MAX_AGE_YEARS), strict=True))
    return ages.map(known).astype("float64")
