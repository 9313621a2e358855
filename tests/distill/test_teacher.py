"""A teacher does not learn, sees images its own way and does not guess findings it never learnt."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from pocketcxr.distill.teacher import Teacher, align, live, weights_hash
from pocketcxr.domain.errors import ConfigError
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.outputs import ModelOutput, Net

MakeNet = Callable[[int], Net]
SPEC = PreprocessSpec(size=32, mean=0.4, std=0.2)
FINDINGS = ("Effusion", "Mass", "Nodule")


def test_a_teacher_stays_frozen_and_in_eval_mode_whatever_is_called(make_net: MakeNet) -> None:
    net = make_net(3)
    before = weights_hash(net)
    teacher = Teacher(net, SPEC, FINDINGS)
    nn.ModuleList([teacher]).train()
    teacher.train()
    output = teacher.teach(torch.rand(4, 1, 32, 32))
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not output.logits.requires_grad
    assert weights_hash(net) == before


def test_its_answers_can_be_used_in_a_students_backward_pass(make_net: MakeNet) -> None:
    student = torch.zeros(2, 3, requires_grad=True)
    output = Teacher(make_net(3), SPEC, FINDINGS).teach(torch.rand(2, 1, 32, 32))
    (student * output.logits).sum().backward()
    assert student.grad is not None


def test_a_teacher_normalises_as_its_own_spec_says(make_net: MakeNet) -> None:
    net, pixels = make_net(3), torch.rand(2, 1, 32, 32)
    teacher = Teacher(net, SPEC, FINDINGS)
    assert torch.equal(teacher.teach(pixels).logits, net((pixels - 0.4) / 0.2).logits)


@pytest.mark.parametrize("size", [16, 48, 128])
def test_a_teacher_resizes_what_it_gets_to_its_own_size(make_net: MakeNet, size: int) -> None:
    teacher = Teacher(make_net(3), SPEC, FINDINGS, stride=8)
    gray = torch.full((1, 1, size, size), 0.7)
    torch.testing.assert_close(teacher.teach(gray).logits, teacher.teach(torch.full((1, 1, 32, 32), 0.7)).logits)
    assert teacher.teach(torch.rand(2, 1, size, size)).features.shape == (2, 4, 4, 4)


def _output(num_findings: int) -> ModelOutput:
    maps = torch.arange(2.0 * num_findings * 4).reshape(2, num_findings, 2, 2)
    return ModelOutput(maps.mean(dim=(2, 3)), maps, torch.ones(2, 5, 2, 2))


def test_findings_are_matched_by_name_and_unknown_ones_are_nan() -> None:
    output = _output(3)
    aligned = align(output, FINDINGS, ("Nodule", "Hernia", "Effusion"))
    assert torch.equal(aligned.logits[:, [0, 2]], output.logits[:, [2, 0]])
    assert torch.equal(aligned.class_maps[:, [0, 2]], output.class_maps[:, [2, 0]])
    assert aligned.logits[:, 1].isnan().all()
    assert aligned.class_maps[:, 1].isnan().all()
    assert torch.equal(aligned.features, output.features)


def test_equal_findings_are_passed_on_as_they_are() -> None:
    output = _output(3)
    assert align(output, FINDINGS, FINDINGS) is output


def test_a_teacher_with_nothing_to_say_is_an_error() -> None:
    with pytest.raises(ConfigError, match="Hernia"):
        align(_output(3), FINDINGS, ("Hernia",))


def test_the_live_source_is_the_aligned_teacher(make_net: MakeNet) -> None:
    teacher, pixels = Teacher(make_net(3), SPEC, FINDINGS), torch.rand(2, 1, 32, 32)
    answer = live(teacher, ("Mass", "Edema"))(pixels, torch.arange(2), 0)
    assert torch.equal(answer.logits[:, 0], teacher.teach(pixels).logits[:, 1])
    assert answer.logits[:, 1].isnan().all()


def test_the_hash_knows_every_weight_and_buffer(make_net: MakeNet) -> None:
    net, same = make_net(3), make_net(3)
    assert weights_hash(net) == weights_hash(same)
    hashes = {weights_hash(net)}
    for name in net.state_dict():
        changed = make_net(3)
        changed.state_dict()[name].add_(1)
        hashes.add(weights_hash(changed))
    assert len(hashes) == 1 + len(net.state_dict())
