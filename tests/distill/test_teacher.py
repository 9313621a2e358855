"""A teacher does not learn, sees images its own way and does not guess findings it never learnt."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pocketcxr.distill.teacher import OpenTeacher, Teach, Teacher, align, learnt_only, live, weights_hash
from pocketcxr.domain.errors import ConfigError, PocketCxrError
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


def test_a_broader_finding_is_another_finding() -> None:
    """Lung opacity holds consolidation in every vocabulary; a teacher of one still knows nothing of the other."""
    aligned = align(_output(2), ("Lung_Opacity", "Mass"), ("Consolidation", "Mass"))
    assert aligned.logits[:, 0].isnan().all()
    with pytest.raises(ConfigError, match=r"the teacher knows Lung_Opacity, the student learns Consolidation"):
        align(_output(1), ("Lung_Opacity",), ("Consolidation",))


def _open(teacher: Teacher, teach: Teach | None = None) -> OpenTeacher:
    return OpenTeacher("tiny", "run there", teach or teacher.teach, SPEC, teacher.findings, "digest", 8)


def test_the_live_source_is_the_aligned_teacher(make_net: MakeNet) -> None:
    teacher, pixels = Teacher(make_net(3), SPEC, FINDINGS), torch.rand(2, 1, 32, 32)
    answer = live(_open(teacher), ("Mass", "Edema"))(pixels, torch.arange(2), 0)
    assert torch.equal(answer.logits[:, 0], teacher.teach(pixels).logits[:, 1])
    assert answer.logits[:, 1].isnan().all()


def test_a_live_teacher_with_its_own_pictures_sees_these(make_net: MakeNet) -> None:
    teacher, own = Teacher(make_net(3), SPEC, FINDINGS), torch.rand(5, 1, 32, 32)
    source = live(_open(teacher), FINDINGS, lambda indices, view: own[indices] / (1 + view))
    answer = source(torch.rand(2, 1, 16, 16), torch.tensor([3, 1]), 1)
    torch.testing.assert_close(answer.logits, teacher.teach(own[[3, 1]] / 2).logits)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("part", "what"), [("logits", "logit"), ("class_maps", "class map"), ("features", "features")])
def test_no_number_where_a_teacher_says_it_knows_names_teacher_and_finding(
    make_net: MakeNet, value: float, part: str, what: str
) -> None:
    teacher = Teacher(make_net(3), SPEC, FINDINGS)

    def teach(pixels: Tensor) -> ModelOutput:
        answer = teacher.teach(pixels)
        broken = {name: values.clone() for name, values in answer._asdict().items()}
        broken[part][1, 2] = value
        return ModelOutput(**broken)

    with pytest.raises(PocketCxrError) as caught:
        live(_open(teacher, teach), ("Hernia", "Nodule"))(torch.rand(3, 1, 32, 32), torch.arange(3), 0)
    message = str(caught.value)
    assert f"the teacher tiny (run there) gives no finite {what}" in message
    assert "of 1 images of a batch (the first: number 2)" in message
    assert ("Nodule" in message) == (part != "features")
    assert "choose another teacher" in message


def test_noise_about_a_finding_never_learnt_is_no_fault(make_net: MakeNet) -> None:
    teacher = Teacher(make_net(3), SPEC, learnt_only(FINDINGS, ("Nodule",)))

    def teach(pixels: Tensor) -> ModelOutput:
        answer = teacher.teach(pixels)
        return answer._replace(logits=answer.logits.index_fill(1, torch.tensor([2]), torch.inf))

    answer = _open(teacher, teach).answer(torch.rand(2, 1, 32, 32), FINDINGS)
    assert answer.logits[:, 2].isnan().all()
    assert answer.logits[:, :2].isfinite().all()


def test_the_hash_knows_every_weight_and_buffer(make_net: MakeNet) -> None:
    net, same = make_net(3), make_net(3)
    assert weights_hash(net) == weights_hash(same)
    hashes = {weights_hash(net)}
    for name in net.state_dict():
        changed = make_net(3)
        changed.state_dict()[name].add_(1)
        hashes.add(weights_hash(changed))
    assert len(hashes) == 1 + len(net.state_dict())
