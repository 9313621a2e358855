"""Who the patients are, and what a day changes of them."""

from dataclasses import asdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.domain.study import Sex, ViewPosition
from pocketcxr.phantom.anatomy import breathe, draw_patient

seeds = st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=60)
@given(seed=seeds)
def test_every_patient_is_an_adult_with_a_normal_heart(seed: int) -> None:
    patient = draw_patient(np.random.default_rng(seed))
    assert 18 <= patient.age_years <= 92
    assert patient.heart_width < 0.5 * 2 * patient.cage_half_width
    assert patient.apex_y < patient.widest_y < patient.dome_y_right + patient.dome_height
    assert (patient.breast > 0) == (patient.sex is Sex.FEMALE)
    assert all(np.isfinite(value) for value in asdict(patient).values() if isinstance(value, float))


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_the_same_generator_draws_the_same_patient(seed: int) -> None:
    assert draw_patient(np.random.default_rng(seed)) == draw_patient(np.random.default_rng(seed))


def test_both_sexes_occur_as_often_as_in_chestxray14() -> None:
    male = np.mean([draw_patient(np.random.default_rng(seed)).sex is Sex.MALE for seed in range(600)])
    assert 0.50 < male < 0.63


def test_a_bedside_film_shows_a_shallower_breath_and_a_larger_heart() -> None:
    patient = draw_patient(np.random.default_rng(0))
    days = {
        view: [breathe(patient, view, np.random.default_rng(day)) for day in range(60)]
        for view in (ViewPosition.PA, ViewPosition.AP)
    }
    dome = {view: np.mean([day.dome_y_right for day in drawn]) for view, drawn in days.items()}
    heart = {view: np.mean([day.heart_width for day in drawn]) for view, drawn in days.items()}
    assert dome[ViewPosition.AP] < dome[ViewPosition.PA]
    assert heart[ViewPosition.AP] > 1.08 * heart[ViewPosition.PA]


def test_a_day_leaves_the_build_alone() -> None:
    patient = draw_patient(np.random.default_rng(1))
    before, after = asdict(patient), asdict(breathe(patient, ViewPosition.PA, np.random.default_rng(2)))
    build = {"cage_half_width", "rib_gap", "sex", "age_years", "breast", "fat", "lung_coefficient"}
    assert all(before[name] == after[name] for name in build)


def test_each_side_has_its_own_dome() -> None:
    patient = draw_patient(np.random.default_rng(3))
    assert patient.dome_y(1) == patient.dome_y_left
    assert patient.dome_y(-1) == patient.dome_y_right
