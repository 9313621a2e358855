"""Batch norm over the whole batch, when each process holds a share of it.

torch.nn.SyncBatchNorm does the same on CUDA only, and takes the place of modules; this works on every device and for
every module that calls torch's batch_norm (timm's norm-and-activation too), and changes no net.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from pocketcxr.train.team import Team


def batch_norm_over(team: Team) -> AbstractContextManager[object]:
    """While inside, training batch norm takes its statistics from everybody's rows. Shares must be equal."""
    return nullcontext() if team.size == 1 else _GlobalBatchNorm(team)


class _GlobalBatchNorm(TorchFunctionMode):
    def __init__(self, team: Team) -> None:
        super().__init__()
        self.team = team

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        settings = dict(kwargs or {})
        if func is functional.batch_norm and settings.pop("training", False):
            return _batch_norm(self.team, *args, **settings)
        return func(*args, **(kwargs or {}))


def _batch_norm(
    team: Team,
    values: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """torch.nn.functional.batch_norm, training, of the whole batch's statistics."""
    mean, variance = _statistics(team, values.detach())
    if running_mean is not None and running_var is not None:
        count = team.size * values.numel() // values.shape[1]
        running_mean.lerp_(mean.to(running_mean), momentum)
        running_var.lerp_((variance * count / (count - 1)).to(running_var), momentum)
    normal: Tensor = _Normalise.apply(values, mean, torch.rsqrt(variance + eps), team)
    shape = _along_channels(values)
    if weight is not None:
        normal = normal * weight.to(normal).view(shape)
    return normal if bias is None else normal + bias.to(normal).view(shape)


def _statistics(team: Team, values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance [channel] over the whole batch; of means and variances of equal shares."""
    variance, mean = torch.var_mean(_precise(values), _all_but_channels(values), correction=0)
    means, variances = team.stacked(torch.stack([mean, variance])).unbind(1)
    mean = means.mean(0)
    return mean, (variances + (means - mean).square()).mean(0)


class _Normalise(torch.autograd.Function):
    """(values - mean) / deviation, whose statistics depend on the values of all processes."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, mean: Tensor, inverse: Tensor, team: Team) -> Tensor:
        shape = _along_channels(values)
        normal = ((_precise(values) - mean.view(shape)) * inverse.view(shape)).to(values.dtype)
        ctx.save_for_backward(normal, inverse)
        ctx.team = team
        return normal

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        normal, inverse = ctx.saved_tensors
        gradient, dims, shape = _precise(gradients[0]), _all_but_channels(normal), _along_channels(normal)
        own = torch.stack([gradient.mean(dims), (gradient * normal).mean(dims)])
        along_mean, along_deviation = ctx.team.stacked(own).mean(0).unbind(0)
        through = gradient - along_mean.view(shape) - normal * along_deviation.view(shape)
        return (through * inverse.view(shape)).to(normal.dtype), None, None, None


def _precise(values: Tensor) -> Tensor:
    """In float32 at least: halves are too coarse for sums."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _all_but_channels(values: Tensor) -> list[int]:
    return [0, *range(2, values.ndim)]


def _along_channels(values: Tensor) -> list[int]:
    return [1, -1] + [1] * (values.ndim - 2)
