"""Splits by patient, by seed, with the findings spread evenly."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.domain.errors import ConfigError, ManifestError, UsageError
from pocketcxr.manifest.splits import (
    People,
    SplitConfig,
    assign_splits,
    check_apart,
    choose_patients,
    split_digest,
    split_table,
)


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[list[str], np.ndarray]:
    """Patients and findings of some images."""
    patients = draw(st.lists(st.integers(0, 30).map(str), min_size=1, max_size=80))
    flags = draw(
        st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=len(patients), max_size=len(patients))
    )
    return patients, np.array(flags, dtype=bool)


@given(cohorts(), st.floats(0, 0.99), st.integers(0, 2**31))
@settings(deadline=None, max_examples=150)
def test_no_patient_is_on_both_sides(cohort: tuple[list[str], np.ndarray], fraction: float, seed: int) -> None:
    patients, is_present = cohort
    is_chosen = choose_patients(patients, is_present, fraction, seed)
    chosen = {patient for patient, chosen in zip(patients, is_chosen, strict=True) if chosen}
    others = {patient for patient, chosen in zip(patients, is_chosen, strict=True) if not chosen}
    assert not chosen & others
    check_apart({"chosen": sorted(chosen), "others": sorted(others)}, "here")


@given(cohorts(), st.floats(0, 0.99), st.integers(0, 2**31))
@settings(deadline=None, max_examples=100)
def test_the_share_is_kept_to_within_one_patient(
    cohort: tuple[list[str], np.ndarray], fraction: float, seed: int
) -> None:
    patients, is_present = cohort
    is_chosen = choose_patients(patients, is_present, fraction, seed)
    num_chosen = len({patient for patient, chosen in zip(patients, is_chosen, strict=True) if chosen})
    assert abs(num_chosen - fraction * len(set(patients))) <= 1


@given(cohorts(), st.integers(0, 1000))
@settings(deadline=None, max_examples=60)
def test_the_order_of_the_images_does_not_matter(cohort: tuple[list[str], np.ndarray], seed: int) -> None:
    patients, is_present = cohort
    order = np.random.default_rng(seed).permutation(len(patients))
    is_chosen = choose_patients(patients, is_present, 0.3, seed)
    shuffled = choose_patients([patients[i] for i in order], is_present[order], 0.3, seed)
    assert np.array_equal(shuffled, is_chosen[order])


def test_equal_seeds_choose_equal_patients_and_other_seeds_others() -> None:
    patients, is_present = [str(i) for i in range(400)], np.zeros((400, 2), dtype=bool)
    first, again, other = (choose_patients(patients, is_present, 0.2, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_rare_finding_gets_its_share_on_both_sides() -> None:
    patients = [str(i) for i in range(1000)]
    is_present = np.zeros((1000, 2), dtype=bool)
    is_present[:40, 0], is_present[20:500, 1] = True, True
    for seed in range(20):
        is_chosen = choose_patients(patients, is_present, 0.25, seed)
        assert abs(int(is_chosen[:40].sum()) - 10) <= 1


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 2.0, float("nan")])
def test_a_fraction_outside_its_limits_is_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match="fraction"):
        choose_patients(["a"], np.zeros((1, 1), dtype=bool), fraction, 0)


def test_a_patient_under_two_names_is_named() -> None:
    with pytest.raises(ManifestError, match=r"1 patients are in both train\.txt and test\.txt \(first: patient 'b'\)"):
        check_apart({"train.txt": ["a", "b"], "test.txt": ["b", "c"]}, "here")


def _people(num: int, official: list[str] | None = None) -> People:
    ids = np.array([f"p{i // 2}" for i in range(num)])
    return People(ids, np.zeros((num, 1), dtype=bool), None if official is None else np.array(official))


@given(
    cohorts(), st.sampled_from(["patients", "external-test"]), st.floats(0, 0.9), st.floats(0, 0.9), st.integers(0, 99)
)
@settings(deadline=None, max_examples=100)
def test_no_patient_is_in_two_splits_whatever_the_config(
    cohort: tuple[list[str], np.ndarray],
    method: Literal["patients", "external-test"],
    test_fraction: float,
    validation_fraction: float,
    seed: int,
) -> None:
    patients, is_present = cohort
    config = SplitConfig(method=method, test_fraction=test_fraction, validation_fraction=validation_fraction, seed=seed)
    splits = assign_splits(People(np.array(patients), is_present), config, "here")
    assert all(len(set(splits[np.array(patients) == patient])) == 1 for patient in set(patients))
    assert method == "patients" or (splits == "test").all()


def test_the_defaults_by_patient_are_the_parts_of_chexnet() -> None:
    splits = assign_splits(_people(4000), SplitConfig(method="patients"), "here")
    shares = {part: (splits == part).mean() for part in ("train", "validation", "test")}
    assert shares == pytest.approx({"train": 0.7, "validation": 0.1, "test": 0.2}, abs=0.001)


def test_a_published_validation_part_is_kept_and_else_comes_out_of_training() -> None:
    whole = ["train", "train", "validation", "validation", "test", "test"]
    assert assign_splits(_people(6, whole), SplitConfig(), "here").tolist() == whole
    parts = assign_splits(_people(80, ["train"] * 60 + ["test"] * 20), SplitConfig(validation_fraction=0.2), "here")
    assert (parts[60:] == "test").all()
    assert (parts[:60] == "validation").sum() == pytest.approx(12, abs=2)


def test_published_parts_that_share_a_patient_are_refused() -> None:
    with pytest.raises(ManifestError, match="1 patients are in both"):
        assign_splits(_people(4, ["train", "test", "train", "train"]), SplitConfig(), "here")


def test_a_source_without_a_published_split_says_what_can_be_had() -> None:
    with pytest.raises(ConfigError, match=r"split\.method=patients"):
        assign_splits(_people(4), SplitConfig(), "here")


def test_a_split_file_brings_every_patient_back_to_its_split(tmp_path: Path) -> None:
    people = _people(40)
    splits = assign_splits(people, SplitConfig(method="patients", seed=5), "here")
    file = tmp_path / "splits.csv"
    file.write_bytes(split_table(pd.DataFrame({"patient_id": people.patient_ids, "split": splits})))
    shuffled = np.random.default_rng(0).permutation(40)
    again = assign_splits(
        People(people.patient_ids[shuffled], people.is_present), SplitConfig(seed=9, file=file), "here"
    )
    assert again.tolist() == splits[shuffled].tolist()
    newcomer = People(np.array(["stranger"]), np.zeros((1, 1), dtype=bool))
    with pytest.raises(ManifestError, match="stranger"):
        assign_splits(newcomer, SplitConfig(file=file), "here")
    file.write_text("patient_id,split\np1,testing\n")
    with pytest.raises(ManifestError, match=r"name no split \(first: line 2\)"):
        assign_splits(newcomer, SplitConfig(file=file), "here")


def test_the_digest_changes_with_a_patient_s_split_and_not_with_the_order_of_images() -> None:
    table = pd.DataFrame({"patient_id": ["a", "b", "b"], "split": ["train", "test", "test"]})
    assert split_digest(table) == split_digest(table.iloc[::-1])
    assert split_digest(table) != split_digest(table.assign(split=["test", "test", "test"]))
