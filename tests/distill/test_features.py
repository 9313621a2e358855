"""The hint is the share of the teacher's variance that stays unexplained."""

import pytest
import torch
from torch import Tensor

from pocketcxr.distill.losses.features import attention, hint


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_equal_features_have_zero_loss_and_gradient() -> None:
    features = _random(4, 3, 2, 2).requires_grad_()
    value = hint(features, features.detach())
    value.backward()
    assert value == 0
    assert features.grad is not None
    assert (features.grad == 0).all()


def test_guessing_each_channels_mean_costs_one() -> None:
    teacher = _random(4, 3, 2, 2) * torch.tensor([1.0, 5.0, 0.1])[:, None, None] + 7
    guess = teacher.mean(dim=(0, 2, 3), keepdim=True).expand_as(teacher)
    torch.testing.assert_close(hint(guess, teacher), torch.tensor(1.0))


@pytest.mark.parametrize("scale", [1e-2, 1e3])
def test_the_loss_does_not_depend_on_the_teachers_scale(scale: float) -> None:
    student, teacher = _random(4, 3, 4, 4), _random(4, 3, 4, 4, seed=1)
    torch.testing.assert_close(hint(scale * student, scale * teacher), hint(student, teacher), rtol=1e-4, atol=0)


def test_features_meet_on_the_coarser_grid() -> None:
    fine, coarse = _random(2, 3, 4, 4), _random(2, 3, 2, 2, seed=1)
    pooled = fine.reshape(2, 3, 2, 2, 2, 2).mean(dim=(3, 5))
    torch.testing.assert_close(hint(fine, coarse), hint(pooled, coarse))
    torch.testing.assert_close(hint(coarse, fine), hint(coarse, pooled))


def test_features_that_do_not_vary_give_a_finite_loss() -> None:
    assert hint(torch.zeros(1, 3, 1, 1), torch.zeros(1, 3, 1, 1)) == 0
    assert hint(torch.ones(1, 3, 1, 1), torch.zeros(1, 3, 1, 1)).isfinite()


def test_the_order_of_the_batch_does_not_matter() -> None:
    student, teacher = _random(4, 3, 4, 4), _random(4, 3, 4, 4, seed=1)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(hint(student[order], teacher[order]), hint(student, teacher))


def test_attention_does_not_see_channels_signs_or_scales() -> None:
    student = _random(4, 3, 4, 4)
    doubled = torch.cat([student, -student], dim=1)
    torch.testing.assert_close(attention(student, 9 * doubled), torch.tensor(0.0), rtol=0, atol=1e-12)
    assert attention(student, _random(4, 3, 4, 4, seed=1)) > 1e-4


def test_attention_worked_out_by_hand() -> None:
    """Squares (9, 16) / norm against (1, 0): mean of (9 / r - 1)^2 and (16 / r)^2 with r^2 = 81 + 256."""
    student, teacher = torch.tensor([[[[3.0, 4.0]]]]), torch.tensor([[[[2.0, 0.0]]]])
    root = 337**0.5
    expected = ((9 / root - 1) ** 2 + (16 / root) ** 2) / 2
    torch.testing.assert_close(attention(student, teacher), torch.tensor(expected))


def test_attention_maps_meet_on_the_coarser_grid_after_squaring() -> None:
    fine = _random(2, 3, 4, 4)
    energy = fine.square().mean(dim=1, keepdim=True).reshape(2, 1, 2, 2, 2, 2).mean(dim=(3, 5))
    torch.testing.assert_close(attention(fine, energy.sqrt()), torch.tensor(0.0), rtol=0, atol=1e-12)
