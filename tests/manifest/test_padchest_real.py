"""The reader of PadChest on the complete official table, where torchxrayvision, which ships it, is installed."""

from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from pocketcxr.domain.errors import RefusalCode
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.padchest_labels import LABELS, MAPPINGS, listed
from pocketcxr.manifest.schema import Manifest
from pocketcxr.manifest.sources.padchest import TABLE, PadchestConfig, known_broken, read

EVERY = PadchestConfig(
    projections=("PA", "AP", "AP_horizontal", "L", "COSTAL", "EXCLUDE", "UNK"),
    findings="differential-diagnoses",
    implied="none",
    unlabelled="keep",
    known_broken="keep",
    images=ImagesConfig(labels_only=True),
)
DIAGNOSES = {
    "Pneumonia": 7953,
    "Atypical_Pneumonia": 244,
    "Tuberculosis": 308,
    "Tuberculosis_Sequelae": 1070,
    "Lung_Metastasis": 358,
    "Lymphangitis_Carcinomatosa": 52,
    "Lepidic_Adenocarcinoma": 15,
    "Fibrosis": 1228,
    "Post_Radiotherapy_Changes": 344,
    "Asbestosis_Signs": 70,
    "Emphysema": 1538,
    "COPD_Signs": 23_280,
    "Heart_Failure_Signs": 2461,
    "Respiratory_Distress": 52,
    "Pulmonary_Hypertension": 175,
    "Pulmonary_Artery_Hypertension": 43,
    "Pulmonary_Venous_Hypertension": 12,
    "Edema": 1456,
    "Bone_Metastasis": 195,
}
"""Images whose Labels name the diagnosis itself."""


@pytest.fixture(scope="module")
def official() -> Path:
    package = find_spec("torchxrayvision")
    if package is None or not package.submodule_search_locations:
        pytest.skip("the official label table comes with torchxrayvision, which is not installed")
    return Path(package.submodule_search_locations[0]) / "data"


@pytest.fixture(scope="module")
def every(official: Path) -> Manifest:
    return read(official, EVERY)


@pytest.fixture(scope="module")
def texts(official: Path) -> pd.DataFrame:
    return pd.read_csv(
        official / f"{TABLE}.gz", usecols=["ImageID", "Labels", "Localizations"], dtype="str", keep_default_na=False
    )


def test_every_row_is_there_and_patients_are_apart(every: Manifest) -> None:
    assert every.num_images == 160_861
    assert not every.refused
    assert every.table["study_id"].nunique() == 109_931
    # The table has 67,625 names of patients; two of them share a study and are one person.
    assert every.num_patients == 67_624
    assert every.table.groupby("patient_id")["split"].nunique().max() == 1
    assert every.table.groupby("study_id")["split"].nunique().max() == 1


def test_people_and_views_are_those_of_the_table(every: Manifest) -> None:
    table = every.table
    assert table["view_position"].value_counts().to_dict() == {
        "PA": 91_728,
        "LATERAL": 49_579,
        "AP": 4559 + 14_346,
        "UNKNOWN": 630 + 11 + 8,
    }
    assert table["sex"].value_counts().to_dict() == {"M": 80_920, "F": 79_919, "O": 18, "UNKNOWN": 4}
    assert int(table["age_years"].isna().sum()) == 6
    assert (table["age_years"].min(), table["age_years"].max()) == (0, 105)
    assert (table["height"].min(), table["width"].max()) == (636, 4280)


def test_the_19_diagnoses_are_counted_as_in_the_file(every: Manifest, texts: pd.DataFrame) -> None:
    counts = {name: int((every.table[f"label.{name}"] == "present").sum()) for name in every.findings}
    assert counts == DIAGNOSES
    names = {label.name: text for text, label in LABELS.items()}
    for name, count in counts.items():
        assert texts["Labels"].str.contains(rf"' *{names[name]} *'").sum() == count


def test_every_label_is_known_and_every_cell_is_a_list_or_missing(texts: pd.DataFrame) -> None:
    counts = texts["Labels"].value_counts()
    lists = {cell: listed(str(cell)) for cell in counts.index}
    assert [(cell, counts[cell]) for cell, labels in lists.items() if labels is None] == [("nan", 103)]
    used = {label for labels in lists.values() for label in labels or ()}
    assert used - {""} == LABELS.keys()
    places = {place for cell in texts["Localizations"].unique() for place in listed(cell) or ()}
    assert places == {mapping.label for mapping in MAPPINGS} - LABELS.keys()


def test_broken_files_are_images_of_the_table(texts: pd.DataFrame) -> None:
    assert len(known_broken()) == 21
    assert set(known_broken()) <= set(texts["ImageID"])


def test_by_default_frontal_images_with_labels_are_read(official: Path) -> None:
    manifest = read(official, PadchestConfig(images=ImagesConfig(labels_only=True)))
    assert (manifest.num_images, manifest.num_patients, len(manifest.findings)) == (109_583, 66_825, 97)
    codes = pd.Series([refusal.code for refusal in manifest.refused]).value_counts()
    assert codes.to_dict() == {RefusalCode.BAD_RECORD: 1032, RefusalCode.CORRUPT: 18}
    assert manifest.num_images + len(manifest.refused) == 91_728 + 4559 + 14_346
    normal = manifest.table["label.No_Finding"] == "present"
    assert int(normal.sum()) == 35_937
    assert (manifest.table.loc[normal, "label.Effusion"] == "absent").all()
