"""Splits by patient, by seed, with the findings spread evenly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.domain.errors import ManifestError, UsageError
from pocketcxr.manifest.splits import check_apart, choose_patients


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
