"""Further images without labels: each once, nobody from validation or test, no namesake mistaken, no label seen."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.study import LabelState, Split
from pocketcxr.manifest.combine import combine
from pocketcxr.manifest.labels import LabelPolicy, label_matrix
from pocketcxr.manifest.schema import Manifest, select, validate
from pocketcxr.manifest.unlabelled import PREFIX, add_unlabelled, was_added

Make = Callable[..., Manifest]
SPLITS = ("train", "train", "validation", "test")


def elsewhere(manifest: Manifest, source: str, root: str = "/site", is_simulated: bool = False) -> Manifest:
    """The manifest as another source's."""
    header = manifest.header.model_copy(update={"source": source, "root": root, "is_simulated": is_simulated})
    return replace(manifest, table=manifest.table.assign(source=source), header=header)


@pytest.fixture
def labelled(make_manifest: Make) -> Manifest:
    """Images 0 to 3 of p0 to p3; p2 is for validation, p3 for the test."""
    return make_manifest({"Mass": ["present", "absent", "present", "absent"]}, splits=SPLITS)


@pytest.fixture
def site(make_manifest: Make) -> Manifest:
    """Three images of another place whose names are those of the labelled ones, with labels that must not be seen."""
    return elsewhere(make_manifest({"Edema": ["present"] * 3, "Mass": ["present"] * 3}), "site")


def added_to(labelled: Manifest, *further: Manifest) -> Manifest:
    whole = add_unlabelled(select(labelled, Split.TRAIN), labelled, further)
    validate(whole)
    return whole


def test_images_of_another_place_join_without_labels_and_without_namesakes(labelled: Manifest, site: Manifest) -> None:
    whole = added_to(labelled, site)
    assert was_added(whole.table["image_id"]).tolist() == [False, False, True, True, True]
    assert whole.findings == ("Mass",)
    assert whole.table["label.Mass"].tolist()[2:] == [LabelState.NOT_LABELLED.value] * 3
    assert whole.table["patient_id"].tolist() == ["p0", "p1", *(f"{PREFIX}site.p{row}" for row in range(3))]
    assert [str(whole.file_of(path)) for path in whole.table["path"]] == [
        *(f"/data/images/{row}.png" for row in range(2)),
        *(f"/site/images/{row}.png" for row in range(3)),
    ]


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(states=st.lists(st.sampled_from([state.value for state in LabelState]), min_size=1, max_size=5))
def test_no_policy_reads_a_label_of_them(make_manifest: Make, labelled: Manifest, states: Sequence[str]) -> None:
    findings = ("Mass", "Lung_Lesion", "Nodule")
    whole = added_to(labelled, elsewhere(make_manifest({"Mass": states, "Nodule": states}), "site"))
    for reading in ("unknown", "positive", "negative"):
        policy = LabelPolicy.model_validate({"uncertain": reading, "unmentioned": reading})
        labels = label_matrix(whole, findings, policy)
        assert np.isnan(labels[2:]).all()
        alone = label_matrix(select(labelled, Split.TRAIN), findings, policy)
        assert np.array_equal(labels[:2], alone, equal_nan=True)


@pytest.mark.parametrize("held", [2, 3])
def test_a_person_kept_for_validation_or_test_is_named(labelled: Manifest, held: int) -> None:
    archive = replace(labelled, table=labelled.table.iloc[[0, held]].assign(split="train", image_id=["a", "b"]))
    with pytest.raises(ManifestError, match=rf"1 of 2 show people.*patient 'p{held}', image 'b'.*split\.file"):
        added_to(labelled, archive)


def test_a_file_kept_for_the_test_is_found_under_another_name(labelled: Manifest) -> None:
    renamed = elsewhere(labelled, "archive", root="/data")
    with pytest.raises(ManifestError, match="2 of 4 show people"):
        added_to(labelled, renamed)
    assert added_to(labelled, select(renamed, Split.TRAIN)).num_images == 2


def test_images_that_are_there_already_are_not_added_and_known_people_keep_their_id(labelled: Manifest) -> None:
    more = labelled.table.iloc[[0, 1]].assign(image_id=["0.png", "new.png"], path=["images/0.png", "images/new.png"])
    archive = replace(labelled, table=more)
    whole = added_to(labelled, archive, archive)
    assert whole.table["image_id"].tolist() == ["0.png", "1.png", f"{PREFIX}test.new.png"]
    assert whole.table["patient_id"].tolist() == ["p0", "p1", "p1"]


def test_people_of_a_combined_manifest_are_known_again(labelled: Manifest, site: Manifest) -> None:
    both = combine([labelled, site])
    whole = added_to(both, site)
    assert whole.num_images == both.num_images - 2
    held = replace(labelled, table=labelled.table.iloc[[3]].assign(image_id="other.png", path="images/other.png"))
    with pytest.raises(ManifestError, match="patient 'p3'"):
        added_to(both, held)


def test_phantoms_of_two_folders_are_not_the_same_people(labelled: Manifest) -> None:
    here = elsewhere(labelled, "chestxray14", "/here", is_simulated=True)
    there = elsewhere(labelled, "chestxray14", "/there", is_simulated=True)
    assert added_to(here, there).num_images == 6
    with pytest.raises(ManifestError, match="2 of 4 show people"):
        added_to(here, here)


def test_the_same_radiographs_without_a_common_patient_id_are_refused(labelled: Manifest) -> None:
    chestmnist = elsewhere(labelled, "chestmnist")
    with pytest.raises(ManifestError, match="chestmnist and chestxray14 hold the same people"):
        added_to(elsewhere(labelled, "chestxray14", "/here"), chestmnist)
