"""The sampler of findings: published prevalences, co-occurrence, persistence."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pocketcxr.phantom.prevalence import (
    CO_OCCURRENCE,
    IMAGES_PER_PATIENT,
    NUM_AP,
    NUM_IMAGES,
    PREVALENCE_LIMIT,
    WITH_AP,
    LatentModel,
    joint_tail,
    latent_model,
)

PUBLISHED = np.diag(np.array(CO_OCCURRENCE)) / NUM_IMAGES
NUM_DRAWN = 200_000


def draw(model: LatentModel, seed: int) -> NDArray[np.bool_]:
    """Findings (and AP) of many patients' single images, [image, finding + 1]."""
    latent = np.random.default_rng(seed).standard_normal((NUM_DRAWN, 15)) @ model.factor.T
    return np.asarray(latent > model.thresholds)


def test_the_published_table_is_consistent() -> None:
    counts = np.array(CO_OCCURRENCE)
    assert (counts == counts.T).all()
    assert (counts <= np.diag(counts)[:, None]).all()
    assert (np.array(WITH_AP) <= np.diag(counts)).all()
    assert sum(IMAGES_PER_PATIENT) == 30_805 - 803


def test_prevalence_and_share_of_ap_are_the_published_ones_within_sampling_error() -> None:
    found = draw(latent_model(1.0), seed=1).mean(axis=0)
    wanted = np.append(PUBLISHED, NUM_AP / NUM_IMAGES)
    sigma = np.sqrt(wanted * (1 - wanted) / NUM_DRAWN)
    assert (np.abs(found - wanted) < 4.5 * sigma).all()


def test_co_occurrence_is_the_published_one() -> None:
    """Within 5 % and the sampling error of both counts; pairs too rare to judge are left out."""
    is_there = draw(latent_model(1.0), seed=2).astype(np.float64)
    together = is_there.T @ is_there / NUM_DRAWN * NUM_IMAGES
    wanted = np.zeros((15, 15))
    wanted[:14, :14] = CO_OCCURRENCE
    wanted[14, :14] = wanted[:14, 14] = WITH_AP
    rows, columns = np.triu_indices(15, 1)
    common = wanted[rows, columns] >= 40
    wanted, found = wanted[rows, columns][common], together[rows, columns][common]
    assert common.sum() >= 80
    assert (np.abs(found - wanted) < 0.05 * wanted + 5 * np.sqrt(wanted)).all()


def test_images_without_any_finding_are_as_many_as_published() -> None:
    """Pairwise counts do not determine this share, so it tells whether the copula is a fair model."""
    is_normal = ~draw(latent_model(1.0), seed=3)[:, :14].any(axis=1)
    assert is_normal.mean() == pytest.approx(60_361 / NUM_IMAGES, abs=0.01)


# Of images with a finding, the share whose patient's next image shows it again; counted on Data_Entry_2017_v2020.csv.
STAYS = (0.37, 0.31, 0.49, 0.39, 0.42, 0.32, 0.13, 0.56, 0.28, 0.30, 0.44, 0.20, 0.23, 0.46)


def test_findings_stay_in_the_next_image_about_as_often_as_published() -> None:
    """One correlation serves all findings, so each is met roughly and the mean more closely."""
    model = latent_model(1.0)
    rng = np.random.default_rng(4)
    is_there = np.stack([model.follow_ups(rng, 2) for _ in range(30_000)]) > model.thresholds
    first, second = is_there[:, 0, :14], is_there[:, 1, :14]
    stays = (first & second).sum(axis=0) / first.sum(axis=0)
    assert stays.mean() == pytest.approx(np.mean(STAYS), abs=0.07)
    assert (np.abs(stays - STAYS) < 0.30).all()
    assert (stays > 2 * second.mean(axis=0)).all()


@settings(deadline=None, max_examples=20)
@given(st.floats(0.05, 50))
def test_prevalence_scale_multiplies_up_to_the_limit_and_leaves_the_views_alone(scale: float) -> None:
    model = latent_model(scale)
    assert model.prevalence[:14] == pytest.approx(np.minimum(PUBLISHED * scale, PREVALENCE_LIMIT))
    assert model.prevalence[14] == pytest.approx(NUM_AP / NUM_IMAGES)
    tails = [NormalDist().cdf(-threshold) for threshold in model.thresholds]
    assert tails == pytest.approx(model.prevalence)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-3, 3), min_size=15, max_size=15))
def test_severity_is_a_quantile_where_the_finding_is_and_minus_one_elsewhere(latent: list[float]) -> None:
    model = latent_model(1.0)
    severities = model.severities(np.array(latent))
    is_there = np.array(latent) > model.thresholds
    assert (severities[~is_there] == -1).all()
    assert ((severities[is_there] >= -1e-12) & (severities[is_there] <= 1)).all()


@settings(deadline=None, max_examples=50)
@given(st.floats(-2, 3), st.floats(-2, 3))
def test_joint_tail_is_the_product_at_correlation_nought_and_the_smaller_tail_near_one(a: float, b: float) -> None:
    normal = NormalDist()
    at = joint_tail(np.array([a, a]), np.array([b, b]), np.array([0.0, 0.9]))
    assert at[0] == pytest.approx(normal.cdf(-a) * normal.cdf(-b), abs=1e-12)
    assert at[0] - 1e-9 <= at[1] <= min(normal.cdf(-a), normal.cdf(-b)) + 1e-3
