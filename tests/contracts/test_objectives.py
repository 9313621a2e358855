"""Every ready objective and every kind of term through the same checks."""

from typing import get_args

import pytest
import torch
from torch import nn

from pocketcxr.distill.config import OBJECTIVES, FeatureTerm, LabelTerm, ObjectiveConfig, Term
from pocketcxr.distill.objectives import Labels, build_adapters, label_weights, needs_teacher, terms, total
from pocketcxr.distill.taps import Tapped
from pocketcxr.distill.teacher import Teacher, align
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.outputs import ModelOutput
from pocketcxr.recipes.quickstart_config import DISTILLED, LABELS_ONLY

UNION, _ = get_args(Term)
KINDS = {term().kind: ObjectiveConfig(terms=(term(),)) for term in get_args(UNION)}
ALL = {**OBJECTIVES, **{f"only {kind}": objective for kind, objective in KINDS.items()}}
STUDENT_CHANNELS, TEACHER_CHANNELS = 5, 7
FINDINGS = ("Effusion", "Mass", "Edema")


def _output(channels: int, side: int, scale: float, seed: int) -> ModelOutput:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(6, 3, side, side, generator=generator) * scale
    features = torch.randn(6, channels, side, side, generator=generator) * scale
    return ModelOutput(maps.mean(dim=(2, 3)), maps, features)


def _student(scale: float = 1.0) -> ModelOutput:
    return ModelOutput(*(part.requires_grad_() for part in _output(STUDENT_CHANNELS, 4, scale, seed=0)))


def _labels(known: bool) -> Labels:
    values = torch.tensor([[1.0, 0.0, torch.nan]]).repeat(6, 1) if known else torch.full((6, 3), torch.nan)
    return Labels(values, label_weights(values.numpy()))


def _teacher(known: bool, scale: float = 1.0) -> ModelOutput:
    teacher = _output(TEACHER_CHANNELS, 2, scale, seed=1)
    unknown = slice(1, 2) if known else slice(0, 3)
    teacher.logits[:, unknown] = torch.nan
    teacher.class_maps[:, unknown] = torch.nan
    return teacher


def _adapters(objective: ObjectiveConfig) -> nn.ModuleDict:
    return build_adapters(objective, STUDENT_CHANNELS, TEACHER_CHANNELS)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("known", [True, False])
def test_losses_and_gradients_are_finite_whatever_is_unknown(name: str, scale: float, known: bool) -> None:
    objective, student = ALL[name], _student(scale)
    losses = terms(objective, student, _teacher(known, scale), _labels(known), _adapters(objective))
    total(losses).backward()  # type: ignore[no-untyped-call]
    assert list(losses) == [term.kind for term in objective.terms]
    assert all(loss.shape == () and loss.isfinite() for loss in losses.values())
    gradients = [part.grad for part in student if part.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)
    if not known:
        # Features are known whatever is known of the findings.
        on_features = {term.kind for term in objective.terms if isinstance(term, FeatureTerm) and term.kind != "l2d"}
        assert all(loss == 0 for kind, loss in losses.items() if kind not in on_features)


@pytest.mark.parametrize("name", ALL)
def test_the_order_of_the_batch_does_not_matter(name: str) -> None:
    objective, order = ALL[name], torch.tensor([3, 1, 5, 0, 2, 4])
    student, teacher, labels = _output(STUDENT_CHANNELS, 4, 1.0, seed=0), _teacher(True), _labels(True)
    shuffled = terms(
        objective,
        ModelOutput(*(part[order] for part in student)),
        ModelOutput(*(part[order] for part in teacher)),
        Labels(labels.values[order], labels.positive_weights),
        _adapters(objective),
    )
    for kind, loss in terms(objective, student, teacher, labels, _adapters(objective)).items():
        torch.testing.assert_close(shuffled[kind], loss, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ALL)
def test_a_teacher_is_needed_by_every_term_but_those_on_labels(name: str) -> None:
    on_labels = [isinstance(term, LabelTerm) for term in ALL[name].terms]
    assert needs_teacher(ALL[name]) == (not all(on_labels))


@pytest.mark.parametrize("name", ALL)
def test_following_the_gradient_lowers_the_loss(name: str) -> None:
    objective, student, adapters = ALL[name], _student(), _adapters(ALL[name])
    teacher, labels = _teacher(True), _labels(True)
    optimiser = torch.optim.SGD([*student, *adapters.parameters()], lr=0.05)
    first = total(terms(objective, student, teacher, labels, adapters))
    first.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    assert total(terms(objective, student, teacher, labels, adapters)) < first


def test_the_quickstart_distils_by_a_ready_objective() -> None:
    assert OBJECTIVES["soft-bce+hint"] == DISTILLED
    assert OBJECTIVES["alone"] == LABELS_ONLY


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_transformer_teaches_a_convolutional_student_of_another_grid(name: str) -> None:
    """A transformer's class maps and features are its patch tokens on their grid; the finer of two grids is pooled."""
    teacher = Teacher(
        build(NetConfig(name="test_vit"), num_findings=2, kind="teacher"), PreprocessSpec(size=96), FINDINGS[:2], 16
    )
    student = build(NetConfig(name="test_resnet", output_stride=32), num_findings=3)
    pixels = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    taught = align(teacher.teach(pixels), teacher.findings, FINDINGS)
    output = Tapped(student, 16)(pixels)
    assert taught.class_maps.shape == (2, 3, 6, 6)
    assert taught.features.shape[2:] == (6, 6)
    assert output.class_maps.shape == (2, 3, 2, 2)
    assert output.features.shape[2:] == (4, 4)
    adapters = build_adapters(ALL[name], output.features.shape[1], taught.features.shape[1])
    labels = Labels(torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, torch.nan]]))
    total(terms(ALL[name], output, taught, labels, adapters)).backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad for parameter in student.parameters() if parameter.grad is not None]
    assert any((gradient != 0).any() for gradient in gradients)
    assert all(gradient.isfinite().all() for gradient in gradients)
