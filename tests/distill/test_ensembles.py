"""An ensemble speaks with its members' probabilities, and only of what they know."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import Tensor

from pocketcxr.distill.ensembles import combine, ensemble, equal_weights, validated_weights
from pocketcxr.models.outputs import ModelOutput

FINDINGS = ("Effusion", "Mass", "Nodule")

member_logits = arrays(np.float32, (3, 4, 2), elements=st.floats(-20, 20, width=32))


def answer(logits: Tensor, grid: int = 2) -> ModelOutput:
    maps = logits[..., None, None].expand(*logits.shape, grid, grid)
    return ModelOutput(logits, maps, torch.ones(len(logits), 5, 2, 2))


@given(logits=member_logits)
def test_it_is_the_logit_of_the_mean_probability(logits: NDArray[np.float32]) -> None:
    members = torch.from_numpy(logits)
    combined = combine([answer(one) for one in members], torch.ones(3, 2) / 3)
    torch.testing.assert_close(
        combined.logits, torch.logit(torch.sigmoid(members.double()).mean(0)).float(), rtol=1e-4, atol=1e-4
    )
    assert combined.features.shape[:2] == (4, 0)


@given(logits=member_logits, scale=st.floats(0.1, 10))
def test_members_of_one_mind_speak_as_one_whatever_their_weights(logits: NDArray[np.float32], scale: float) -> None:
    one = answer(torch.from_numpy(logits[0]))
    combined = combine([one, one], torch.tensor([[scale, 1.0], [1.0, 0.0]]))
    torch.testing.assert_close(combined.logits, one.logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(combined.class_maps, one.class_maps, rtol=1e-5, atol=1e-5)


def test_certain_members_stay_finite() -> None:
    far = answer(torch.tensor([[500.0, -500.0]]))
    combined = combine([far, far], torch.ones(2, 2))
    assert torch.equal(combined.logits, far.logits)


def test_who_does_not_know_takes_no_part_and_nobody_stays_nobody() -> None:
    first, second = torch.tensor([[1.0, math.nan, math.nan]]), torch.tensor([[3.0, 2.0, math.nan]])
    combined = combine([answer(first), answer(second)], torch.ones(2, 3))
    assert combined.logits[0, 1] == pytest.approx(2)
    assert combined.logits[0, 2].isnan()
    assert combined.class_maps[0, 1].eq(2).all()
    assert combined.class_maps[0, 2].isnan().all()
    assert combined.class_maps[0, 0].eq(2).all()


def test_a_member_without_weight_is_not_heard() -> None:
    combined = combine([answer(torch.tensor([[1.0]])), answer(torch.tensor([[9.0]]))], torch.tensor([[1.0], [0.0]]))
    assert combined.logits.item() == pytest.approx(1)
    assert combined.class_maps.eq(1).all()


def test_class_maps_meet_on_the_finest_grid_with_their_mean_kept() -> None:
    coarse = ModelOutput(torch.zeros(1, 1), torch.rand(1, 1, 2, 2), torch.zeros(1, 0, 1, 1))
    fine = ModelOutput(torch.zeros(1, 1), torch.rand(1, 1, 4, 4), torch.zeros(1, 0, 1, 1))
    maps = combine([coarse, fine], torch.tensor([[0.25], [0.75]])).class_maps
    assert maps.shape == (1, 1, 4, 4)
    assert maps.mean().item() == pytest.approx(
        0.25 * coarse.class_maps.mean().item() + 0.75 * fine.class_maps.mean().item(), abs=1e-6
    )
    without = ModelOutput(torch.zeros(1, 1), torch.zeros(1, 0, 1, 1), torch.zeros(1, 0, 1, 1))
    assert combine([coarse, without], torch.ones(2, 1)).class_maps.shape[:2] == (1, 0)


def test_equal_weights_are_shared_among_those_who_know() -> None:
    weights = equal_weights([("Mass", "Effusion"), ("Mass",)], FINDINGS)
    assert np.array_equal(weights, [[1, 0.5, 0], [0, 0.5, 0]])


def test_validated_weights_follow_what_is_better_than_chance() -> None:
    members = [FINDINGS, ("Effusion", "Mass")]
    aurocs = np.array([[0.9, 0.4, 0.3], [0.6, 0.7, 0.9]])
    weights = validated_weights(aurocs, members, FINDINGS)
    # Nodule: the second does not know it, whatever its figure says; the first is worse than chance, so nobody speaks.
    assert weights == pytest.approx(np.array([[0.8, 0, 0], [0.2, 1, 0]]))


def test_where_validation_cannot_tell_all_who_know_count_alike() -> None:
    weights = validated_weights(np.full((2, 3), np.nan), [FINDINGS, ("Mass",)], FINDINGS)
    assert np.array_equal(weights, equal_weights([FINDINGS, ("Mass",)], FINDINGS))


def test_an_ensemble_hands_every_member_the_same_question() -> None:
    asked = []

    def source(pixels: Tensor, indices: Tensor, view: int) -> ModelOutput:
        asked.append((pixels, indices, view))
        return answer(torch.full((2, 1), float(len(asked))))

    pixels, indices = torch.rand(2, 1, 8, 8), torch.tensor([4, 2])
    combined = ensemble([source, source], np.array([[1.0], [0.0]]))(pixels, indices, 3)
    assert asked == [(pixels, indices, 3)] * 2
    assert torch.equal(combined.logits, torch.full((2, 1), 1.0))
