"""The same tensors give the same value as in torchdistill, wherever it has the loss."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pocketcxr.distill.losses.features import attention, hint
from pocketcxr.distill.losses.relations import CorrelationShape, correlation, rkd_angle, rkd_distance, similarity

mid_level: Any = pytest.importorskip("torchdistill.losses.mid_level")


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _outputs(output: Tensor) -> dict[str, dict[str, Tensor]]:
    """What torchdistill's hooks would have gathered: one module named "net"."""
    return {"net": {"output": output}}


def _same(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_rkd(seed: int) -> None:
    student, teacher = _random(8, 5, seed=seed), _random(8, 7, seed=seed + 10)
    by_distance, by_angle = (mid_level.RKDLoss("net", "net", *factors, "mean") for factors in ((1, 0), (0, 1)))
    _same(rkd_distance(student, teacher), by_distance(_outputs(student), _outputs(teacher)))
    _same(rkd_angle(student, teacher), by_angle(_outputs(student), _outputs(teacher)))


@pytest.mark.parametrize("seed", range(3))
def test_similarity(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchdistill calls normalize(gram, 1), where 1 is p: L1 rows. The paper's rows have L2 norm 1, as ours have."""
    monkeypatch.setattr(mid_level, "normalize", lambda gram, _p: functional.normalize(gram, p=2, dim=1))
    student, teacher = _random(8, 5, 4, 4, seed=seed), _random(8, 7, 2, 2, seed=seed + 10)
    theirs = mid_level.SPKDLoss("net", "net", "batchmean")
    _same(similarity(student, teacher), theirs(_outputs(student), _outputs(teacher)))


@pytest.mark.parametrize("seed", range(3))
def test_attention(seed: int) -> None:
    student, teacher = _random(8, 5, 4, 4, seed=seed), _random(8, 7, 4, 4, seed=seed + 10)
    end = {"io": "output", "path": "net"}
    theirs = mid_level.ATLoss({"pair": {"teacher": end, "student": end}}, mode="code")
    _same(attention(student, teacher), theirs(_outputs(student), _outputs(teacher)))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_dist(temperature: float) -> None:
    student, teacher = _random(8, 6), _random(8, 6, seed=1)
    theirs = mid_level.DISTLoss("net", "output", "net", "output", beta=0.5, gamma=2.0, tau=temperature)
    ours = correlation(student, teacher, CorrelationShape("softmax", temperature, within_image=0.5, within_finding=2.0))
    _same(ours, theirs(_outputs(student), _outputs(teacher)))


def test_hint_is_torchdistills_mse_loss_over_the_teachers_variance() -> None:
    """torchdistill's FitNet hint is nn.MSELoss between regressor output and teacher features."""
    student, teacher = _random(8, 7, 4, 4), _random(8, 7, 4, 4, seed=1)
    variance = teacher.var(dim=(0, 2, 3), correction=0).mean()
    _same(hint(student, teacher) * variance, nn.MSELoss()(student, teacher))
