"""The one training loop: teacher, student alone and distilled student alike.

A step is a pure function of the state before it and of (seed, step): batches, augmentation, drop-out and learning rate
need nothing saved. That is why a run that was killed and resumed ends, on the CPU, bit for bit like one that was not.
"""

import logging
import math
import time
from dataclasses import dataclass, field

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from pocketcxr.data.batches import BatchConfig, batch_at, normalise_tensor
from pocketcxr.data.dataset import Cohort
from pocketcxr.distill.config import ObjectiveConfig
from pocketcxr.distill.objectives import Labels, hint_stride, label_weights, terms, total
from pocketcxr.distill.taps import Tapped
from pocketcxr.distill.teacher import TeacherSource
from pocketcxr.domain.errors import CheckpointError, PocketCxrError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.evaluate.ranking import mean_auroc
from pocketcxr.models.outputs import ModelOutput, Net
from pocketcxr.train.checkpoint import Counters, Trained, read_checkpoint, write_checkpoint
from pocketcxr.train.devices import Precision, pick_precision, seeded
from pocketcxr.train.ema import Ema
from pocketcxr.train.interrupt import interruptible
from pocketcxr.train.log import append_metrics, cut_metrics
from pocketcxr.train.optim import OptimConfig, build_optimiser, learning_rate_at, set_learning_rate
from pocketcxr.train.run_dir import RunDir
from pocketcxr.train.validate import predict_logits
from pocketcxr.train.weights import ModelHeader, write_weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitJob:
    """All that one training needs. Training changes `net` and `adapters` in place."""

    net: Net
    training: Cohort
    validation: Cohort
    objective: ObjectiveConfig
    optim: OptimConfig
    batches: BatchConfig
    header: ModelHeader
    """Of the weights to keep; step and AUROC are filled in."""
    inputs_digest: str
    """SHA-256 of what the run reads; a resumed run must have the same."""
    device: torch.device
    precision: Precision = "auto"
    teacher: TeacherSource | None = None
    adapters: nn.ModuleDict = field(default_factory=nn.ModuleDict)
    """Of distill.objectives.build_adapters: optimised and checkpointed, never exported."""


@dataclass(frozen=True)
class FitResult:
    """How training ended."""

    steps: int
    best_step: int
    best_auroc: float | None
    """Mean validation AUROC of best.safetensors; None where no finding had both classes."""
    seconds: float
    images_per_second: float
    """Of the training steps alone, since the last resumption."""


def fit(job: FitJob, run: RunDir, progress: Progress = silent) -> FitResult:
    """Train until the last step or until patience ends, leaving best.safetensors, last.safetensors and metrics.jsonl.

    Goes on from the run's checkpoint where there is one. Ctrl-C finishes the step, leaves a checkpoint and raises
    KeyboardInterrupt. Raises PocketCxrError when the loss stops being a number, CheckpointError when the checkpoint
    does not fit or the disk is full; the last good checkpoint stays. Call inside `devices.flushing_denormals`.
    """
    stepper = _Stepper(job)
    counters = _resume(job, run, stepper.trained)
    clock = _Clock(counters.seconds)
    optim = job.optim
    with interruptible() as interrupt:
        while not counters.is_finished:
            step = counters.step + 1
            figures = clock.time(stepper, step - 1)
            append_metrics(run.metrics, step, figures)
            counters = counters.model_copy(update={"step": step})
            if step % optim.evaluate_every == 0 or step == optim.steps:
                counters = _evaluate(stepper, run, counters)
                is_stale = optim.patience is not None and counters.num_stale >= optim.patience
                counters = counters.model_copy(update={"is_finished": is_stale or step == optim.steps})
            if counters.is_finished or step % optim.checkpoint_every == 0 or interrupt.is_requested:
                counters = counters.model_copy(update={"seconds": clock.seconds()})
                write_checkpoint(run.last, stepper.trained, counters)
            shown = {"loss": figures["loss"], "images/s": clock.images_per_second(optim.batch_size)}
            progress("training", step, optim.steps, shown | _best_shown(counters))
            if interrupt.is_requested and not counters.is_finished:
                raise KeyboardInterrupt
    return FitResult(
        steps=counters.step,
        best_step=counters.best_step or 0,
        best_auroc=counters.best_auroc,
        seconds=counters.seconds,
        images_per_second=clock.images_per_second(optim.batch_size),
    )


class _Stepper:
    """What one step needs at hand: the net on its device, the optimiser, the average."""

    def __init__(self, job: FitJob) -> None:
        self.job = job
        self.fabric = Fabric(
            accelerator=job.device.type, devices=1, precision=pick_precision(job.precision, job.device)
        )
        self.fabric.launch()
        job.net.to(memory_format=torch.channels_last)  # convolutions are faster so, on CPUs too
        job.adapters.to(job.device)
        optimiser = build_optimiser((job.net, job.adapters), job.optim)
        self.student, self.optimiser = self.fabric.setup(Tapped(job.net, hint_stride(job.objective)), optimiser)
        self.trained = Trained(job.net, job.adapters, optimiser, Ema(job.net, job.optim.ema_decay))
        self.weights = label_weights(job.training.labels).to(job.device)
        self.parameters = [p for group in optimiser.param_groups for p in group["params"]]

    def __call__(self, step: int) -> dict[str, float]:
        """The loss, its terms and the learning rate of step `step` (from 0). Raises PocketCxrError when it diverges."""
        job = self.job
        batch = batch_at(job.training, job.batches, step)
        pixels = batch.pixels.to(job.device)
        teacher = None if job.teacher is None else self._ask(job.teacher, pixels, batch.indices, batch.view)
        learning_rate = learning_rate_at(step, job.optim)
        set_learning_rate(self.optimiser, learning_rate)
        self.student.train()
        with seeded(job.batches.seed, step):
            student = self.student(normalise_tensor(pixels, job.training.spec))
        losses = terms(job.objective, student, teacher, Labels(batch.labels.to(job.device), self.weights), job.adapters)
        loss = total(losses)
        self.optimiser.zero_grad()
        self.fabric.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, job.optim.clip_norm or math.inf)
        figures = {
            "loss": loss.item(),
            **{name: term.item() for name, term in losses.items()},
            "gradient_norm": norm.item(),
        }
        if not all(math.isfinite(value) for value in figures.values()):
            raise PocketCxrError(_diverged(step + 1, figures))
        self.optimiser.step()
        self.trained.ema.update(step + 1)
        return {**figures, "learning_rate": learning_rate}

    def _ask(self, teacher: TeacherSource, pixels: Tensor, indices: Tensor, view: int) -> ModelOutput:
        with torch.no_grad(), self.fabric.autocast():
            answer = teacher(pixels, indices, view)
        return ModelOutput(*(part.float() for part in answer))

    def validation_auroc(self) -> float | None:
        """Mean AUROC of the averaged weights on the validation cohort."""
        job = self.job
        with self.fabric.autocast():
            logits = predict_logits(job.net, self.trained.ema.tensors, job.validation, 2 * job.optim.batch_size)
        return mean_auroc(job.validation.labels, logits)


class _Clock:
    """Time spent, and how much of it on steps."""

    def __init__(self, seconds_before: float) -> None:
        self.start = time.perf_counter() - seconds_before
        self.step_seconds = 0.0
        self.num_steps = 0

    def time(self, stepper: _Stepper, step: int) -> dict[str, float]:
        """What the step answers, with images_per_second added."""
        start = time.perf_counter()
        figures = stepper(step)
        seconds = time.perf_counter() - start
        self.step_seconds += seconds
        self.num_steps += 1
        return {**figures, "images_per_second": stepper.job.optim.batch_size / seconds}

    def seconds(self) -> float:
        return time.perf_counter() - self.start

    def images_per_second(self, batch_size: int) -> float:
        return self.num_steps * batch_size / self.step_seconds if self.step_seconds else 0.0


def _resume(job: FitJob, run: RunDir, trained: Trained) -> Counters:
    counters = Counters(inputs_digest=job.inputs_digest)
    if run.last.exists():
        counters = read_checkpoint(run.last, trained)
        if counters.inputs_digest != job.inputs_digest:
            raise CheckpointError(
                f"{run.root} was trained on another manifest or by another teacher than these files now hold; "
                "choose another --out, or bring back the files it began with"
            )
        logger.info("resuming %s at step %d", run.root, counters.step)
    cut_metrics(run.metrics, counters.step)
    return counters


def _evaluate(stepper: _Stepper, run: RunDir, counters: Counters) -> Counters:
    """Counters after scoring the validation cohort; the weights are kept if they are the best so far."""
    auroc = stepper.validation_auroc()
    counters = counters.after_evaluation(counters.step, auroc)
    is_best = counters.best_step == counters.step
    if is_best:
        kept = {"step": counters.step, "validation_auroc": auroc, "is_averaged": stepper.job.optim.ema_decay > 0}
        write_weights(run.best, stepper.trained.ema.tensors, stepper.job.header.model_copy(update=kept))
    append_metrics(run.metrics, counters.step, {"validation_auroc": auroc, "is_best": float(is_best)})
    return counters


def _best_shown(counters: Counters) -> dict[str, float]:
    return {} if counters.best_auroc is None else {"AUROC": counters.best_auroc}


def _diverged(step: int, figures: dict[str, float]) -> str:
    named = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
    return (
        f"training diverged at step {step}: {named}; the last good checkpoint is kept. "
        "Next: lower optim.learning_rate, set optim.clip_norm or precision: fp32, and choose another --out"
    )
