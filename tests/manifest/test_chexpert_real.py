"""The reader of CheXpert on the complete official table, where torchxrayvision, which ships it, is installed."""

from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from pocketcxr.manifest.chexpert_labels import OBSERVATIONS
from pocketcxr.manifest.image_files import ImagesConfig
from pocketcxr.manifest.schema import Manifest
from pocketcxr.manifest.sources.chexpert import ChexpertConfig, read

STATES = {1.0: "present", 0.0: "absent", -1.0: "uncertain"}
STUDIES = {
    "No Finding": (16627, 0, 171014),
    "Enlarged Cardiomediastinum": (9020, 10148, 168473),
    "Cardiomegaly": (23002, 6597, 158042),
    "Lung Opacity": (92669, 4341, 90631),
    "Lung Lesion": (6856, 1071, 179714),
    "Edema": (48905, 11571, 127165),
    "Consolidation": (12730, 23976, 150935),
    "Pneumonia": (4576, 15658, 167407),
    "Atelectasis": (29333, 29377, 128931),
    "Pneumothorax": (17313, 2663, 167665),
    "Pleural Effusion": (75696, 9419, 102526),
    "Pleural Other": (2441, 1771, 183429),
    "Fracture": (7270, 484, 179887),
    "Support Devices": (105831, 898, 80912),
}
"""Table 1 of Irvin et al. 2019: studies positive, uncertain, and negative or not mentioned."""


@pytest.fixture(scope="module")
def official() -> Path:
    package = find_spec("torchxrayvision")
    if package is None or not package.submodule_search_locations:
        pytest.skip("the official label table comes with torchxrayvision, which is not installed")
    return Path(package.submodule_search_locations[0]) / "data" / "chexpert_train.csv.gz"


@pytest.fixture(scope="module")
def manifest(official: Path) -> Manifest:
    images = ImagesConfig(labels_only=True)
    return read(official.parent, ChexpertConfig(train_table=official.name, parts=("train",), images=images))


def test_every_image_and_patient_is_there_and_patients_are_apart(manifest: Manifest) -> None:
    assert (manifest.num_images, manifest.num_patients) == (223_414, 64_540)
    assert manifest.table["study_id"].nunique() == 187_641
    assert set(manifest.table["split"]) == {"train", "validation"}
    assert (manifest.table.groupby("patient_id")["split"].nunique() == 1).all()
    validation = manifest.table.loc[manifest.table["split"] == "validation", "patient_id"].nunique()
    assert abs(validation - 0.125 * 64_540) <= 1


def test_people_and_views_are_those_of_the_table(manifest: Manifest) -> None:
    table = manifest.table
    assert table["view_position"].value_counts().to_dict() == {
        "AP": 161_590,
        "LATERAL": 32_387,
        "PA": 29_420,
        "UNKNOWN": 17,
    }
    assert table["sex"].value_counts().to_dict() == {"M": 132_636, "F": 90_777, "UNKNOWN": 1}
    assert table["age_years"].isna().sum() == 3
    assert (table["age_years"].min(), table["age_years"].max()) == (18, 90)


def test_the_states_are_those_that_pandas_counts_in_the_table(manifest: Manifest, official: Path) -> None:
    raw = pd.read_csv(official)
    for mapping in OBSERVATIONS:
        states = manifest.table[f"label.{mapping.finding}"]
        expected = raw[mapping.label].map(STATES).fillna("unmentioned")
        assert states.value_counts().to_dict() == expected.value_counts().to_dict(), mapping.label
        assert (states.to_numpy() == expected.to_numpy()).all(), mapping.label


def test_the_studies_are_those_of_the_published_table(manifest: Manifest) -> None:
    studies = manifest.table.drop_duplicates("study_id")
    for mapping in OBSERVATIONS:
        counts = studies[f"label.{mapping.finding}"].value_counts()
        present, uncertain = int(counts["present"]), int(counts.get("uncertain", 0))
        assert (present, uncertain, len(studies) - present - uncertain) == STUDIES[mapping.label], mapping.label
