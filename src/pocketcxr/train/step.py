"""One step: from a batch to new weights, on one process or several, at once or in micro-batches."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pocketcxr.data.batches import Batch, normalise_tensor
from pocketcxr.distill.objectives import Labels, feature_stride, label_weights, teacher_parts, terms, total
from pocketcxr.distill.self_teacher import Average, SelfLessons
from pocketcxr.distill.taps import Tapped
from pocketcxr.distill.teacher import TeacherSource
from pocketcxr.domain.errors import ConfigError, PocketCxrError
from pocketcxr.evaluate.ranking import mean_auroc
from pocketcxr.models.outputs import ModelOutput, Net
from pocketcxr.train.checkpoint import Trained
from pocketcxr.train.devices import seeded
from pocketcxr.train.ema import Ema
from pocketcxr.train.global_norm import batch_norm_over
from pocketcxr.train.job import FitJob
from pocketcxr.train.optim import build_optimiser, learning_rate_at, set_learning_rate
from pocketcxr.train.validate import Validation, validate


class Stepper:
    """What one step needs at hand: the net on its device, the optimiser, the average."""

    def __init__(self, job: FitJob) -> None:
        self.job, self.team, self.fabric = job, job.team, job.team.fabric
        _check_shares(job)
        job.net.to(self.team.device).to(memory_format=torch.channels_last)  # convolutions are faster so, on CPUs too
        job.adapters.to(self.team.device)
        optimiser = build_optimiser((job.net, job.adapters), job.optim)
        self.parameters = [p for group in optimiser.param_groups for p in group["params"]]
        prepared = self.fabric.setup_optimizers(optimiser)
        assert not isinstance(prepared, tuple)  # Fabric answers with as many as it is given
        self.optimiser = prepared
        # Only what trains is compiled: the net itself, with its names, stays for evaluation and the average.
        stride = feature_stride(job.objective)
        # torch.compile answers with a module that behaves like the net, typed as a function.
        self.student = Tapped(cast(Net, torch.compile(job.net)) if job.is_compiled else job.net, stride)
        self.trained = Trained(job.net, job.adapters, optimiser, Ema(job.net, job.optim.ema_decay))
        self.weights = label_weights(job.training.labels).to(self.team.device)
        self.parts = teacher_parts(job.objective)

    def __call__(self, step: int, batch: Batch) -> dict[str, float]:
        """The loss, its terms and the learning rate of step `step` (from 0). Raises PocketCxrError when it diverges.

        `batch` is this process's share.
        """
        job = self.job
        learning_rate = learning_rate_at(step, job.optim)
        set_learning_rate(self.trained.optimiser, learning_rate)
        self.student.train()
        self.optimiser.zero_grad()
        pixels = batch.pixels.to(self.team.device)
        losses = (
            self._backward(step, pixels, batch) if job.optim.accumulate == 1 else self._in_parts(step, pixels, batch)
        )
        self.team.average(self.parameters)
        norm = self.fabric.clip_gradients(
            job.net, self.optimiser, max_norm=job.optim.clip_norm or math.inf, error_if_nonfinite=False
        )
        assert norm is not None
        figures = {"loss": total(losses).item(), **{name: term.item() for name, term in losses.items()}}
        with_norm = {**figures, "gradient_norm": norm.item()}
        # In fp16 a gradient beyond its range is part of the game: the step is left out and the loss scaled down.
        if not all(map(math.isfinite, (figures if self.loss_scale else with_norm).values())):
            raise PocketCxrError(_diverged(step + 1, with_norm))
        self.optimiser.step()
        self.trained.ema.update(step + 1)
        return {**with_norm, "learning_rate": learning_rate}

    @property
    def loss_scale(self) -> dict[str, float]:
        """By how much fp16 scales the loss, and since when; empty for other precisions."""
        return dict(self.fabric.strategy.precision.state_dict())

    def load_loss_scale(self, state: dict[str, float]) -> None:
        """Go on with a scale of `loss_scale`."""
        if state:
            self.fabric.strategy.precision.load_state_dict(state)

    def validate(self) -> tuple[float | None, Float[Tensor, "finding h w"]]:
        """Mean AUROC of the averaged weights on the validation cohort, and the reference of their heatmaps.

        The processes share the work.
        """
        job, sum_of = self.job, self.team.sum_of
        with self.fabric.autocast():
            own = validate(job.net, self.trained.ema.tensors, job.validation, 2 * job.optim.batch_size, job.share)
        found = Validation(sum_of(own.logits), sum_of(own.maps_without), sum_of(own.times_without))
        return mean_auroc(job.validation.labels, found.logits.numpy()), found.reference

    def _backward(self, step: int, pixels: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The losses; leaves their gradients."""
        losses = self._losses(step, self._answer(pixels, step), self._teaching(step, [pixels], batch), batch)
        self.fabric.backward(total(losses))
        return losses

    def _in_parts(self, step: int, pixels: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The same with the memory of a micro-batch, for the time of one more forward pass.

        First all micro-batches are answered without a graph, then the losses of all answers together give each answer's
        gradient, then each micro-batch is answered again and takes its gradient back (Gao et al., RepL4NLP 2021, arXiv
        2101.06983). So losses that relate images see the whole batch, as they do without micro-batches.
        """
        # Every num-th row, so that labelled and unlabelled rows are mixed alike in all parts.
        num = self.job.optim.accumulate
        parts = [pixels[first::num] for first in range(num)]
        with torch.no_grad(), _keeping_buffers(self.job.net):
            answers = [self._answer(part, step, number) for number, part in enumerate(parts)]
        whole = ModelOutput(*(_interleaved(values).requires_grad_() for values in zip(*answers, strict=True)))
        losses = self._losses(step, whole, self._teaching(step, parts, batch), batch)
        self.fabric.backward(total(losses))
        for number, part in enumerate(parts):
            pairs = zip(self._answer(part, step, number), whole, strict=True)
            taught = [(ours, all_of.grad[number::num]) for ours, all_of in pairs if all_of.grad is not None]
            torch.autograd.backward([ours for ours, _ in taught], [gradient for _, gradient in taught])
        return losses

    def _answer(self, pixels: Tensor, step: int, number: int = 0) -> ModelOutput:
        """The student's answer to micro-batch `number` of the share, float32, with what the objective needs of it.

        Each process and micro-batch has its own drop-out.
        """
        job = self.job
        with seeded(job.batches.seed, step, number, self.team.rank), batch_norm_over(self.team), self.fabric.autocast():
            return self._needed(self.student(normalise_tensor(pixels, job.training.spec)))

    def _teacher_at(self, step: int) -> TeacherSource | None:
        """Who teaches at this step: a student that teaches itself asks its average as it is then."""
        teacher = self.job.teacher
        if isinstance(teacher, SelfLessons):
            average = Average(Tapped(self.job.net, self.student.stride), self.trained.ema.tensors)
            return teacher.at(step, average)
        return teacher

    def _teaching(self, step: int, parts: Sequence[Tensor], batch: Batch) -> ModelOutput | None:
        """The teacher's answer to the share, asked a micro-batch at a time; None without a teacher."""
        teacher = self._teacher_at(step)
        if teacher is None:
            return None
        answers = [
            self._ask(teacher, pixels, batch.indices[number :: len(parts)], batch.view)
            for number, pixels in enumerate(parts)
        ]
        return ModelOutput(*(_interleaved(values) for values in zip(*answers, strict=True)))

    @torch.no_grad()
    def _ask(self, teacher: TeacherSource, pixels: Tensor, indices: Tensor, view: int) -> ModelOutput:
        with self.fabric.autocast():
            return self._needed(teacher(pixels, indices, view))

    def _needed(self, output: ModelOutput) -> ModelOutput:
        """What the objective compares, float32; the other parts without channels, to be neither kept nor sent."""
        return ModelOutput(
            logits=output.logits.float(),
            class_maps=output.class_maps.float()[:, : None if "class_maps" in self.parts else 0],
            features=output.features.float()[:, : None if "features" in self.parts else 0],
        )

    def _losses(self, step: int, student: ModelOutput, teacher: ModelOutput | None, batch: Batch) -> dict[str, Tensor]:
        """Every term over the whole batch, of which the answers are this process's share."""
        job, whole = self.job, self.team.whole
        labels = Labels(whole(batch.labels.to(self.team.device)), self.weights)
        taught = None if teacher is None else ModelOutput(*map(whole, teacher))
        losses = terms(job.objective, ModelOutput(*map(whole, student)), taught, labels, job.adapters)
        return job.teacher.weigh(losses, step) if isinstance(job.teacher, SelfLessons) else losses


def _check_shares(job: FitJob) -> None:
    """Raises ConfigError unless processes and micro-batches divide a batch alike."""
    num_parts = job.team.size * job.optim.accumulate
    if job.optim.batch_size % num_parts:
        fitting = job.optim.batch_size // num_parts * num_parts or num_parts
        raise ConfigError(
            f"optim.batch_size {job.optim.batch_size} cannot be shared alike by {job.team.size} processes with"
            f" optim.accumulate {job.optim.accumulate} each; give a multiple of {num_parts} ({fitting}, say)"
        )


@contextmanager
def _keeping_buffers(net: nn.Module) -> Iterator[None]:
    """Buffers, the statistics of batch norm, are as found afterwards."""
    before = [(buffer, buffer.clone()) for buffer in net.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)


def _interleaved(parts: Sequence[Tensor]) -> Tensor:
    """Rows in the order of the batch, of parts that each took every n-th of them."""
    return parts[0] if len(parts) == 1 else torch.stack(list(parts), dim=1).flatten(0, 1)


def _diverged(step: int, figures: dict[str, float]) -> str:
    named = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
    return (
        f"training diverged at step {step}: {named}; the last good checkpoint is kept. "
        "Next: lower optim.learning_rate, set optim.clip_norm or precision: fp32, and choose another --out"
    )
