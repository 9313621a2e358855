"""The processes that train one net together, one a device; mostly a single one.

Every process computes its share of each batch. What looks at a whole batch, losses and batch norm, sees the whole
batch, so a run does not depend on how many there are. The first process writes files and talks; the others are silent.
A team of one never starts torch.distributed.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from jaxtyping import Shaped
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor, distributed

from pocketcxr.domain.errors import PocketCxrError
from pocketcxr.train.devices import DeviceName, Precision, pick_device, pick_precision
from pocketcxr.train.launch import Launcher, launched

_PATIENCE = timedelta(days=30)
"""How long the others wait while the first fills the caches. A process that ends is noticed at once all the same."""

_TALK = ("lightning.fabric", "lightning.pytorch")
"""Who tells on stderr that processes find each other."""


class Team:
    """This process as a member. What all do together, all must do in the same order."""

    def __init__(self, fabric: Fabric, waiting: distributed.ProcessGroup | None = None) -> None:
        self.fabric = fabric
        self.rank, self.size, self.device = fabric.global_rank, fabric.world_size, fabric.device
        self._waiting = waiting
        """For what is said on the CPU, without a hurry; None for a team of one."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes and talks."""
        return self.rank == 0

    @contextmanager
    def first_ahead(self) -> Iterator[None]:
        """The first process runs the block alone, then the others do, and all leave it together.

        So what the first leaves on the disk, the others find there.
        """
        if not self.is_first:
            self._wait()
        yield
        if self.is_first:
            self._wait()
        self._wait()

    def any(self, is_so: bool) -> bool:
        """Whether any process says so; all get the same answer."""
        return is_so if self.size == 1 else bool(self.sum_of(torch.tensor(int(is_so))))

    def sum_of(self, values: Tensor) -> Tensor:
        """The sum over all processes of `values`, which lie on the CPU; the argument is changed."""
        if self._waiting is not None:
            _together(distributed.all_reduce, values, group=self._waiting)
        return values

    def stacked(self, values: Tensor) -> Shaped[Tensor, "process ..."]:
        """Everybody's `values` of one shape, without gradient."""
        if self.size == 1:
            return values.detach()[None]
        own = values.detach().contiguous()
        everyone = own.new_empty(self.size, *own.shape)
        _together(distributed.all_gather, list(everyone.unbind()), own)
        return everyone

    def whole(self, share: Shaped[Tensor, "b ..."]) -> Shaped[Tensor, "batch ..."]:
        """The rows of the whole batch, in order, of everybody's equal share of them; gradients flow back."""
        if self.size == 1:
            return share
        gathered: Tensor = _Whole.apply(share, self)
        return gathered

    def average(self, parameters: Sequence[Tensor]) -> None:
        """Replace each gradient by its mean over all processes: that of a loss which every process computes `whole`."""
        if self.size == 1:
            return
        # Every process has the same graph, so where one has no gradient none has.
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        _together(distributed.all_reduce, flat)
        parts = torch.split(flat.div_(self.size), [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite the tensors with the first process's."""
        if self.size == 1:
            return
        for tensor in tensors:
            # Moments' step counters stay on the CPU, whatever the device: NCCL cannot send those.
            sent = tensor.detach().to(self.device, copy=True).contiguous()
            _together(distributed.broadcast, sent, src=0)
            tensor.detach().copy_(sent)

    def _wait(self) -> None:
        self.any(False)


class _Whole(torch.autograd.Function):
    """All shares, one behind the other.

    Every process computes the same loss of all rows, and gradients are averaged afterwards: so the gradient of its own
    rows counts as often as there are processes.
    """

    @staticmethod
    def forward(ctx: Any, share: Tensor, team: Team) -> Tensor:
        ctx.team = team
        return team.stacked(share).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        team, (gradient,) = ctx.team, gradients
        return gradient.chunk(team.size)[team.rank] * team.size, None


@contextmanager
def open_team(device: DeviceName = "auto", precision: Precision = "auto") -> Iterator[Team]:
    """This process's team: those that torchrun or srun started with it, or itself alone.

    Raises ConfigError where the device is missing or cannot compute with the precision.
    """
    launch = launched()
    chosen = pick_device(device)
    fabric = Fabric(
        accelerator=chosen.type,
        strategy="auto" if launch.size == 1 else "ddp",
        devices=launch.num_per_node,
        num_nodes=launch.num_nodes,
        precision=pick_precision(precision, chosen),
        plugins=[_cluster(launch.launcher)],
    )
    with _quietly():
        fabric.launch()
    if launch.size == 1:
        yield Team(fabric)
        return
    waiting = distributed.new_group(backend="gloo", timeout=_PATIENCE)
    assert isinstance(waiting, distributed.ProcessGroup)  # and not the number that stands for "not a member"
    yield Team(fabric, waiting)
    # Only at a good end: where one failed it would wait for the others, and the launcher ends them anyway.
    distributed.destroy_process_group()


@contextmanager
def _quietly() -> Iterator[None]:
    """While inside, Fabric keeps to itself that processes find each other."""
    before = [(talk, talk.level) for talk in map(logging.getLogger, _TALK)]
    for talk, _ in before:
        talk.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for talk, level in before:
            talk.setLevel(level)


def _cluster(launcher: Launcher) -> ClusterEnvironment:
    match launcher:
        case "torchrun":
            return TorchElasticEnvironment()
        case "slurm":
            return SLURMEnvironment(auto_requeue=False)
        case "none":
            return LightningEnvironment()


def _together(collective: Callable[..., object], *arguments: Any, **settings: Any) -> None:
    """What needs all processes. Raises PocketCxrError where one is gone."""
    try:
        collective(*arguments, **settings)
    except RuntimeError as error:
        raise PocketCxrError(
            "another process of this training has ended or cannot be reached"
            f" ({str(error).strip().splitlines()[0]}); its own message, if it left one, says why. The last checkpoint"
            " is whole: start all of them again with the same command"
        ) from error
