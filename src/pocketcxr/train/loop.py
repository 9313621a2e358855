"""The one training loop: teacher, student alone and distilled student alike.

A step is a pure function of the state before it and of (seed, step): batches, augmentation, drop-out and learning rate
need nothing saved. That is why a run that was killed and resumed ends, on the CPU, bit for bit like one that was not.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

from pocketcxr.data.batches import Batch, batch_at
from pocketcxr.data.loaders import batches_ahead, pick_workers
from pocketcxr.domain.errors import CheckpointError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.train.checkpoint import Counters, read_checkpoint, write_checkpoint
from pocketcxr.train.interrupt import interruptible
from pocketcxr.train.job import FitJob
from pocketcxr.train.log import append_metrics, cut_metrics
from pocketcxr.train.loggers import Metrics, open_loggers
from pocketcxr.train.run_dir import RunDir
from pocketcxr.train.step import Stepper
from pocketcxr.train.weights import write_weights

logger = logging.getLogger(__name__)


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
    KeyboardInterrupt. Every process of the team calls this; the first one writes. Raises PocketCxrError when the loss
    stops being a number or another process is gone, ConfigError when processes and micro-batches cannot share a batch,
    CheckpointError when the checkpoint does not fit or the disk is full; the last good checkpoint stays. Call inside
    `devices.flushing_denormals`.
    """
    stepper = Stepper(job)
    counters = _resume(stepper, run)
    clock = _Clock(counters.seconds)
    optim = job.optim
    with interruptible() as interrupt, _batches(job, counters.step) as batches, _recorder(job, run) as record:
        while not counters.is_finished:
            step = counters.step + 1
            figures = clock.time(stepper, step - 1, batches)
            record(step, figures)
            counters = counters.model_copy(update={"step": step})
            if step % optim.evaluate_every == 0 or step == optim.steps:
                counters = _evaluate(stepper, run, counters, record)
                is_stale = optim.patience is not None and counters.num_stale >= optim.patience
                counters = counters.model_copy(update={"is_finished": is_stale or step == optim.steps})
            is_interrupted = job.team.any(interrupt.is_requested)
            if counters.is_finished or step % optim.checkpoint_every == 0 or is_interrupted:
                counters = counters.model_copy(update={"seconds": clock.seconds(), "loss_scale": stepper.loss_scale})
                if job.team.is_first:
                    write_checkpoint(run.last, stepper.trained, counters)
            shown = {"loss": figures["loss"], "images/s": clock.images_per_second(optim.batch_size)}
            progress("training", step, optim.steps, shown | _best_shown(counters))
            if is_interrupted and not counters.is_finished:
                raise KeyboardInterrupt
    return FitResult(
        steps=counters.step,
        best_step=counters.best_step or 0,
        best_auroc=counters.best_auroc,
        seconds=counters.seconds,
        images_per_second=clock.images_per_second(optim.batch_size),
    )


def _batches(job: FitJob, first: int) -> AbstractContextManager[Iterator[Batch]]:
    """This process's shares of the batches of the steps from `first` (from 0) on."""
    make = partial(batch_at, job.training, job.batches, share=job.share)
    num_workers = pick_workers(job.loader, job.team.device)
    return batches_ahead(make, range(first, job.optim.steps), num_workers, job.loader.prefetch)


@contextmanager
def _recorder(job: FitJob, run: RunDir) -> Iterator[Metrics]:
    """Where a row of metrics goes: into metrics.jsonl and to the loggers, from the first process only."""
    if not job.team.is_first:
        yield lambda *_row: None
        return
    with open_loggers(job.log, run) as log:

        def record(step: int, figures: Mapping[str, float | None]) -> None:
            append_metrics(run.metrics, step, figures)
            log(step, figures)

        yield record


class _Clock:
    """Time spent, and how much of it on steps."""

    def __init__(self, seconds_before: float) -> None:
        self.start = time.perf_counter() - seconds_before
        self.step_seconds = 0.0
        self.num_steps = 0

    def time(self, stepper: Stepper, step: int, batches: Iterator[Batch]) -> dict[str, float]:
        """What the step answers, with images_per_second and the share of the time it waited for its batch added."""
        start = time.perf_counter()
        batch = next(batches)
        waited = time.perf_counter() - start
        figures = stepper(step, batch)
        seconds = time.perf_counter() - start
        self.step_seconds += seconds
        self.num_steps += 1
        rate = stepper.job.optim.batch_size / seconds
        return {**figures, "images_per_second": rate, "waiting_share": waited / seconds}

    def seconds(self) -> float:
        return time.perf_counter() - self.start

    def images_per_second(self, batch_size: int) -> float:
        return self.num_steps * batch_size / self.step_seconds if self.step_seconds else 0.0


def _resume(stepper: Stepper, run: RunDir) -> Counters:
    """Where the run stands; puts its state, the same for all processes, in place."""
    job, trained = stepper.job, stepper.trained
    counters = Counters(inputs_digest=job.inputs_digest)
    if run.last.exists():
        counters = read_checkpoint(run.last, trained)
        if counters.inputs_digest != job.inputs_digest:
            raise CheckpointError(
                f"{run.root} was trained on another manifest or by another teacher than these files now hold; "
                "choose another --out, or bring back the files it began with"
            )
        stepper.load_loss_scale(counters.loss_scale)
        logger.info("resuming %s at step %d", run.root, counters.step)
    job.team.copy_first(list(trained.tensors().values()))
    if job.team.is_first:
        cut_metrics(run.metrics, counters.step)
    return counters


def _evaluate(stepper: Stepper, run: RunDir, counters: Counters, record: Metrics) -> Counters:
    """Counters after scoring the validation cohort; the weights are kept if they are the best so far."""
    auroc, reference = stepper.validate()
    counters = counters.after_evaluation(counters.step, auroc)
    is_best = counters.best_step == counters.step
    if is_best and stepper.team.is_first:
        kept = {
            "step": counters.step,
            "validation_auroc": auroc,
            "is_averaged": stepper.job.optim.ema_decay > 0,
            "num_reference_images": len(stepper.job.validation),
        }
        header = stepper.job.header.model_copy(update=kept)
        write_weights(run.best, stepper.trained.ema.tensors, header, reference)
    record(counters.step, {"validation_auroc": auroc, "is_best": float(is_best)})
    return counters


def _best_shown(counters: Counters) -> dict[str, float]:
    return {} if counters.best_auroc is None else {"AUROC": counters.best_auroc}
