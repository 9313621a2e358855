"""PadChest's label lists, its vocabulary and what a label implies."""

from collections.abc import Sequence
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.findings import known_findings
from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.padchest_labels import LABELS, MAPPINGS, LabelReading, label_states, listed, read_cells

COMMON = LabelReading("common", "definition", LabelState.NOT_LABELLED, 0)
DIAGNOSES = LabelReading("differential-diagnoses", "tree", LabelState.NOT_LABELLED, 0)
ALL = LabelReading("all", "tree", LabelState.NOT_LABELLED, 0)
DIFFERENTIAL_DIAGNOSES = {
    "pneumonia": "Pneumonia",
    "atypical pneumonia": "Atypical_Pneumonia",
    "tuberculosis": "Tuberculosis",
    "tuberculosis sequelae": "Tuberculosis_Sequelae",
    "lung metastasis": "Lung_Metastasis",
    "lymphangitis carcinomatosa": "Lymphangitis_Carcinomatosa",
    "lepidic adenocarcinoma": "Lepidic_Adenocarcinoma",
    "pulmonary fibrosis": "Fibrosis",
    "post radiotherapy changes": "Post_Radiotherapy_Changes",
    "asbestosis signs": "Asbestosis_Signs",
    "emphysema": "Emphysema",
    "COPD signs": "COPD_Signs",
    "heart insufficiency": "Heart_Failure_Signs",
    "respiratory distress": "Respiratory_Distress",
    "pulmonary hypertension": "Pulmonary_Hypertension",
    "pulmonary artery hypertension": "Pulmonary_Artery_Hypertension",
    "pulmonary venous hypertension": "Pulmonary_Venous_Hypertension",
    "pulmonary edema": "Edema",
    "bone metastasis": "Bone_Metastasis",
}
SEEN = [text for text, label in LABELS.items() if label.kind != "report"]


def states(rows: Sequence[str], reading: LabelReading) -> pd.DataFrame:
    """The states of rows with these Labels, all of them chosen."""
    cells = read_cells(pd.Series(rows, dtype="str"), Path("t.csv"))
    return label_states(cells, np.ones(len(rows), dtype=np.bool_), reading)


def one(labels: Sequence[str], reading: LabelReading) -> dict[str, str]:
    """The states of a row that lists these labels."""
    return {str(name): str(state) for name, state in states([str(list(labels))], reading).iloc[0].items()}


@cache
def of_label(label: str, reading: LabelReading) -> set[str]:
    return present([label], reading)


def present(labels: Sequence[str], reading: LabelReading) -> set[str]:
    return {name for name, state in one(labels, reading).items() if state == "present"}


def test_the_vocabulary_has_174_findings_19_diagnoses_and_104_places() -> None:
    kinds = pd.Series([label.kind for label in LABELS.values()]).value_counts()
    assert kinds.to_dict() == {"finding": 170, "diagnosis": 19, "report": 4}
    assert len(MAPPINGS) == 193 + 104
    assert {text: label.name for text, label in LABELS.items() if label.kind == "diagnosis"} == DIFFERENTIAL_DIAGNOSES


def test_parents_are_labels_and_names_are_one_label_s_own() -> None:
    assert set(chain(*((*label.kind_of, *label.filed_under) for label in LABELS.values()))) <= LABELS.keys()
    names = [label.name for label in LABELS.values() if label.name]
    assert len(set(names)) == len(names)
    # Who bears a name of the vocabulary means the same by it.
    assert all(label.finding == label.name for label in LABELS.values() if label.name in known_findings())


def test_diagnoses_and_findings_are_two_trees() -> None:
    for label in LABELS.values():
        assert {LABELS[parent].kind for parent in (*label.kind_of, *label.filed_under)} <= {label.kind}


@given(st.lists(st.sampled_from(sorted(LABELS)), max_size=6), st.sampled_from(["", " ", "  "]))
def test_a_list_as_python_writes_it_is_read_back(labels: list[str], pad: str) -> None:
    assert listed(str([pad + label + pad for label in labels])) == tuple(labels)
    assert listed(str(labels).replace("'", '"')) == tuple(labels)


@pytest.mark.parametrize(
    "cell",
    ["['pneumonia'", "pneumonia", "['pneumonia' 'nodule']", "['a']['b']", "[[]]", "{'a'}", "[1]", "['a',]", "['a', 'b"],
)
def test_anything_else_is_no_list(cell: str) -> None:
    assert listed(cell) is None
    assert set(one_cell(cell).unique()) == {"not-labelled"}


def one_cell(cell: str) -> "pd.Series[str]":
    return states([cell], COMMON).iloc[0]


@pytest.mark.parametrize("cell", ["", "nan", "[]", "['exclude']", "[' exclude', 'exclude']"])
def test_a_report_that_nobody_labelled_says_nothing(cell: str) -> None:
    cells = read_cells(pd.Series([cell, "['normal']"]), Path("t.csv"))
    assert cells.is_unlabelled.tolist() == [True, False]
    assert not cells.is_incomplete.any()
    assert set(one_cell(cell).unique()) == {"not-labelled"}


def test_what_a_report_does_not_name_is_unmentioned_and_where_it_is_normal_absent() -> None:
    told = one(["pneumonia", " hiatal hernia"], COMMON)
    assert (told["Pneumonia"], told["Hernia"], told["Lung_Opacity"]) == ("present",) * 3
    assert (told["Effusion"], told["No_Finding"]) == ("unmentioned", "absent")
    normal = one(["normal"], COMMON)
    assert normal.pop("No_Finding") == "present"
    assert set(normal.values()) == {"absent"}


def test_normal_beside_other_labels_says_nothing() -> None:
    assert one(["cardiomegaly", " normal"], COMMON) == one(["cardiomegaly"], COMMON)
    assert set(one(["unchanged", "normal"], COMMON).values()) == {"not-labelled"}


@pytest.mark.parametrize("mark", ["unchanged", "suboptimal study", "", " exclude"])
def test_what_an_incomplete_report_does_not_name_is_unknown_unless_it_is_asked_for(mark: str) -> None:
    told = one([mark, "cardiomegaly"], COMMON)
    assert (told["Cardiomegaly"], told["Effusion"], told["No_Finding"]) == ("present", "not-labelled", "absent")
    asked = LabelReading("common", "definition", LabelState.UNMENTIONED, 0)
    assert one([mark, "cardiomegaly"], asked) == one(["cardiomegaly"], asked)


@pytest.mark.parametrize("alone", ["unchanged", "suboptimal study", ""])
def test_an_incomplete_report_that_names_nothing_says_nothing(alone: str) -> None:
    assert set(one([alone], COMMON).values()) == {"not-labelled"}


def test_a_label_makes_its_parents_present_up_to_the_root() -> None:
    assert present(["calcified mediastinal adenopathy"], ALL) == {
        "Calcified_Mediastinal_Adenopathy",
        "Calcified_Adenopathy",
        "Calcification",
        "Adenopathy",
        "Hilar_Enlargement",
    }
    assert present(["tuberculosis sequelae"], DIAGNOSES) == {"Tuberculosis_Sequelae", "Tuberculosis"}
    assert present(["nodule"], DIAGNOSES) == set()


def test_by_definition_only_what_always_holds_is_implied() -> None:
    assert present(["tuberculosis sequelae"], COMMON) == {"Tuberculosis_Sequelae"}
    assert present(["hiatal hernia"], COMMON) == {"Hernia"}
    assert present(["calcified granuloma"], COMMON) == {"Calcified_Granuloma", "Granuloma", "Calcification"}
    assert present(["dai"], COMMON) == {"Pacemaker", "Support_Devices"}
    bare = LabelReading("common", "none", LabelState.NOT_LABELLED, 0)
    assert present(["calcified granuloma"], bare) == {"Calcified_Granuloma"}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(SEEN), min_size=1, max_size=5), st.sampled_from([COMMON, DIAGNOSES, ALL]))
def test_a_row_has_what_its_labels_have_each_and_none_is_lost(labels: list[str], reading: LabelReading) -> None:
    assert present(labels, reading) == set().union(*(of_label(label, reading) for label in labels))
    if reading is ALL:
        assert {LABELS[label].name for label in labels} <= present(labels, reading)


def test_a_word_inside_another_label_is_not_that_label() -> None:
    assert "Emphysema" not in present(["subcutaneous emphysema"], COMMON)
    assert "Mass" not in present(["breast mass"], COMMON)


def test_rare_findings_are_left_out_but_for_the_diagnoses() -> None:
    rows = ["['nodule']", "['nodule', 'cardiomegaly']", "['pneumonia']"]
    twice = LabelReading("common", "none", LabelState.NOT_LABELLED, 2)
    assert list(states(rows, twice).columns) == ["Nodule"]
    twice = LabelReading("differential-diagnoses", "none", LabelState.NOT_LABELLED, 2)
    assert list(states(rows, twice).columns) == list(DIFFERENTIAL_DIAGNOSES.values())


def test_rows_that_were_not_chosen_count_for_nothing() -> None:
    cells = read_cells(pd.Series(["['nodule']", "['goiter']"]), Path("t.csv"))
    chosen = label_states(cells, np.array([False, True]), LabelReading("all", "none", LabelState.NOT_LABELLED, 1))
    assert chosen.to_dict(orient="list") == {"Goiter": ["present"]}


def test_an_unknown_label_is_refused_with_its_line_and_the_nearest_ones() -> None:
    with pytest.raises(ManifestError, match=r"t\.csv: line 4: label 'pnuemonia' .*nearest: 'pneumonia'"):
        read_cells(pd.Series(["['normal']", "['nodule']", "['nodule', 'pnuemonia']"]), Path("t.csv"))


def test_a_place_is_no_label() -> None:
    with pytest.raises(ManifestError, match="'loc right'"):
        read_cells(pd.Series(["['loc right']"]), Path("t.csv"))
