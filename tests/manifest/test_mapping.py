"""Every label text of a source is mapped on purpose, and what is in no mapping stops."""

import pkgutil
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.findings import known_findings
from pocketcxr.manifest import sources
from pocketcxr.manifest.mapping import LabelMapping, by_label, finding_of, findings_of, mapping_table

MAPPINGS = (
    LabelMapping("pleural effusion", "Effusion"),
    LabelMapping("mass", "Mass"),
    LabelMapping("normal", None, "none of the others"),
    LabelMapping("coin", "Swallowed_Coin"),
)
KNOWN = by_label(MAPPINGS)
TABLE = Path("labels.csv")


def test_a_column_of_texts_becomes_findings_and_unmapped_ones_nan() -> None:
    found = findings_of(pd.Series(["mass", "normal", "pleural effusion", "mass"], index=[3, 4, 5, 6]), KNOWN, TABLE)
    assert found.isna().tolist() == [False, True, False, False]
    assert found.dropna().tolist() == ["Mass", "Effusion", "Mass"]
    assert found.index.tolist() == [3, 4, 5, 6]


def test_a_text_in_no_mapping_is_an_error_with_its_line_and_the_nearest_texts() -> None:
    with pytest.raises(ManifestError, match=r"labels\.csv: line 4: label 'mas' is none .*nearest: 'mass'"):
        findings_of(pd.Series(["mass", "normal", "mas", "mas"]), KNOWN, TABLE)


def test_not_mapped_on_purpose_is_no_error() -> None:
    assert finding_of("normal", KNOWN, "here") is None


def test_one_text_is_mapped_once() -> None:
    with pytest.raises(ManifestError, match="'mass' is mapped twice"):
        by_label([*MAPPINGS, LabelMapping("mass", "Lung_Lesion")])


def test_the_table_for_people_shows_what_is_mapped_what_it_means_and_what_is_not() -> None:
    table = mapping_table(MAPPINGS)
    assert table["label"].tolist() == [mapping.label for mapping in MAPPINGS]
    assert table["finding"].tolist() == ["Effusion", "Mass", "", "Swallowed_Coin"]
    assert table["meaning"].tolist()[0] == "fluid between the pleural layers"
    assert table["meaning"].tolist()[2:] == ["", ""]
    assert table["note"].tolist()[2] == "none of the others"


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(sources.__path__)])
def test_every_reader_maps_each_text_once_and_to_a_finding_of_the_vocabulary(name: str) -> None:
    reader = import_module(f"{sources.__name__}.{name}")
    mappings = by_label(reader.mappings() if "mappings" in vars(reader) else reader.MAPPINGS)
    strange = {mapping.finding for mapping in mappings.values()} - {*known_findings(), None}
    assert not strange
