"""Several manifests as one: nobody is lost, nobody meets a namesake, what nobody looked for stays unknown."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pocketcxr.domain.errors import ManifestError, RefusalCode, UnknownNameError
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.combine import CombineConfig, combine, read
from pocketcxr.manifest.labels import LabelPolicy, label_matrix
from pocketcxr.manifest.rules import REGION_COLUMNS, label_column
from pocketcxr.manifest.schema import Manifest, read_manifest, write_manifest

Make = Callable[..., Manifest]
STATES = st.lists(st.sampled_from([state.value for state in LabelState]), min_size=1, max_size=6)
EVERY_STATE = [state.value for state in LabelState]


def of_source(manifest: Manifest, source: str, root: str = "/data", is_simulated: bool = False) -> Manifest:
    """The manifest as if that source had given it."""
    header = manifest.header.model_copy(update={"source": source, "root": root, "is_simulated": is_simulated})
    return replace(manifest, table=manifest.table.assign(source=source), header=header)


def with_box(manifest: Manifest, row: int, finding: str) -> Manifest:
    """The manifest with one box."""
    box = pd.DataFrame([(manifest.table["image_id"].iloc[row], finding, 1.0, 2.0, 3.0, 4.0)], columns=REGION_COLUMNS)
    return replace(manifest, regions=box)


@pytest.fixture
def pair(make_manifest: Make) -> tuple[Manifest, Manifest]:
    """Two sources whose images and patients have the same names."""
    first = make_manifest({"Mass": EVERY_STATE, "Nodule": EVERY_STATE}, splits=["train"] * 4 + ["test"])
    second = make_manifest({"Edema": ["present", "absent"], "Mass": ["absent", "present"]}, splits=["test", "train"])
    return (
        with_box(of_source(first, "here", "/data/here"), 1, "Nodule"),
        with_box(of_source(second, "there", "/data/far/there"), 1, "Mass"),
    )


def test_namesakes_stay_two_and_keep_their_splits(pair: tuple[Manifest, Manifest]) -> None:
    combined = combine(pair)
    assert combined.num_images == 7
    assert combined.num_patients == 7
    assert combined.table["image_id"].tolist()[:2] == ["here.0.png", "here.1.png"]
    assert combined.table["patient_id"].tolist()[-1] == "there.p1"
    assert combined.table["split"].tolist() == ["train"] * 4 + ["test", "test", "train"]
    assert combined.findings == ("Mass", "Nodule", "Edema")


def test_files_are_found_from_the_common_folder(pair: tuple[Manifest, Manifest]) -> None:
    combined = combine(pair)
    assert combined.header.root == "/data"
    assert combined.table["path"].tolist()[4:6] == ["here/images/4.png", "far/there/images/0.png"]
    assert combined.file_of(combined.table["path"].iloc[5]) == Path("/data/far/there/images/0.png")


def test_what_a_source_did_not_look_for_is_not_labelled(pair: tuple[Manifest, Manifest]) -> None:
    table = combine(pair).table
    assert (table["label.Edema"].iloc[:5] == "not-labelled").all()
    assert (table["label.Nodule"].iloc[5:] == "not-labelled").all()
    assert table["label.Mass"].tolist() == [*EVERY_STATE, "absent", "present"]


def test_boxes_follow_their_images(pair: tuple[Manifest, Manifest]) -> None:
    assert combine(pair).regions["image_id"].tolist() == ["here.1.png", "there.1.png"]
    assert combine(pair, ["Mass"]).regions["image_id"].tolist() == ["there.1.png"]


@given(nodules=STATES, lesions=STATES, unmentioned=st.sampled_from(["unknown", "negative", 0.4]))
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_labels_are_those_of_the_manifests_one_by_one(
    nodules: list[str], lesions: list[str], unmentioned: str | float, make_manifest: Make
) -> None:
    parts = [
        of_source(make_manifest({"Nodule": nodules}), "a", "/data/a"),
        of_source(make_manifest({"Lung_Lesion": lesions}), "b", "/data/b"),
    ]
    findings, policy = (
        ["Lung_Opacity", "Lung_Lesion", "Nodule"],
        LabelPolicy.model_validate({"unmentioned": unmentioned}),
    )
    together = label_matrix(combine(parts), findings, policy)
    apart = np.concatenate([label_matrix(part, findings, policy) for part in parts])
    assert np.array_equal(together, apart, equal_nan=True)


def test_a_combined_manifest_combines_again_without_a_second_prefix(
    pair: tuple[Manifest, Manifest], make_manifest: Make
) -> None:
    third = of_source(make_manifest({"Mass": ["present"]}), "elsewhere", "/data/elsewhere")
    assert combine([combine(pair), third]).table.equals(combine([*pair, third]).table)


def test_the_notes_tell_what_came_together(pair: tuple[Manifest, Manifest]) -> None:
    first = replace(pair[0], header=pair[0].header.model_copy(update={"notes": ("Seed 3.",)}))
    notes = combine([first, pair[1]]).header.notes
    assert notes[0] == "Combined: here, 5 images of /data/here."
    assert notes[1] == "here: Seed 3."
    assert "there" in notes[2]


def test_refusals_come_along_with_their_place(pair: tuple[Manifest, Manifest]) -> None:
    second = replace(pair[1], refused=(Refusal("images/9.png", RefusalCode.CORRUPT, "cut short"),))
    assert [refusal.path for refusal in combine([pair[0], second]).refused] == ["far/there/images/9.png"]


def test_a_source_comes_once(pair: tuple[Manifest, Manifest]) -> None:
    with pytest.raises(
        ManifestError, match=r"source 'here' is in an earlier manifest already.* - give each source once"
    ):
        combine([*pair, pair[0]])
    with pytest.raises(ManifestError, match="at least two"):
        combine(pair[:1])


def test_two_forms_of_the_same_radiographs_are_kept_apart(make_manifest: Make) -> None:
    forms = [of_source(make_manifest({"Mass": ["absent"]}), name) for name in ("chestmnist", "chestxray14")]
    with pytest.raises(ManifestError, match="chestmnist and chestxray14 hold the same people's radiographs"):
        combine(forms)


def test_phantoms_meet_people_only_on_request_and_then_all_counts_as_simulated(make_manifest: Make) -> None:
    parts = [
        of_source(make_manifest({"Mass": ["absent"]}), "phantoms", "/data/sim", is_simulated=True),
        of_source(make_manifest({"Mass": ["present"]}), "people", "/data/real"),
    ]
    with pytest.raises(ManifestError, match=r"/data/sim are simulated.*simulated_with_real"):
        combine(parts)
    combined = combine(parts, simulated_with_real=True)
    assert combined.header.is_simulated
    assert "SIMULATED" in combined.header.notes[0]


def test_findings_may_be_chosen_and_a_typo_is_named(pair: tuple[Manifest, Manifest]) -> None:
    combined = combine(pair, ["Edema", "Mass"])
    assert combined.findings == ("Edema", "Mass")
    assert [name for name in combined.table.columns if name.startswith("label.")] == ["label.Edema", "label.Mass"]
    with pytest.raises(UnknownNameError, match=r"'Edem' is unknown; did you mean 'Edema'"):
        combine(pair, ["Edem"])


def test_the_reader_combines_files_and_the_result_is_written_and_read(
    pair: tuple[Manifest, Manifest], tmp_path: Path
) -> None:
    for manifest, name in zip(pair, ("a", "b"), strict=True):
        write_manifest(manifest, tmp_path / f"{name}.parquet")
    steps: list[int] = []
    config = CombineConfig.model_validate({"manifests": ["a.parquet", "b.parquet"]})
    combined = read(tmp_path, config, lambda stage, done, total, figures={}: steps.append(done))
    write_manifest(combined, tmp_path / "both.parquet")
    again = read_manifest(tmp_path / "both.parquet")
    assert again.table.equals(combined.table)
    assert again.regions.equals(combined.regions)
    assert steps == [1, 2]
    with pytest.raises(ValidationError):
        CombineConfig.model_validate({"manifests": ["a.parquet"]})


def test_a_row_of_a_known_finding_column_never_becomes_negative(pair: tuple[Manifest, Manifest]) -> None:
    labels = label_matrix(combine(pair), ["Edema"], LabelPolicy(unmentioned="negative", uncertain="negative"))
    assert np.isnan(labels[:5]).all()
    assert combine(pair).table[label_column("Edema")].iloc[0] == "not-labelled"
