"""Deletion, insertion, ROAD, infidelity and max-sensitivity of one image: laws on models whose truth is known."""

from itertools import permutations

import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from captum.metrics import sensitivity_max
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.evaluate.perturbing import (
    BATCH_SIZE,
    Probe,
    area,
    deletion_and_insertion,
    foretold,
    infidelity,
    max_sensitivity,
    nearby_maps,
    observe,
    removal_effects,
    road,
    without_area,
)
from pocketcxr.evaluate.predict import Predict
from pocketcxr.evaluate.removal import blurred, random_squares, removal_order

laws = settings(deadline=None, max_examples=25)
seeds = st.integers(0, 2**32 - 1)
SIDE = 8


def linear(weights: np.ndarray) -> Predict:
    """A model whose only answer is the weighted sum of its pixels."""

    def predict(images: np.ndarray) -> np.ndarray:
        assert len(images) <= BATCH_SIZE
        return (images.reshape(len(images), -1).astype(np.float64) @ weights.ravel())[:, None]

    return predict


def ties(side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(0).random((side, side))


def drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@laws
@given(seeds)
def test_of_all_orders_the_true_one_of_a_linear_model_deletes_most_and_inserts_most(seed: int) -> None:
    weights, image = drawn(seed, 2, 3), drawn(seed + 1, 1, 2, 3)
    # Two rows of three: the laws do not need a square.
    probe, substitute = Probe(linear(weights), 0), np.zeros_like(image)
    subject = observe(probe, image, substitute)
    orders = list(permutations(range(6)))
    areas = area(deletion_and_insertion(probe, subject, [np.array(order) for order in orders], num_steps=6))
    true = orders.index(tuple(np.argsort(-(weights * image[0]), axis=None).tolist()))
    assert areas[true, 0] == pytest.approx(areas[:, 0].min(), abs=1e-5)
    assert areas[true, 1] == pytest.approx(areas[:, 1].max(), abs=1e-5)


@laws
@given(seeds)
def test_inserting_in_the_true_order_of_a_rising_model_beats_deleting(seed: int) -> None:
    weights, image = np.abs(drawn(seed, SIDE, SIDE)), np.abs(drawn(seed + 1, 1, SIDE, SIDE))

    def predict(images: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(2 - 0.1 * linear(weights)(images)))

    probe = Probe(predict, 0)
    subject = observe(probe, image, np.zeros_like(image))
    order = removal_order(weights * image[0], ties())
    curves = deletion_and_insertion(probe, subject, [order], num_steps=8)[0]
    assert (np.diff(curves[0]) <= 1e-9).all()
    assert (np.diff(curves[1]) >= -1e-9).all()
    assert area(curves)[1] >= area(curves)[0]
    assert curves[0, 0] == curves[1, -1] == pytest.approx(subject.probability)
    assert curves[0, -1] == curves[1, 0] == pytest.approx(subject.probability_of_substitute)


def test_a_random_order_of_a_linear_model_is_the_straight_line_between_image_and_substitute() -> None:
    probe, image = Probe(linear(drawn(0, SIDE, SIDE)), 0), drawn(1, 1, SIDE, SIDE)
    subject = observe(probe, image, np.zeros_like(image))
    rng = np.random.default_rng(2)
    orders = [rng.permutation(SIDE * SIDE) for _ in range(400)]
    areas = area(deletion_and_insertion(probe, subject, orders, num_steps=4)).mean(axis=0)
    middle = (subject.probability + subject.probability_of_substitute) / 2
    spread = float(np.abs(drawn(0, SIDE, SIDE) * image[0]).sum())
    assert areas == pytest.approx([middle, middle], abs=0.02 * spread)


def test_the_area_under_a_constant_curve_is_the_constant_and_of_a_line_its_middle() -> None:
    assert area(np.full((2, 5), 0.3)) == pytest.approx([0.3, 0.3])
    assert area(np.linspace(1, 0, 11)) == pytest.approx(0.5)


def test_road_prefers_the_spot_that_the_model_looks_at_to_its_reverse() -> None:
    weights = np.zeros((SIDE, SIDE), np.float32)
    weights[2:4, 2:4] = 1
    image = weights[None] + 0.1 * drawn(0, 1, SIDE, SIDE)
    noise = np.zeros_like(image)
    orders = [removal_order(sign * weights, ties()) for sign in (1, -1)]
    curves = road(Probe(linear(weights), 0), image, orders, [0.1, 0.5, 0.8], noise)
    gaps = (curves[:, 1] - curves[:, 0]).mean(axis=-1)
    assert curves.shape == (2, 2, 3)
    assert gaps[0] > 1
    assert gaps[1] < -1


@laws
@given(seeds)
def test_the_gradient_of_a_linear_model_foretells_every_removal(seed: int) -> None:
    weights, image = drawn(seed, SIDE, SIDE), drawn(seed + 1, 1, SIDE, SIDE)
    masks = random_squares(SIDE, 30, np.random.default_rng(seed))
    probe = Probe(linear(weights), 0)
    subject = observe(probe, image, blurred(image))
    effects = removal_effects(probe, subject, masks)
    gradient_times_change = weights * (image - subject.substitute)[0]
    areas = masks.sum(axis=(1, 2)).astype(float)
    told = foretold(7 * gradient_times_change, masks)
    assert infidelity(told, effects) == pytest.approx(0, abs=1e-6)
    assert infidelity(without_area(told, areas), without_area(effects, areas)) == pytest.approx(0, abs=1e-6)
    assert infidelity(-told, effects) == 1


@laws
@given(seeds, st.floats(0.1, 10), st.floats(-5, 5))
def test_infidelity_is_blind_to_unit_and_offset_and_a_flat_map_foretells_nothing(
    seed: int, gain: float, offset: float
) -> None:
    masks = random_squares(SIDE, 30, np.random.default_rng(seed))
    areas, effects = masks.sum(axis=(1, 2)).astype(float), np.random.default_rng(seed).normal(size=30)

    def of(heatmap: np.ndarray) -> float:
        return infidelity(without_area(foretold(heatmap, masks), areas), without_area(effects, areas))

    heatmap = drawn(seed, 4, 4)
    assert of(heatmap * np.float32(gain) + np.float32(offset)) == pytest.approx(of(heatmap), abs=1e-3)
    assert 0 <= of(heatmap) <= 1
    assert of(np.zeros((4, 4), np.float32)) == 1


def test_a_model_that_answers_nothing_has_no_infidelity() -> None:
    assert np.isnan(infidelity(np.ones(3), np.zeros(3)))
    assert np.isnan(max_sensitivity(np.zeros((3, 4, 4), np.float32)))


def test_infidelity_is_captums_normalised_value_as_a_share_of_the_effects() -> None:
    weights, image = 0.3 * drawn(0, SIDE, SIDE), drawn(2, 1, SIDE, SIDE)
    heatmap = weights * image[0] + 0.2 * drawn(1, SIDE, SIDE)
    masks = random_squares(SIDE, 25, np.random.default_rng(3))

    def forward(images: torch.Tensor) -> torch.Tensor:
        return torch.tanh(images.flatten(1) @ torch.from_numpy(weights.ravel()))

    probe = Probe(lambda images: forward(torch.from_numpy(images)).numpy()[:, None], 0)
    subject = observe(probe, image, np.zeros_like(image))
    remaining = iter(masks)

    def perturb(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        removed = torch.from_numpy(np.stack([next(remaining) for _ in range(len(inputs))]))[:, None] * inputs
        return removed, inputs - removed

    attribution = torch.from_numpy(heatmap / image[0])[None, None]
    theirs = captum_infidelity(
        forward, perturb, torch.from_numpy(image)[None], attribution, n_perturb_samples=25, normalize=True
    )
    effects = removal_effects(probe, subject, masks)
    ours = infidelity(foretold(heatmap, masks), effects)
    assert ours * np.square(effects).mean() == pytest.approx(theirs.item(), rel=1e-4)
    assert 0.05 < ours < 0.95


def test_max_sensitivity_is_captums() -> None:
    image, changes = drawn(0, 1, SIDE, SIDE), drawn(1, 6, 1, SIDE, SIDE)

    def explain(images: np.ndarray, columns: list[int]) -> np.ndarray:
        assert list(columns) == [2]
        return images**3

    remaining = iter(changes)

    def perturb(inputs: torch.Tensor) -> torch.Tensor:
        return inputs + torch.from_numpy(np.stack([next(remaining) for _ in range(len(inputs))]))

    def explain_theirs(inputs: torch.Tensor | tuple[torch.Tensor]) -> torch.Tensor | tuple[torch.Tensor]:
        # captum gives the image itself in a tuple and wants one back, and what lies near it as a tensor.
        return (inputs[0] ** 3,) if isinstance(inputs, tuple) else inputs**3

    theirs = sensitivity_max(explain_theirs, torch.from_numpy(image)[None], perturb, n_perturb_samples=6)
    ours = max_sensitivity(nearby_maps(explain, 2, image, changes))
    assert ours == pytest.approx(theirs.item(), rel=1e-5)
    assert max_sensitivity(nearby_maps(explain, 2, image, np.zeros_like(changes))) == 0
