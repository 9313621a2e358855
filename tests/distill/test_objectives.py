"""From a config to named, weighted losses, and what an objective says it needs."""

import numpy as np
import pytest
import torch
from torch import nn

from pocketcxr.distill.config import (
    OBJECTIVES,
    BceTerm,
    ClassMapTerm,
    DecoupledTerm,
    DistTerm,
    FocalBceTerm,
    HintTerm,
    L2dTerm,
    MldTerm,
    ObjectiveConfig,
    RkdTerm,
    Term,
    XkdTerm,
)
from pocketcxr.distill.losses.logits import focal_bce, xkd
from pocketcxr.distill.objectives import (
    Labels,
    build_adapters,
    feature_stride,
    label_weights,
    needs_teacher,
    presence,
    teacher_parts,
    terms,
    total,
)
from pocketcxr.domain.errors import ConfigError
from pocketcxr.models.outputs import ModelOutput


def _output(seed: int, channels: int = 5) -> ModelOutput:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(4, 3, 2, 2, generator=generator)
    return ModelOutput(maps.mean(dim=(2, 3)), maps, torch.randn(4, channels, 2, 2, generator=generator))


LABELS = Labels(torch.tensor([[1.0, 0.0, torch.nan]]).expand(4, 3))
NO_ADAPTERS = nn.ModuleDict()


def test_terms_are_weighted_and_named_by_kind_and_sum_to_the_total() -> None:
    student, teacher = _output(0), _output(1)
    losses = terms(OBJECTIVES["paper"], student, teacher, LABELS, NO_ADAPTERS)
    assert list(losses) == ["focal-bce", "xkd"]
    torch.testing.assert_close(losses["focal-bce"], 0.5 * focal_bce(student.logits, LABELS.values, 2.0))
    torch.testing.assert_close(losses["xkd"], 0.5 * xkd(student.logits, teacher.logits, 2.0))
    torch.testing.assert_close(total(losses), losses["focal-bce"] + losses["xkd"])


def test_no_gradient_reaches_the_teacher() -> None:
    objective = ObjectiveConfig(terms=(MldTerm(), ClassMapTerm(), HintTerm()))
    student = ModelOutput(*(part.requires_grad_() for part in _output(0)))
    teacher = ModelOutput(*(part.requires_grad_() for part in _output(1, channels=7)))
    total(terms(objective, student, teacher, LABELS, build_adapters(objective, 5, 7))).backward()  # type: ignore[no-untyped-call]
    assert all(part.grad is None for part in teacher)
    assert all(part.grad is not None for part in student)


@pytest.mark.parametrize("term", [BceTerm(imbalance="balanced"), FocalBceTerm(imbalance="balanced")])
def test_balanced_terms_use_the_weights_and_ask_for_them(term: BceTerm | FocalBceTerm) -> None:
    balanced = ObjectiveConfig(terms=(term,))
    plain = ObjectiveConfig(terms=(term.model_copy(update={"imbalance": "none"}),))
    weighted = Labels(LABELS.values, torch.tensor([3.0, 1.0, 1.0]))
    student = _output(0)
    assert total(terms(balanced, student, None, weighted, NO_ADAPTERS)) > total(
        terms(plain, student, None, weighted, NO_ADAPTERS)
    )
    with pytest.raises(ConfigError, match="label_weights"):
        terms(balanced, student, None, LABELS, NO_ADAPTERS)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match="'mld' learns from a teacher"):
        terms(OBJECTIVES["mld"], _output(0), None, LABELS, NO_ADAPTERS)
    with pytest.raises(ConfigError, match="build_adapters"):
        terms(OBJECTIVES["soft-bce+hint"], _output(0), _output(1), LABELS, NO_ADAPTERS)


@pytest.mark.parametrize("term", [ClassMapTerm(), HintTerm(), RkdTerm(), L2dTerm()])
def test_a_teacher_without_the_part_a_term_compares_is_refused(term: Term) -> None:
    teacher = _output(1)
    if isinstance(term, ClassMapTerm | L2dTerm):
        teacher = teacher._replace(class_maps=torch.zeros(4, 0, 1, 1))
    else:
        teacher = teacher._replace(features=torch.zeros(4, 0, 1, 1))
    with pytest.raises(ConfigError, match=f"'{term.kind}' compares .*the teacher gives none"):
        terms(ObjectiveConfig(terms=(term,)), _output(0), teacher, LABELS, NO_ADAPTERS)


def test_presence_is_the_label_or_else_the_teachers_probability() -> None:
    labels = torch.tensor([[1.0, 0.25, torch.nan, torch.nan]])
    teacher = torch.tensor([[-9.0, 9.0, 0.0, torch.nan]])
    expected = torch.tensor([[1.0, 0.25, 0.5, torch.nan]])
    torch.testing.assert_close(presence(labels, teacher), expected, equal_nan=True)


def test_every_part_that_an_objective_does_not_ask_for_may_be_missing() -> None:
    """What the teacher cache leaves out is never looked at."""
    for objective in OBJECTIVES.values():
        kept = {"logits", *teacher_parts(objective)} if needs_teacher(objective) else set()
        parts = {name: part if name in kept else torch.zeros(4, 0, 1, 1) for name, part in _output(1)._asdict().items()}
        teacher = ModelOutput(**parts) if needs_teacher(objective) else None
        losses = terms(objective, _output(0), teacher, LABELS, build_adapters(objective, 5, 5))
        assert total(losses).isfinite()


def test_factors_weigh_the_parts_of_a_term() -> None:
    labels = Labels(torch.tensor([[1.0, 1, 1], [1, 1, 1], [1, 0, 0], [0, 0, 0]]))

    def loss(term: Term) -> torch.Tensor:
        value = total(terms(ObjectiveConfig(terms=(term,)), _output(0), _output(1), labels, NO_ADAPTERS))
        assert value > 0
        return value

    first, second = loss(RkdTerm(distance=1, angle=0)), loss(RkdTerm(distance=0, angle=1))
    torch.testing.assert_close(loss(RkdTerm(distance=3, angle=0.5)), 3 * first + 0.5 * second)
    first, second = loss(DistTerm(within_image=0)), loss(DistTerm(within_finding=0))
    torch.testing.assert_close(loss(DistTerm(within_image=0.5, within_finding=3)), 3 * first + 0.5 * second)
    first, second = loss(L2dTerm(instance_aware=0)), loss(L2dTerm(class_aware=0, instance_aware=1))
    torch.testing.assert_close(loss(L2dTerm(class_aware=3, instance_aware=0.5)), 3 * first + 0.5 * second)
    first, second = loss(DecoupledTerm(absent=0)), loss(DecoupledTerm(present=0))
    torch.testing.assert_close(loss(DecoupledTerm(present=3, absent=0.5)), 3 * first + 0.5 * second)


def test_an_objective_says_what_it_needs() -> None:
    assert not needs_teacher(OBJECTIVES["alone"])
    assert needs_teacher(OBJECTIVES["paper"])
    assert feature_stride(OBJECTIVES["paper"]) is None
    assert feature_stride(OBJECTIVES["soft-bce+hint"]) == 16
    assert teacher_parts(OBJECTIVES["paper"]) == ()
    assert teacher_parts(OBJECTIVES["soft-bce+hint"]) == ("features",)
    assert teacher_parts(OBJECTIVES["soft-bce+class-map"]) == ("class_maps",)
    assert teacher_parts(OBJECTIVES["l2d"]) == ("class_maps", "features")


def test_adapters_fit_the_channels_and_depend_on_their_seed_alone() -> None:
    objective = OBJECTIVES["soft-bce+hint"]
    before = torch.get_rng_state()
    first, same, other = (build_adapters(objective, 5, 7, seed)["hint"] for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert first(torch.zeros(2, 5, 4, 4)).shape == (2, 7, 4, 4)
    assert torch.equal(first.weight, same.weight)
    assert not torch.equal(first.weight, other.weight)
    assert len(build_adapters(OBJECTIVES["paper"], 5, 7)) == 0


def test_with_an_identity_adapter_a_student_like_its_teacher_has_no_hint_gradient() -> None:
    objective = ObjectiveConfig(terms=(HintTerm(),))
    teacher = _output(1)
    student = teacher._replace(features=teacher.features.clone().requires_grad_())
    losses = terms(objective, student, teacher, LABELS, nn.ModuleDict({"hint": nn.Identity()}))
    total(losses).backward()  # type: ignore[no-untyped-call]
    assert losses["hint"] == 0
    assert student.features.grad is not None
    assert (student.features.grad == 0).all()


def test_label_weights_are_negatives_over_positives_among_the_known() -> None:
    unknown = np.nan
    labels = np.array(
        [[1, 0, 1, unknown, 1], [0, 0, 1, unknown, 0], [0, unknown, 1, unknown, 0], [unknown, 0, 1, unknown, 0]],
        dtype=np.float32,
    )
    assert label_weights(labels).tolist() == [2, 1, 1, 1, 3]
    assert label_weights(labels, limit=2.5).tolist() == [2, 1, 1, 1, 2.5]


def test_balanced_positives_weigh_as_much_as_negatives() -> None:
    labels = np.array([[1], [0], [0], [0], [0]], dtype=np.float32)
    weight = float(label_weights(labels)[0])
    assert weight * labels.sum() == (labels == 0).sum()


def test_temperature_reaches_the_loss() -> None:
    student, teacher = _output(0), _output(1)
    warm, hot = (
        terms(ObjectiveConfig(terms=(XkdTerm(temperature=t),)), student, teacher, LABELS, NO_ADAPTERS)["xkd"]
        for t in (1.0, 4.0)
    )
    torch.testing.assert_close(hot, xkd(student.logits, teacher.logits, 4.0))
    assert warm != hot
