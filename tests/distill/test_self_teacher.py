"""A student that teaches itself: its average speaks, labels keep their share, and nothing is known that nobody said."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from pocketcxr.distill.config import BceTerm, ClassMapTerm, HintTerm, MldTerm, ObjectiveConfig, SoftBceTerm
from pocketcxr.distill.losses.logits import bce
from pocketcxr.distill.objectives import Labels, build_adapters, terms, total
from pocketcxr.distill.self_teacher import (
    Average,
    SelfLessons,
    SelfTeacher,
    mix,
    ramp,
    warmup_steps,
    why_not_self_taught,
)
from pocketcxr.distill.taps import Tapped
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.outputs import ModelOutput, Net

MakeNet = Callable[[int], Net]
LOGITS = st.floats(-60, 60)
EVERYTHING = ObjectiveConfig(terms=(BceTerm(), MldTerm(), ClassMapTerm(), HintTerm(stride=16)))
SPEC = PreprocessSpec(size=32)
LABELS = np.array([[1, 0], [0, np.nan], [np.nan, np.nan]], dtype=np.float32)
ROWS = torch.arange(3)


def lessons(config: SelfTeacher, objective: ObjectiveConfig = EVERYTHING) -> SelfLessons:
    """Of three images, ten steps of warm-up in a run of a hundred."""
    return SelfLessons(config, objective, SPEC, never, LABELS, warmup_steps=10, steps=100)


def never(indices: Tensor, view: int) -> Tensor:
    raise AssertionError("the average was to see what the student sees")


def pixels() -> Tensor:
    return torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def average_of(net: Net, stride: int | None = None) -> Average:
    return Average(Tapped(net, stride), {name: value.clone() for name, value in net.state_dict().items()})


@given(label=st.floats(0, 1), logit=LOGITS, share=st.floats(0, 1))
def test_a_mixed_target_is_the_weighted_mean_of_label_and_probability(label: float, logit: float, share: float) -> None:
    mixed = mix(torch.tensor([[label]]).double(), torch.tensor([[logit]]).double(), share)
    wanted = (1 - share) * label + share / (1 + math.exp(-logit))
    assert abs(float(mixed)) <= 16
    assert float(torch.sigmoid(mixed)) == pytest.approx(wanted, abs=2e-7)


@given(logit=LOGITS, share=st.floats(0, 1))
def test_a_mixed_target_is_unknown_exactly_where_the_label_is(logit: float, share: float) -> None:
    labels = torch.tensor([[0.0, 1.0, torch.nan]])
    mixed = mix(labels, torch.full_like(labels, logit), share)
    assert torch.equal(mixed.isnan(), labels.isnan())
    assert mixed[0, 0] <= mixed[0, 1]


def test_the_average_speaks_with_its_own_weights_and_statistics_in_eval_mode(make_net: MakeNet) -> None:
    net, other = make_net(2), make_net(2)
    with torch.no_grad():
        for value in other.state_dict().values():
            value.copy_(value + 1)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.train()
    average = Average(Tapped(net, 8), other.state_dict())
    answer = lessons(SelfTeacher()).at(0, average)(pixels(), ROWS, 0)
    other.eval()
    wanted = Tapped(other, 8)((pixels() - SPEC.mean) / SPEC.std)
    for ours, theirs in zip(answer, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)
        assert not ours.requires_grad
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_an_average_that_is_the_student_itself_teaches_nothing(make_net: MakeNet) -> None:
    net = make_net(2).eval()
    own = lessons(SelfTeacher())
    student = Tapped(net, 16)((pixels() - SPEC.mean) / SPEC.std)
    taught = own.at(50, average_of(net, 16))(pixels(), ROWS, 0)
    objective = ObjectiveConfig(terms=(MldTerm(), ClassMapTerm(), HintTerm(stride=16)))
    adapters = build_adapters(objective, 8, 8)
    with torch.no_grad():
        adapters["hint"].weight.copy_(torch.eye(8)[:, :, None, None])
    losses = terms(objective, student, taught, Labels(torch.full((3, 2), torch.nan)), adapters)
    total(losses).backward()
    assert all(loss.item() == pytest.approx(0, abs=1e-12) for loss in losses.values())
    assert all(p.grad is not None and p.grad.abs().max() < 1e-7 for p in net.parameters())


@pytest.mark.parametrize("form", ["salnas", "ps-kd"])
def test_labels_alone_teach_until_the_average_has_warmed_up(make_net: MakeNet, form: str) -> None:
    own = lessons(SelfTeacher.model_validate({"form": form}))
    early = own.at(9, average_of(make_net(2)))(pixels(), ROWS, 0).logits
    late = own.at(10, average_of(make_net(2)))(pixels(), ROWS, 0).logits
    assert np.array_equal(early.isnan().numpy(), np.isnan(LABELS))
    np.testing.assert_allclose(torch.sigmoid(early), LABELS, atol=2e-7)
    assert late.isfinite().all()
    said = lessons(SelfTeacher()).at(10, average_of(make_net(2)))(pixels(), ROWS, 0).logits
    assert torch.equal(late.isnan() | torch.from_numpy(np.isnan(LABELS)), late == said)


def test_salnas_is_cross_entropy_against_half_label_half_average(make_net: MakeNet) -> None:
    net = make_net(2)
    said = lessons(SelfTeacher()).at(10, average_of(net))(pixels(), ROWS, 0).logits
    mixed = lessons(SelfTeacher(form="salnas")).at(10, average_of(net))(pixels(), ROWS, 0)
    student = ModelOutput(torch.randn(3, 2), torch.zeros(3, 2, 1, 1), torch.zeros(3, 1, 1, 1))
    objective = ObjectiveConfig(terms=(SoftBceTerm(),))
    loss = terms(objective, student, mixed, Labels(torch.from_numpy(LABELS)), nn.ModuleDict())["soft-bce"]
    probability, label = torch.sigmoid(said), torch.from_numpy(LABELS)
    target = torch.where(label.isnan(), probability, probability + 0.5 * (label - probability))
    torch.testing.assert_close(loss, bce(student.logits, target))


def test_the_share_of_ps_kd_grows_to_its_end() -> None:
    own = lessons(SelfTeacher(form="ps-kd"))
    shares = [own.share_at(step) for step in (0, 9, 10, 49, 99)]
    assert shares == pytest.approx([0, 0, 0.8 * 11 / 100, 0.4, 0.8])
    assert lessons(SelfTeacher(form="ps-kd", share=0.2)).share_at(99) == pytest.approx(0.2)
    assert lessons(SelfTeacher(form="salnas", share=0.2)).share_at(99) == 0.2


def test_what_learns_from_an_early_average_counts_less_and_labels_count_in_full() -> None:
    losses = {term.kind: torch.ones(()) for term in EVERYTHING.terms}
    early = lessons(SelfTeacher()).weigh(losses, 0)
    assert early["bce"] == 1
    assert early["mld"] == early["hint"] == pytest.approx(math.exp(-5))
    mixed = lessons(SelfTeacher(form="salnas")).weigh(losses, 0)
    assert {kind: float(loss) for kind, loss in mixed.items()} == {"bce": 1, "mld": 1, "class-map": 0, "hint": 0}
    for config in (SelfTeacher(), SelfTeacher(form="salnas")):
        assert set(map(float, lessons(config).weigh(losses, 10).values())) == {1}
    at_once = replace(lessons(SelfTeacher()), warmup_steps=0)
    assert float(at_once.weigh(losses, 0)["mld"]) == 1


@given(st.lists(st.floats(0, 1), min_size=2))
def test_the_ramp_never_falls_and_ends_at_one(progress: list[float]) -> None:
    weights = [ramp(value) for value in sorted(progress)]
    assert weights == sorted(weights)
    assert ramp(1) == 1


def test_warming_up_takes_one_pass_but_at_most_a_fifth_of_the_run() -> None:
    assert warmup_steps(SelfTeacher(), num_images=100, batch_size=32, steps=1000) == 4
    assert warmup_steps(SelfTeacher(), num_images=100_000, batch_size=32, steps=1000) == 200
    assert warmup_steps(SelfTeacher(warmup_steps=0), num_images=100, batch_size=32, steps=1000) == 0


def test_another_view_is_one_that_no_student_sees(make_net: MakeNet) -> None:
    asked: list[tuple[list[int], int]] = []

    def seen(indices: Tensor, view: int) -> Tensor:
        asked.append((indices.tolist(), view))
        return torch.zeros(len(indices), 1, 32, 32)

    own = replace(lessons(SelfTeacher(view="other")), pixels_at=seen)
    average = average_of(make_net(2))
    answer = own.at(3, average)(pixels(), ROWS, 7)
    black = lessons(SelfTeacher()).at(3, average)(torch.zeros(3, 1, 32, 32), ROWS, 7)
    assert torch.equal(answer.logits, black.logits)
    assert asked == [([0, 1, 2], 2**32 + 7)]


def test_a_student_that_could_learn_nothing_from_itself_is_told_why() -> None:
    def why_not(config: SelfTeacher, objective: ObjectiveConfig, moves: bool = True) -> str | None:
        return why_not_self_taught(config, objective, steps=100, moves=moves)

    soft = ObjectiveConfig(terms=(SoftBceTerm(),))
    places = ObjectiveConfig(terms=(BceTerm(), ClassMapTerm()))
    assert "add bce" in (why_not(SelfTeacher(), soft) or "")
    assert why_not(SelfTeacher(form="salnas"), soft) is None
    assert "teacher.share" in (why_not(SelfTeacher(share=0.5), EVERYTHING) or "")
    assert "class-map compares places" in (why_not(SelfTeacher(view="other"), places) or "")
    assert why_not(SelfTeacher(view="other"), places, moves=False) is None
    assert why_not(SelfTeacher(), EVERYTHING) is None
    assert why_not(SelfTeacher(warmup_steps=99), EVERYTHING) is None
    assert "is over" in (why_not(SelfTeacher(warmup_steps=100), EVERYTHING) or "")
