"""last.safetensors: everything a run needs to go on as if it had never stopped (docs/decisions/0005)."""

from pathlib import Path

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from pocketcxr.domain.errors import CheckpointError
from pocketcxr.train.ema import Ema
from pocketcxr.train.tensors import copy_into, read_header, read_tensors, select, write_tensors

VERSION = 1


class Counters(BaseModel, frozen=True, extra="forbid"):
    """Where a run stands; goes into the checkpoint's header."""

    version: int = VERSION
    inputs_digest: str
    """SHA-256 of what the run reads (manifest, teacher): a resumed run must read the same."""
    step: int = 0
    """Steps done."""
    best_step: int | None = None
    best_auroc: float | None = None
    """Mean validation AUROC of best.safetensors; None where no finding has both classes."""
    num_stale: int = 0
    """Evaluations since the best one."""
    seconds: float = 0.0
    """Time spent training and evaluating, over all resumptions."""
    is_finished: bool = False
    loss_scale: dict[str, float] = {}
    """State of the loss scaling of fp16; empty for other precisions."""

    def after_evaluation(self, step: int, auroc: float | None) -> "Counters":
        """The counters after one evaluation. An unknown AUROC compares with nothing: the latest weights are best."""
        is_best = auroc is None or self.best_auroc is None or auroc > self.best_auroc
        if is_best:
            return self.model_copy(update={"best_step": step, "best_auroc": auroc, "num_stale": 0})
        return self.model_copy(update={"num_stale": self.num_stale + 1})


class Trained:
    """The four things that training changes: net, adapters, optimiser moments, moving average.

    There is no generator state: batches and drop-out are pure functions of (seed, step).
    """

    def __init__(self, net: nn.Module, adapters: nn.ModuleDict, optimiser: torch.optim.Optimizer, ema: Ema) -> None:
        self.net = net
        self.adapters = adapters
        self.optimiser = optimiser
        self.ema = ema

    def tensors(self) -> dict[str, Tensor]:
        """All state by name."""
        parts = {
            "net/": self.net.state_dict(),
            "adapters/": self.adapters.state_dict(),
            "ema/": self.ema.tensors,
            "moments/": {
                f"{index}/{key}": value
                for index, moments in self.optimiser.state_dict()["state"].items()
                for key, value in moments.items()
            },
        }
        return {prefix + name: tensor for prefix, part in parts.items() for name, tensor in part.items()}

    def load(self, tensors: dict[str, Tensor], what: str) -> None:
        """Put saved state back in place. Raises CheckpointError where it does not fit."""
        copy_into(self.net.state_dict(), select(tensors, "net/"), what)
        copy_into(self.adapters.state_dict(), select(tensors, "adapters/"), what)
        copy_into(self.ema.tensors, select(tensors, "ema/"), what)
        self._load_moments(select(tensors, "moments/"), what)

    def _load_moments(self, tensors: dict[str, Tensor], what: str) -> None:
        parameters = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            index, key = name.split("/")
            if int(index) >= len(parameters):
                raise CheckpointError(f"{what} has moments of parameter {index}, but the net has {len(parameters)}")
            if tensor.ndim == 0:
                moments.setdefault(int(index), {})[key] = tensor
                continue
            # The fused optimiser walks memory, so a moment must have its parameter's strides (channels_last).
            placed = torch.empty_like(parameters[int(index)], memory_format=torch.preserve_format)
            moments.setdefault(int(index), {})[key] = placed.copy_(tensor)
        self.optimiser.load_state_dict({"state": moments, "param_groups": self.optimiser.state_dict()["param_groups"]})


def write_checkpoint(path: Path, trained: Trained, counters: Counters) -> None:
    """Replace the checkpoint at `path`. Raises CheckpointError when the disk refuses; then the old one survives."""
    write_tensors(path, trained.tensors(), counters)


def read_counters(path: Path) -> Counters:
    """Where the run with this checkpoint stands. Raises CheckpointError when it cannot be read."""
    return _checked(path, read_header(path, Counters))


def read_checkpoint(path: Path, trained: Trained) -> Counters:
    """Put the checkpoint's state into `trained` and say where it stands. Raises CheckpointError unless it fits."""
    counters, tensors = read_tensors(path, Counters)
    _checked(path, counters)
    trained.load(tensors, str(path))
    return counters


def _checked(path: Path, counters: Counters) -> Counters:
    if counters.version != VERSION:
        raise CheckpointError(
            f"{path} is a checkpoint of version {counters.version}, this program reads {VERSION}: "
            "choose another --out or use the program that wrote it"
        )
    return counters
