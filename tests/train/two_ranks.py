"""What torchrun starts twice for test_team.py: every law of a team, each process checking its own half.

In float64, so that a mistake cannot hide in rounding.
"""

import os

import pytest
import torch
from torch import Tensor, nn

from pocketcxr.distill.losses.relations import CorrelationShape, correlation, rkd_distance
from pocketcxr.domain.errors import PocketCxrError
from pocketcxr.train.global_norm import batch_norm_over
from pocketcxr.train.team import Team, open_team


def net_and_batch() -> tuple[nn.Sequential, Tensor, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 6, 3, stride=2), nn.BatchNorm2d(6), nn.Hardswish(), nn.Conv2d(6, 5, 3), nn.BatchNorm2d(5)
        )
        images, teacher = torch.randn(8, 1, 12, 12), torch.randn(8, 5)
    return net.double(), images.double(), teacher.double()


def loss_of(answer: Tensor, teacher: Tensor) -> Tensor:
    student = answer.mean((2, 3))
    return correlation(student, teacher, CorrelationShape()) + rkd_distance(student, teacher) + answer.pow(3).mean()


def check_gradients_and_statistics(team: Team) -> None:
    alone, images, teacher = net_and_batch()
    expected = loss_of(alone(images), teacher)
    expected.backward()
    shared, _, _ = net_and_batch()
    rows = slice(4 * team.rank, 4 * team.rank + 4)
    with batch_norm_over(team):
        answer = shared(images[rows])
    loss = loss_of(team.whole(answer), team.whole(teacher[rows]))
    loss.backward()
    team.average(list(shared.parameters()))
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(shared.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-12)
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(shared.state_dict()[name], value, rtol=1e-12, atol=1e-12)
    with batch_norm_over(team):
        torch.testing.assert_close(shared.eval()(images[rows]), alone.eval()(images)[rows], rtol=1e-9, atol=1e-12)


def check_what_is_said(team: Team, folder: str) -> None:
    assert team.any(team.rank == 1)
    assert not team.any(False)
    assert team.sum_of(torch.tensor([1.0, float(team.rank)])).tolist() == [2.0, 1.0]
    assert team.stacked(torch.tensor([team.rank])).tolist() == [[0], [1]]
    copied = torch.full((2, 2), float(team.rank))
    team.copy_first([copied])
    assert copied.sum() == 0
    note = f"{folder}/note"
    with team.first_ahead():
        assert os.path.exists(note) != team.is_first  # noqa: PTH110
        open(note, "w").close()  # noqa: PTH123


def check_a_lost_process_is_named(team: Team) -> None:
    if not team.is_first:
        os._exit(0)
    with pytest.raises(PocketCxrError, match=r"another process .* same command"):
        team.average([parameter_with_gradient()])
    os._exit(0)  # there is no orderly end for a team that lost a member


def parameter_with_gradient() -> Tensor:
    parameter = torch.zeros(3, requires_grad=True)
    parameter.sum().backward()
    return parameter


if __name__ == "__main__":
    with open_team("cpu", "fp32") as team:
        assert team.size == 2
        check_gradients_and_statistics(team)
        check_what_is_said(team, os.environ["FOLDER"])
        check_a_lost_process_is_named(team)
