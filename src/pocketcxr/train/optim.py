"""How weights move: AdamW, linear warm-up, cosine to a floor."""

import math
from collections.abc import Iterable
from typing import Annotated, Self

import torch
from pydantic import BaseModel, Field, model_validator
from torch import nn


class OptimConfig(BaseModel, frozen=True, extra="forbid"):
    """The schedule of one run, in steps of one batch each."""

    steps: Annotated[int, Field(ge=1)] = 20_000
    batch_size: Annotated[int, Field(ge=2)] = 32
    """Images a step, over all processes; at least 2, since batch norm needs a batch."""
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Micro-batches that a batch is computed in, to need less memory; 2 or more take one more forward pass."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """At the top, after warm-up."""
    floor: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Learning rate at the end, as a share of the top."""
    warmup_steps: Annotated[int, Field(ge=0)] = 500
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled (AdamW); not on norms and biases."""
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Gradients of all weights together are scaled down to this length; None leaves them."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Of the averaged weights that are evaluated and kept; 0 keeps the weights themselves."""
    evaluate_every: Annotated[int, Field(ge=1)] = 500
    """Steps between evaluations on the validation split."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 500
    """Steps between checkpoints to resume from."""
    patience: Annotated[int, Field(ge=1)] | None = 10
    """Evaluations without a better validation AUROC before the run ends early; None never ends early."""

    @model_validator(mode="after")
    def _divides_batches(self) -> Self:
        if self.batch_size % self.accumulate or self.batch_size < 2 * self.accumulate:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be computed in {self.accumulate} equal parts of 2 images or more;"
                " change accumulate"
            )
        return self

    @model_validator(mode="after")
    def _warms_up_in_time(self) -> Self:
        if self.warmup_steps >= self.steps:
            raise ValueError(
                f"warmup_steps is {self.warmup_steps}, so a run of {self.steps} steps never reaches its learning rate; "
                "give fewer warmup_steps or more steps"
            )
        return self


def learning_rate_at(step: int, config: OptimConfig) -> float:
    """The learning rate of `step` (from 0), a pure function: nothing to save."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / (config.warmup_steps + 1)
    share = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    return config.learning_rate * (config.floor + (1 - config.floor) * cosine)


def build_optimiser(modules: Iterable[nn.Module], config: OptimConfig) -> torch.optim.Optimizer:
    """AdamW over all trainable weights of `modules`, without weight decay on vectors (norms and biases)."""
    weights = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the rate of every group."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
