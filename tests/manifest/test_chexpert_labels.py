"""The 14 observations of the CheXpert labeller: their columns, names and states."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.findings import CHEXPERT, canonical
from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.chexpert_labels import OBSERVATIONS, OTHER_SPELLINGS, findings_told, observation_states

TABLE = Path("t.csv")


def test_every_column_of_the_official_table_is_mapped_and_every_finding_has_one() -> None:
    assert [mapping.finding for mapping in OBSERVATIONS] == list(CHEXPERT)
    assert {mapping.finding for mapping in OTHER_SPELLINGS} <= set(CHEXPERT)
    assert [canonical(mapping.label, CHEXPERT) for mapping in OBSERVATIONS] == list(CHEXPERT)


@given(st.lists(st.sampled_from(["1", "1.0", "0", "0.0", "-1", "-1.0", " 1.0", ""]), min_size=1, max_size=20))
def test_a_state_is_what_its_number_says(texts: list[str]) -> None:
    states = observation_states(pd.DataFrame({"Edema": texts}, dtype="str"), TABLE, ("Edema",))["Edema"]
    numbers = pd.to_numeric(pd.Series(texts), errors="coerce")
    expected = {1.0: LabelState.PRESENT, 0.0: LabelState.ABSENT, -1.0: LabelState.UNCERTAIN}
    assert states.tolist() == [expected.get(number, LabelState.UNMENTIONED).value for number in numbers]


def test_a_text_that_is_no_state_is_said_with_its_column_and_line() -> None:
    table = pd.DataFrame({"Airspace Opacity": ["1", "0", "2.0", "yes"]}, dtype="str")
    with pytest.raises(ManifestError, match=r"t\.csv: 2 rows .* in column 'Airspace Opacity', such as '2\.0' .*line 4"):
        observation_states(table, TABLE, ("Lung_Opacity",))


def test_the_findings_that_a_table_has_columns_for() -> None:
    table = pd.DataFrame({"Pleural Effusion": ["1"], "No Findings": [""]}, dtype="str")
    assert findings_told(table, TABLE) == ("No_Finding", "Effusion")
    with pytest.raises(ManifestError, match=r"has a column for none of Edema; its columns are 'Pleural Effusion'"):
        findings_told(table, TABLE, ("Edema",))
