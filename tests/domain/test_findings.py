"""Findings have one spelling, one order and one place in the tree of kinds."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketcxr.domain.errors import UnknownNameError
from pocketcxr.domain.findings import (
    CHESTXRAY14,
    CHEXPERT,
    CHEXPERT_COMPETITION,
    broader,
    canonical,
    in_order,
    known_findings,
    meaning,
    narrower,
)
from pocketcxr.domain.vocabulary import VOCABULARY

EVERY = known_findings()
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "findings.md"
XRV = (
    *("Atelectasis", "Consolidation", "Infiltration", "Pneumothorax", "Edema", "Emphysema", "Fibrosis", "Effusion"),
    *("Pneumonia", "Pleural_Thickening", "Cardiomegaly", "Nodule", "Mass", "Hernia", "Lung Lesion", "Fracture"),
    *("Lung Opacity", "Enlarged Cardiomediastinum"),
)
"""torchxrayvision's default_pathologies."""


def test_the_box_lists_spelling_is_understood() -> None:
    assert canonical("Infiltrate") == "Infiltration"


def test_a_typo_names_the_nearest_finding() -> None:
    with pytest.raises(UnknownNameError, match=r"'Cardiomegali' is unknown; did you mean 'Cardiomegaly'\?"):
        canonical("Cardiomegali")


@given(st.lists(st.sampled_from(CHESTXRAY14)))
def test_order_is_that_of_the_data_set_whatever_is_given(names: list[str]) -> None:
    ordered = in_order(names)
    assert set(ordered) == set(names)
    assert list(ordered) == sorted(set(names), key=CHESTXRAY14.index)


def test_the_vocabulary_has_every_finding_that_data_sets_share() -> None:
    assert {*CHESTXRAY14, *CHEXPERT} <= set(EVERY)
    assert set(CHEXPERT_COMPETITION) < set(CHEXPERT)
    assert {canonical(name, EVERY) for name in XRV} <= set(EVERY)


def test_no_text_stands_for_two_findings() -> None:
    texts = [text.replace("_", " ").casefold() for f in VOCABULARY for text in {f.name, *f.synonyms}]
    assert len({f.name for f in VOCABULARY}) == len(VOCABULARY)
    assert sorted(set(texts)) == sorted(texts)


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("Pleural Effusion", "Effusion"),
        ("pleural effusion", "Effusion"),
        ("No Finding", "No_Finding"),
        ("Enlarged Cardiomediastinum", "Enlarged_Cardiomediastinum"),
        ("pulmonary  fibrosis", "Fibrosis"),
        ("ILD", "Interstitial_Lung_Disease"),
    ],
)
def test_one_thing_has_one_name_whoever_spells_it(text: str, finding: str) -> None:
    assert canonical(text, EVERY) == finding


@given(st.data())
def test_every_spelling_leads_to_its_finding(data: st.DataObject) -> None:
    entry = meaning(data.draw(st.sampled_from(EVERY)))
    text = data.draw(st.sampled_from([entry.name, *entry.synonyms]))
    assert canonical(data.draw(st.sampled_from([text, text.upper(), text.replace(" ", "_")])), EVERY) == entry.name


@given(st.sampled_from(EVERY))
def test_kinds_make_no_circle_and_both_directions_agree(name: str) -> None:
    assert name not in broader(name)
    assert broader(name) <= set(EVERY)
    assert all(name in narrower(parent) for parent in broader(name))
    assert all(broader(parent) <= broader(name) for parent in broader(name))


def test_chexperts_tree_is_in_it() -> None:
    assert {"Edema", "Consolidation", "Pneumonia", "Lung_Lesion", "Atelectasis"} <= narrower("Lung_Opacity")
    assert broader("Cardiomegaly") == {"Enlarged_Cardiomediastinum"}
    assert broader("Nodule") == {"Lung_Lesion", "Lung_Opacity"}
    assert "Pleural_Thickening" in narrower("Pleural_Other")


def test_nothing_implies_that_there_is_no_finding_or_that_there_is_air_in_the_pleura() -> None:
    assert narrower("No_Finding") == broader("No_Finding") == frozenset()
    assert narrower("Pneumothorax") == {"Hydropneumothorax"}


def test_a_name_of_ones_own_has_no_kinds() -> None:
    assert broader("Swallowed_Coin") == narrower("Swallowed_Coin") == frozenset()
    with pytest.raises(UnknownNameError, match="Swallowed_Coin"):
        meaning("Swallowed_Coin")


def test_the_reference_shows_every_finding_as_it_is() -> None:
    lines = REFERENCE.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    expected = [[f"`{f.name}`", f.definition, ", ".join(f.synonyms), ", ".join(f.broader)] for f in VOCABULARY]
    assert rows == expected
