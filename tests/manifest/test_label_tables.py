"""Labels in somebody's own table: every text is explained or refused, an empty cell is no answer."""

from pathlib import Path

import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError

from pocketcxr.domain.errors import ManifestError
from pocketcxr.manifest.label_tables import Labels, ListedLabels, WideLabels, own_findings, read_table, states_of

PATH = Path("labels.csv")
WIDE = {"findings": {"effusion?": "Pleural Effusion", "nodule?": "Nodule"}}
LISTED = {
    "kind": "list",
    "column": "labels",
    "separator": ";",
    "others": "absent",
    "findings": {"effusion": "Effusion", "lump": "Mass", "tumour": "Mass", "normal": None},
}


def table_of(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype="str")


def test_columns_of_yes_and_no_become_states() -> None:
    table = table_of(
        **{"effusion?": ["1", "0.0", "-1", "", " YES "], "nodule?": ["no", "", "uncertain", "1", "absent"]}
    )
    states = states_of(table, WideLabels.model_validate(WIDE), PATH)
    assert states["Effusion"].tolist() == ["present", "absent", "uncertain", "not-labelled", "present"]
    assert states["Nodule"].tolist() == ["absent", "not-labelled", "uncertain", "present", "absent"]


def test_an_empty_cell_means_what_the_owner_says_it_means() -> None:
    texts = {"unmentioned": [""], "not_labelled": ["n/a"], "present": ["x"]}
    labels = WideLabels.model_validate({"findings": {"m": "Mass"}, "texts": texts})
    states = states_of(table_of(m=["x", "", "N/A"]), labels, PATH)
    assert states["Mass"].tolist() == ["present", "unmentioned", "not-labelled"]


def test_an_unexplained_text_is_refused_with_its_line() -> None:
    table = table_of(**{"effusion?": ["1", "1", "maybe"], "nodule?": ["0", "0", "0"]})
    with pytest.raises(
        ManifestError, match=r"labels\.csv: 1 rows have .*'effusion\?', such as 'maybe' \(first: line 4\)"
    ):
        states_of(table, WideLabels.model_validate(WIDE), PATH)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ManifestError, match=r"has no column 'nodule\?'"):
        states_of(table_of(**{"effusion?": ["1"]}), WideLabels.model_validate(WIDE), PATH)


def test_two_columns_for_one_finding_are_refused() -> None:
    labels = WideLabels.model_validate({"findings": {"a": "Pleural Effusion", "b": "Effusion"}})
    with pytest.raises(ManifestError, match="two label columns are Effusion, the second is 'b'"):
        states_of(table_of(a=["1"], b=["0"]), labels, PATH)


def test_a_column_of_names_becomes_states() -> None:
    states = states_of(table_of(labels=["effusion; lump", "normal", "", "tumour;lump;"]), ListedLabels(**LISTED), PATH)
    assert states["Effusion"].tolist() == ["present", "absent", "not-labelled", "absent"]
    assert states["Mass"].tolist() == ["present", "absent", "not-labelled", "present"]


def test_what_a_report_does_not_name_is_unmentioned_if_so_configured() -> None:
    labels = ListedLabels(**{**LISTED, "others": "unmentioned"})
    assert states_of(table_of(labels=["lump"]), labels, PATH)["Effusion"].tolist() == ["unmentioned"]


def test_a_name_that_is_not_explained_is_refused_with_its_line() -> None:
    with pytest.raises(ManifestError, match=r"labels\.csv: line 3: column 'labels' names 'coin'"):
        states_of(table_of(labels=["lump", "lump;coin"]), ListedLabels(**LISTED), PATH)


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        ({"kind": "columns", "findings": {}}, "at least 1"),
        ({"kind": "columns", "findings": {"a": "so so"}}, "letters, digits and underscores"),
        (
            {"kind": "columns", "findings": {"a": "Mass"}, "texts": {"absent": [""]}},
            "stands for both absent and not-labelled",
        ),
        ({"kind": "list", "column": "a", "findings": {"b": "Mass"}}, "others"),
        ({"kind": "list", "column": "a", "findings": {"b": "Mass"}, "others": "present"}, "others"),
    ],
)
def test_a_config_that_says_two_things_or_too_little_is_refused(labels: dict[str, object], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        TypeAdapter(Labels).validate_python(labels)


def test_without_labels_there_are_rows_and_no_columns() -> None:
    assert states_of(table_of(a=["1", "2"]), None, PATH).shape == (2, 0)


def test_names_that_the_vocabulary_lacks_are_kept_and_told() -> None:
    labels = WideLabels.model_validate({"findings": {"a": "Swallowed_Coin", "b": "pulmonary edema"}})
    assert list(labels.findings.values()) == ["Swallowed_Coin", "Edema"]
    assert own_findings(labels.findings.values()) == ("Swallowed_Coin",)


def test_parquet_reads_as_the_same_texts_as_csv(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["é 1", "b"], "m": [1, 0], "n": [1.0, None], "yes": [True, False]})
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert read_table(tmp_path / "t.parquet").equals(read_table(tmp_path / "t.csv"))


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_text("id,m\n1,2\n")
    for name in ("t.parquet", "absent.parquet"):
        with pytest.raises(ManifestError, match=rf"{name}: is no readable Parquet file .* - "):
            read_table(tmp_path / name)
