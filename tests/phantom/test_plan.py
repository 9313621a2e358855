"""The plan: exact counts, whole patients, published prevalences, and nothing that depends on the size of the set."""

from collections import Counter, defaultdict
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.study import Split, ViewPosition
from pocketcxr.phantom.config import LabelNoise, PhantomConfig
from pocketcxr.phantom.plan import VALIDATION_SHARE, PlannedImage, plan
from pocketcxr.phantom.prevalence import CO_OCCURRENCE, IMAGES_PER_PATIENT, NUM_AP, NUM_IMAGES, latent_model

configs = st.builds(
    PhantomConfig,
    images=st.integers(1, 120),
    seed=st.integers(0, 2**63 - 1),
    prevalence_scale=st.floats(0.1, 10),
    test_fraction=st.floats(0, 1),
    max_images_per_patient=st.integers(1, 20),
    label_noise=st.builds(LabelNoise, strength=st.floats(0, 1)),
)
laws = settings(deadline=None, max_examples=25)


@lru_cache(maxsize=1)
def large() -> tuple[PlannedImage, ...]:
    """20,000 images with noisy labels."""
    return plan(PhantomConfig(images=20_000, seed=5, label_noise=LabelNoise(strength=1)))


def by_patient(images: tuple[PlannedImage, ...]) -> dict[int, list[PlannedImage]]:
    groups = defaultdict(list)
    for image in images:
        groups[image.patient].append(image)
    return groups


def prevalences(images: tuple[PlannedImage, ...]) -> np.ndarray:
    counts = Counter(finding for image in images for finding in image.truth)
    return np.array([counts[finding] for finding in CHESTXRAY14]) / len(images)


@laws
@given(configs)
def test_there_are_exactly_as_many_images_as_asked_for_and_no_name_twice(config: PhantomConfig) -> None:
    images = plan(config)
    assert len(images) == config.images
    assert len({image.image_id for image in images}) == config.images


@laws
@given(configs)
def test_patients_count_from_one_and_their_studies_from_nought_up_to_the_limit(config: PhantomConfig) -> None:
    groups = by_patient(plan(config))
    assert list(groups) == list(range(1, len(groups) + 1))
    for images in groups.values():
        assert [image.study for image in images] == list(range(len(images)))
        assert len(images) <= config.max_images_per_patient


@laws
@given(configs)
def test_no_patient_is_in_two_lists_and_the_test_share_is_the_asked_one(config: PhantomConfig) -> None:
    groups = by_patient(plan(config))
    assert all(len({image.split for image in images}) == 1 for images in groups.values())
    num_test = sum(images[0].is_test for images in groups.values())
    assert abs(num_test - config.test_fraction * len(groups)) <= 1
    if len(groups) > 1 and 0 < config.test_fraction < 1:
        assert 0 < num_test < len(groups)


@laws
@given(configs)
def test_the_validation_part_is_its_share_of_the_patients_that_are_not_for_testing(config: PhantomConfig) -> None:
    groups = by_patient(plan(config)).values()
    others = [images[0].split for images in groups if not images[0].is_test]
    num_validation = others.count(Split.VALIDATION)
    assert abs(num_validation - VALIDATION_SHARE * len(others)) <= 1
    assert len(others) < 2 or 0 < num_validation < len(others)


@laws
@given(configs)
def test_a_patient_stays_the_same_person_in_all_images(config: PhantomConfig) -> None:
    for images in by_patient(plan(config)).values():
        assert len({(image.sex, image.age_years) for image in images}) == 1


@laws
@given(configs, st.integers(1, 60))
def test_a_larger_set_of_the_same_seed_begins_with_the_same_images(config: PhantomConfig, more: int) -> None:
    larger = plan(config.model_copy(update={"images": config.images + more}))
    for image, same in zip(plan(config), larger, strict=False):
        assert replace(image, split=Split.TRAIN) == replace(same, split=Split.TRAIN)


@laws
@given(configs)
def test_noise_changes_labels_and_nothing_else(config: PhantomConfig) -> None:
    clean = plan(config.model_copy(update={"label_noise": LabelNoise(strength=0)}))
    assert all(image.labels == image.truth for image in clean)
    for image, pure in zip(plan(config), clean, strict=True):
        assert replace(image, labels=()) == replace(pure, labels=())


def test_other_seeds_give_other_patients() -> None:
    one, other = (plan(PhantomConfig(images=50, seed=seed)) for seed in (0, 1))
    assert [image.severities for image in one] != [image.severities for image in other]


def test_prevalence_and_views_are_the_published_ones() -> None:
    """Images of a patient are alike, so the error is that of fewer images: 3 to the image's one at most."""
    published = np.diag(np.array(CO_OCCURRENCE)) / NUM_IMAGES
    sigma = np.sqrt(3 * published * (1 - published) / len(large()))
    assert (np.abs(prevalences(large()) - published) < 4 * sigma).all()
    share_ap = np.mean([image.view is ViewPosition.AP for image in large()])
    assert share_ap == pytest.approx(NUM_AP / NUM_IMAGES, abs=0.025)


def test_frequent_pairs_occur_together_as_often_as_published() -> None:
    pairs = Counter((one, other) for image in large() for one in image.truth for other in image.truth if one < other)
    for row, one in enumerate(CHESTXRAY14):
        for column, other in enumerate(CHESTXRAY14):
            expected = CO_OCCURRENCE[row][column] / NUM_IMAGES * len(large())
            if one < other and expected >= 100:
                assert abs(pairs[one, other] - expected) < 4 * np.sqrt(3 * expected), (one, other)


def test_prevalence_scale_multiplies_the_prevalences() -> None:
    images = plan(PhantomConfig(images=6000, seed=7, prevalence_scale=2.5))
    wanted = latent_model(2.5).prevalence[:14]
    sigma = np.sqrt(3 * wanted * (1 - wanted) / len(images))
    assert (np.abs(prevalences(images) - wanted) < 4 * sigma).all()


def test_images_per_patient_follow_the_published_distribution() -> None:
    counts = Counter(len(images) for images in by_patient(large()).values())
    published = np.array(IMAGES_PER_PATIENT[:12]) / sum(IMAGES_PER_PATIENT[:12])
    num_patients = sum(counts.values())
    found = np.array([counts[n] for n in range(1, 13)]) / num_patients
    assert (np.abs(found - published) < 4.5 * np.sqrt(published / num_patients)).all()


def test_noisy_labels_miss_and_invent_in_the_whole_set() -> None:
    """With every kind of error on, about as many findings are lost as the rates say, and some are added."""
    missed = np.mean([finding not in image.labels for image in large() for finding in image.truth])
    invented = sum(finding not in image.truth for image in large() for finding in image.labels)
    num_true = sum(len(image.truth) for image in large())
    assert 0.20 < missed < 0.40
    assert 0.15 < invented / num_true < 0.60
