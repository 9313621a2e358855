"""The laws of every term: finite, blind to what is unknown, zero where there is nothing to learn."""

from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from pocketcxr.distill.config import (
    ClassMapTerm,
    DistTerm,
    FeatureTerm,
    HintTerm,
    L2dTerm,
    LabelTerm,
    ObjectiveConfig,
    SoftBceTerm,
    Term,
)
from pocketcxr.distill.objectives import Labels, build_adapters, terms, total
from pocketcxr.models.outputs import ModelOutput

UNION, _ = get_args(Term)
TERMS = {term().kind: term() for term in get_args(UNION)}
TERMS |= {"class-map cosine": ClassMapTerm(form="cosine"), "dist softmax": DistTerm(over="softmax", temperature=2)}
FROM_TEACHER = {name: term for name, term in TERMS.items() if not isinstance(term, LabelTerm)}
ON_FEATURES = {name: term for name, term in TERMS.items() if isinstance(term, FeatureTerm)}
PURE = {name: term for name, term in ON_FEATURES.items() if not isinstance(term, L2dTerm)}
ON_FINDINGS = {name: term for name, term in TERMS.items() if name not in PURE}
BATCH, FINDINGS, STUDENT_CHANNELS, TEACHER_CHANNELS = 6, 4, 5, 7
NAN = torch.nan


def _output(seed: int, channels: int, side: int, scale: float = 1.0, batch: int = BATCH) -> ModelOutput:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(batch, FINDINGS, side, side, generator=generator)
    features = torch.randn(batch, channels, side, side, generator=generator)
    return ModelOutput(*(scale * part for part in (8 * maps.mean(dim=(2, 3)), maps, features)))


def _student(scale: float = 1.0, batch: int = BATCH) -> ModelOutput:
    return _output(0, STUDENT_CHANNELS, 4, scale, batch)


def _teacher(scale: float = 1.0, batch: int = BATCH) -> ModelOutput:
    return _output(1, TEACHER_CHANNELS, 2, scale, batch)


def _labels(batch: int = BATCH) -> Tensor:
    values = torch.tensor([[1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, NAN], [1.0, 0.25, NAN, 1.0]])
    return values.repeat(2, 1)[:batch]


def _graded(
    term: Term, student: ModelOutput, teacher: ModelOutput, labels: Tensor, adapters: nn.ModuleDict | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss, and its gradients with respect to the parts of the student's output that it reaches."""
    objective = ObjectiveConfig(terms=(term,))
    leaves = ModelOutput(*(part.detach().clone().requires_grad_() for part in student))
    if adapters is None:
        adapters = build_adapters(objective, student.features.shape[1], teacher.features.shape[1])
    loss = total(terms(objective, leaves, teacher, Labels(labels), adapters))
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach(), {name: part.grad for name, part in leaves._asdict().items() if part.grad is not None}


def _all_finite(loss: Tensor, gradients: dict[str, Tensor]) -> bool:
    return bool(gradients) and all(bool(value.isfinite().all()) for value in (loss, *gradients.values()))


def _all_zero(loss: Tensor, gradients: dict[str, Tensor]) -> bool:
    return bool(gradients) and all(bool((value == 0).all()) for value in (loss, *gradients.values()))


@pytest.mark.parametrize("name", TERMS)
def test_it_is_finite_and_not_negative_for_certain_logits(name: str) -> None:
    labels = _labels()
    for sign in (1, -1):
        extreme = sign * 60 * torch.where(_student().logits > 0, 1.0, -1.0)
        student, teacher = _student()._replace(logits=extreme), _teacher()
        for other in (extreme, -extreme, teacher.logits, torch.zeros_like(extreme)):
            loss, gradients = _graded(TERMS[name], student, teacher._replace(logits=other), labels)
            assert _all_finite(loss, gradients)
            assert loss >= -1e-6


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("scales", [(60.0, 60.0), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (1e-6, 1e4), (1e4, 1e-6)])
def test_it_is_finite_for_outputs_of_any_scale(name: str, scales: tuple[float, float]) -> None:
    assert _all_finite(*_graded(TERMS[name], _student(scales[0]), _teacher(scales[1]), _labels()))


@pytest.mark.parametrize("name", FROM_TEACHER)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 20.0])
def test_a_student_like_its_teacher_has_zero_gradient_and_zero_loss(name: str, scale: float) -> None:
    """Soft-target cross-entropy alone keeps a value, the teacher's entropy; its gradient is zero up to rounding."""
    teacher = _output(1, TEACHER_CHANNELS, 4, scale)
    loss, gradients = _graded(FROM_TEACHER[name], teacher, teacher, _labels(), nn.ModuleDict({"hint": nn.Identity()}))
    if isinstance(FROM_TEACHER[name], SoftBceTerm):
        assert loss > 0
    else:
        assert abs(loss) <= 1e-7
    assert gradients
    assert all(gradient.abs().max() <= 1e-7 for gradient in gradients.values())


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("disturbance", [3.0, -50.0, 1e4])
def test_what_the_student_says_of_the_unknown_changes_nothing(name: str, disturbance: float) -> None:
    """Unknown: a label is missing under terms on labels, the teacher's answer under all others."""
    term, labels, student, teacher = TERMS[name], _labels(), _student(), _teacher()
    if isinstance(term, LabelTerm):
        unknown = labels.isnan()
    else:
        unknown = torch.zeros(BATCH, FINDINGS, dtype=torch.bool)
        unknown[:, 1], unknown[2, 3], unknown[4, :] = True, True, True
        teacher.logits[unknown], teacher.class_maps[unknown] = NAN, NAN
    other = _student()
    other.logits[unknown] += disturbance
    other.class_maps[unknown] -= disturbance
    loss, gradients = _graded(term, student, teacher, labels)
    same, same_gradients = _graded(term, other, teacher, labels)
    assert torch.equal(loss, same)
    assert all(torch.equal(gradients[part], same_gradients[part]) for part in gradients)
    assert all((gradients[part][unknown] == 0).all() for part in gradients if part != "features")


@pytest.mark.parametrize("name", ON_FINDINGS)
def test_if_nothing_is_known_loss_and_gradient_are_zero(name: str) -> None:
    teacher = _teacher()
    nothing = teacher._replace(
        logits=torch.full_like(teacher.logits, NAN), class_maps=torch.full_like(teacher.class_maps, NAN)
    )
    assert _all_zero(*_graded(ON_FINDINGS[name], _student(), nothing, torch.full((BATCH, FINDINGS), NAN)))


@pytest.mark.parametrize("name", PURE)
def test_terms_on_features_alone_do_not_depend_on_what_is_known_of_findings(name: str) -> None:
    teacher, nothing = _teacher(), torch.full((BATCH, FINDINGS), NAN)
    silent = teacher._replace(logits=nothing, class_maps=torch.full_like(teacher.class_maps, NAN))
    known, _gradients = _graded(PURE[name], _student(), teacher, _labels())
    assert torch.equal(_graded(PURE[name], _student(), silent, nothing)[0], known)


@pytest.mark.parametrize("name", ON_FEATURES)
def test_a_teacher_whose_features_are_no_numbers_is_not_passed_over(name: str) -> None:
    """Features are never unknown: the loss turns NaN, and the loop stops at one that is."""
    teacher = _teacher()
    teacher.features[0, 2, 0, 1] = NAN
    assert _graded(ON_FEATURES[name], _student(), teacher, _labels())[0].isnan()


def test_label_wise_embeddings_are_compared_where_findings_are_present() -> None:
    """Three images have the first finding, two the second, none the others; where nobody labelled, the teacher says."""
    labels = torch.tensor([[1.0, 1, 0, 0], [1, 1, 0, NAN], [NAN, 0, 0, 0], [NAN, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    teacher = _teacher()
    teacher.logits[:, 3], teacher.logits[2, 0], teacher.logits[3, 0] = -1.0, 1.0, -1.0
    loss, gradients = _graded(L2dTerm(), _student(), teacher, labels)
    assert loss > 0
    reached = (gradients["class_maps"] != 0).any(dim=3).any(dim=2)
    expected = torch.zeros(BATCH, FINDINGS, dtype=torch.bool)
    expected[[0, 1, 2], 0] = True
    assert torch.equal(reached, expected)


@pytest.mark.parametrize("name", TERMS)
def test_a_batch_of_one_has_a_loss(name: str) -> None:
    assert _all_finite(*_graded(TERMS[name], _student(batch=1), _teacher(batch=1), _labels(batch=1)))


@pytest.mark.parametrize(
    "term", [TERMS["rkd"], TERMS["similarity"], DistTerm(within_image=0), L2dTerm(instance_aware=0)], ids=str
)
def test_one_image_has_no_relations(term: Term) -> None:
    loss, gradients = _graded(term, _student(batch=1), _teacher(batch=1), _labels(batch=1))
    assert loss == 0
    assert all(gradient.abs().max() <= 1e-7 for gradient in gradients.values())


@pytest.mark.parametrize("name", ON_FEATURES)
def test_images_that_are_all_the_same_give_finite_gradients(name: str) -> None:
    same = ModelOutput(*(part[:1].repeat(BATCH, *[1] * (part.ndim - 1)) for part in _student()))
    assert _all_finite(*_graded(ON_FEATURES[name], same, _teacher(), _labels()))


@pytest.mark.parametrize("name", TERMS)
def test_it_is_computed_in_float32_inside_autocast(name: str) -> None:
    term, adapters = TERMS[name], build_adapters(ObjectiveConfig(terms=(HintTerm(),)), 5, 7)
    student, teacher = (ModelOutput(*(p.bfloat16().float() for p in out)) for out in (_student(), _teacher()))
    expected, _gradients = _graded(term, student, teacher, _labels(), adapters)
    with torch.autocast("cpu", torch.bfloat16):
        halves = (ModelOutput(*(part.bfloat16() for part in output)) for output in (student, teacher))
        loss, gradients = _graded(term, *halves, _labels(), adapters)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected)
    assert _all_finite(loss, gradients)


@pytest.mark.parametrize("name", TERMS)
def test_the_order_of_the_findings_does_not_matter(name: str) -> None:
    order, student, teacher, labels = torch.tensor([2, 0, 3, 1]), _student(), _teacher(), _labels()
    loss, _gradients = _graded(TERMS[name], student, teacher, labels)
    shuffled = (
        output._replace(logits=output.logits[:, order], class_maps=output.class_maps[:, order])
        for output in (student, teacher)
    )
    torch.testing.assert_close(_graded(TERMS[name], *shuffled, labels[:, order])[0], loss)
