"""Class-map distillation teaches the shape of the evidence, whatever its scale."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pocketcxr.distill.losses.maps import MapShape, class_map_distance

SHAPES = (MapShape("cat-kd"), MapShape("cosine"), MapShape("cat-kd", grid=2, is_centred=True), MapShape("cosine", 3))
map_arrays = hnp.arrays(np.float32, (3, 2, 4, 4), elements=st.floats(-50, 50, width=32))


def _graded(student: Tensor, teacher: Tensor, shape: MapShape) -> tuple[Tensor, Tensor]:
    leaf = student.clone().requires_grad_()
    value = class_map_distance(leaf, teacher, shape)
    value.backward()
    assert leaf.grad is not None
    return value.detach(), leaf.grad


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
@settings(deadline=None, max_examples=25)
@given(student=map_arrays, teacher=map_arrays)
def test_any_maps_give_a_finite_distance(
    shape: MapShape, student: NDArray[np.float32], teacher: NDArray[np.float32]
) -> None:
    value, gradient = _graded(torch.from_numpy(student), torch.from_numpy(teacher), shape)
    assert 0 <= value <= 2 + 1e-5
    assert gradient.isfinite().all()
    assert gradient.abs().max() < 2e3


@pytest.mark.parametrize("shape", SHAPES)
@settings(deadline=None, max_examples=25)
@given(maps=map_arrays)
def test_a_student_like_its_teacher_has_zero_loss_and_gradient(shape: MapShape, maps: NDArray[np.float32]) -> None:
    value, gradient = _graded(torch.from_numpy(maps), torch.from_numpy(maps), shape)
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_scaled_teacher_teaches_the_same(shape: MapShape) -> None:
    student, teacher = _random(3, 2, 4, 4), _random(3, 2, 4, 4, seed=1)
    torch.testing.assert_close(
        class_map_distance(student, 10 * teacher, shape), class_map_distance(student, teacher, shape), rtol=1e-4, atol=0
    )


def test_centred_maps_do_not_say_how_much() -> None:
    student, teacher = _random(3, 2, 4, 4), _random(3, 2, 4, 4, seed=1)
    shape = MapShape("cosine", is_centred=True)
    torch.testing.assert_close(
        class_map_distance(student + 5, teacher - 3, shape), class_map_distance(student, teacher, shape)
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_findings_the_teacher_does_not_know_are_left_out(shape: MapShape) -> None:
    student, teacher = _random(3, 2, 4, 4), _random(3, 2, 4, 4, seed=1)
    with_unknown = teacher.clone()
    with_unknown[:, 1] = torch.nan
    value, gradient = _graded(student, with_unknown, shape)
    torch.testing.assert_close(value, class_map_distance(student[:, :1], teacher[:, :1], shape))
    assert (gradient[:, 1] == 0).all()
    nothing, gradient = _graded(student, torch.full_like(teacher, torch.nan), shape)
    assert nothing == 0
    assert (gradient == 0).all()


def test_cat_kd_is_the_published_formula() -> None:
    """Pool to 2 x 2, L2-normalise each class map, mean squared error."""
    student, teacher = _random(3, 2, 4, 4), _random(3, 2, 8, 8, seed=1)
    pooled = [functional.adaptive_avg_pool2d(maps, 2).flatten(2) for maps in (student, teacher)]
    expected = functional.mse_loss(*(functional.normalize(maps, dim=2) for maps in pooled))
    torch.testing.assert_close(
        class_map_distance(student, teacher, MapShape("cat-kd", grid=2)), expected, rtol=1e-4, atol=1e-6
    )


def test_the_cosine_form_is_one_minus_torchs_cosine_on_the_coarser_grid() -> None:
    student, teacher = _random(3, 2, 8, 8), _random(3, 2, 4, 4, seed=1)
    pooled = functional.adaptive_avg_pool2d(student, 4)
    expected = 1 - functional.cosine_similarity(pooled.flatten(2), teacher.flatten(2), dim=2).mean()
    torch.testing.assert_close(class_map_distance(student, teacher, MapShape("cosine")), expected, rtol=1e-4, atol=1e-6)
