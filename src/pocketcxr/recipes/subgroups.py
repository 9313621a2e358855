"""A manifest's rows as groups by sex, age and view position, as the data card counts them."""

from collections.abc import Sequence

import pandas as pd

from pocketcxr.domain.study import Sex, ViewPosition
from pocketcxr.evaluate.subgroups import Grouping
from pocketcxr.manifest.card_content import AGE_BANDS, AGE_EDGES, UNKNOWN

SEXES: dict[str, str] = {
    Sex.FEMALE.value: "female",
    Sex.MALE.value: "male",
    Sex.OTHER.value: "other",
    Sex.UNKNOWN.value: UNKNOWN,
}
VIEWS: dict[str, str] = {
    ViewPosition.PA.value: "PA",
    ViewPosition.AP.value: "AP",
    ViewPosition.LATERAL.value: "lateral",
    ViewPosition.UNKNOWN.value: UNKNOWN,
}


def groupings(table: pd.DataFrame, image_ids: Sequence[str]) -> tuple[Grouping, ...]:
    """The groups of the images `image_ids`, in their order, by a manifest's `table`.

    Whoever's sex, age or view position is not known is in the group unknown of that attribute.
    """
    rows = table.set_index(table["image_id"].astype(str)).loc[list(image_ids)]
    ages = pd.cut(rows["age_years"], AGE_EDGES, labels=AGE_BANDS, right=False).astype(object)
    return (
        Grouping("sex", tuple(SEXES.values()), tuple(rows["sex"].map(SEXES))),
        Grouping("age", (*AGE_BANDS, UNKNOWN), tuple(ages.where(rows["age_years"].notna(), UNKNOWN))),
        Grouping("view", tuple(VIEWS.values()), tuple(rows["view_position"].map(VIEWS))),
    )
