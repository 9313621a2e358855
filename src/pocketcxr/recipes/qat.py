"""Quantisation-aware training: a short fine-tune of a run's best weights that gets them used to being rounded.

What the float32 net says, logits and class maps, is the target; the teacher that taught the run is heard too where it
can still be opened. Images are the run's training images: what the gate judges on is not learnt from.
"""

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pocketcxr.data.batches import Batch, batch_at, normalise_tensor
from pocketcxr.data.dataset import Cohort
from pocketcxr.distill.config import ClassMapTerm, FeatureTerm, LabelTerm, ObjectiveConfig, SoftBceTerm
from pocketcxr.distill.objectives import Labels, label_weights, terms, total
from pocketcxr.distill.self_teacher import SelfLessons, SelfTeacher
from pocketcxr.distill.teacher import TeacherSource
from pocketcxr.domain.errors import PocketCxrError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import Split
from pocketcxr.export.fake_quant import fake_quantised
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.heads import Reference, without_reference
from pocketcxr.models.outputs import Net, evaluating
from pocketcxr.recipes.lessons import School, open_lessons
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.runs import LoadedRun
from pocketcxr.recipes.teacher_config import EnsembleTeacher
from pocketcxr.recipes.train import open_split, read_manifests
from pocketcxr.runtime.card_gate import FineTuning
from pocketcxr.train.devices import flushing_denormals, pick_device
from pocketcxr.train.optim import OptimConfig, build_optimiser, learning_rate_at, set_learning_rate

logger = logging.getLogger(__name__)

STAGE = "quantisation-aware training"
SHAPES = ObjectiveConfig(terms=(ClassMapTerm(form="cosine", is_centred=True),))
"""Where the float32 net sees evidence, in weak maps as in strong ones; how much of it `_distance` compares."""
ALONE = ObjectiveConfig(terms=(SoftBceTerm(),))
"""Of a run without a teacher that is heard: so that training images without labels are taken too."""


@dataclass(frozen=True)
class QatOptions:
    """How long and how fast."""

    steps: int = 300
    learning_rate: float = 2e-3
    """At the top, as a share of the size that a channel's weights had before: folded with batch norm they may be a
    hundred times as large in one channel as in another, and a step of one length suits neither."""


@dataclass(frozen=True, eq=False)
class FineTuned:
    """A net whose weights stand rounding better, in eval mode on the CPU, and how it got them."""

    net: Net
    facts: FineTuning


def fine_tune(loaded: LoadedRun, options: QatOptions = QatOptions(), progress: Progress = silent) -> FineTuned:  # noqa: B008 - frozen
    """The run's net, fine-tuned while it rounds as INT8 does; `loaded` stays as it is.

    Raises PocketCxrError when the loss stops being a number, ManifestError or EmptyCohortError without training images.
    """
    with flushing_denormals():
        device = pick_device("auto")
        lesson = _lesson(loaded, device, progress)
        # What is left of a map without its reference is small, and a poor target: plain maps are compared.
        net = without_reference(loaded.net).to(device)
        _train(net, lesson, options, progress)
        measured, tuned = Reference.of(loaded.net), Reference.of(net)
        if measured is not None and tuned is not None:
            tuned.maps = measured.maps
        facts = FineTuning(method="qat", steps=options.steps, batch_size=lesson.batch_size, teacher=lesson.teacher_name)
        return FineTuned(net.cpu().eval(), facts)


@dataclass(frozen=True, eq=False)
class _Lesson:
    """What is learnt from."""

    config: RunConfig
    """With the objective that the run's teacher is heard through."""
    cohort: Cohort
    reference: Net
    """In float, on the device."""
    teacher: TeacherSource | None
    teacher_name: str | None

    @property
    def batch_size(self) -> int:
        return self.config.optim.batch_size


def _lesson(loaded: LoadedRun, device: torch.device, progress: Progress) -> _Lesson:
    """With the run's teacher where there is one to be had; the log says why not."""
    reference = without_reference(loaded.net).to(device).requires_grad_(False)
    taught = _heard(loaded.config)
    if taught is not None:
        try:
            return _with_teacher(loaded, taught, reference, progress)
        except PocketCxrError as error:
            logger.warning("%s: without the run's teacher: %s", STAGE, error)
    alone = loaded.config.model_copy(
        update={
            "objective": ALONE,
            "teacher": None,
            "cohort": loaded.config.cohort.model_copy(update={"unlabelled": ()}),
        }
    )
    return _Lesson(alone, _training(loaded, alone, progress), reference, None, None)


def _heard(config: RunConfig) -> RunConfig | None:
    """The run's config as its teacher can be heard in a few steps; None where it has none or compares features alone.

    Features are left out: a hint's adapter was not kept with the best weights. The teacher is asked live: a cache is
    for whole epochs. A run that was its own teacher has a better one in its float32 net.
    """
    kept = tuple(term for term in config.objective.terms if not isinstance(term, FeatureTerm))
    if config.teacher is None or isinstance(config.teacher, SelfTeacher):
        return None
    if all(isinstance(term, LabelTerm) for term in kept):
        return None
    teacher = config.teacher.model_copy(update={"cache": False})
    if isinstance(teacher, EnsembleTeacher):
        members = tuple(member.model_copy(update={"cache": False}) for member in teacher.members)
        teacher = teacher.model_copy(update={"members": members})
    return config.model_copy(update={"objective": ObjectiveConfig(terms=kept), "teacher": teacher})


def _with_teacher(loaded: LoadedRun, config: RunConfig, reference: Net, progress: Progress) -> _Lesson:
    cohort = _training(loaded, config, progress)
    folder = _cache(loaded)

    def reopen(split: Split, spec: PreprocessSpec) -> Cohort:
        sized = config.model_copy(update={"preprocess": spec})
        return open_split(sized, read_manifests(sized), split, folder, progress)

    device = next(reference.parameters()).device
    lessons = open_lessons(School(config, cohort, reopen, folder, device, progress))
    assert lessons is not None
    assert not isinstance(lessons.source, SelfLessons)
    return _Lesson(config, cohort, reference, lessons.source, lessons.name)


def _training(loaded: LoadedRun, config: RunConfig, progress: Progress) -> Cohort:
    return open_split(config, read_manifests(config), Split.TRAIN, _cache(loaded), progress)


def _cache(loaded: LoadedRun) -> Path:
    return loaded.config.cohort.cache_folder or loaded.run.root.parent / "cache"


def _train(net: Net, lesson: _Lesson, options: QatOptions, progress: Progress) -> None:
    """Change the weights of `net`. Batch norm's statistics stay."""
    rounding = fake_quantised(net, lesson.cohort.spec.size)
    config = OptimConfig(
        steps=options.steps,
        learning_rate=options.learning_rate,
        warmup_steps=options.steps // 10,
        weight_decay=0.0,
        batch_size=lesson.batch_size,
    )
    optimiser = build_optimiser([net], config)
    weights = label_weights(lesson.cohort.labels)
    sizes = {parameter: _sizes(parameter) for parameter in net.parameters()}
    for step in range(options.steps):
        set_learning_rate(optimiser, learning_rate_at(step, config))
        batch = batch_at(lesson.cohort, lesson.config.batches, step)
        loss = _loss(rounding, lesson, batch, weights)
        if not math.isfinite(loss.item()):
            raise PocketCxrError(f"{STAGE}: the loss is {loss.item()} at step {step + 1}; lower its learning rate")
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        # AdamW's steps are as long for small weights as for large ones; here they are shares of their channel's size.
        before = {parameter: parameter.detach().clone() for parameter in sizes}
        optimiser.step()
        with torch.no_grad():
            for parameter, size in sizes.items():
                parameter.copy_(torch.lerp(before[parameter], parameter, size))
        progress(STAGE, step + 1, options.steps, {"loss": loss.item()})


def _sizes(parameter: Tensor) -> Tensor:
    """How large its weights are, by output channel."""
    values = parameter.detach()
    by_channel = values.square().flatten(1).mean(dim=1).sqrt() if values.ndim > 1 else values.abs()
    by_channel = by_channel.clamp(min=0.01 * float(by_channel.mean()))
    return by_channel.reshape(-1, *[1] * (values.ndim - 1))


def _loss(rounding: nn.Module, lesson: _Lesson, batch: Batch, weights: Tensor) -> Tensor:
    device = next(lesson.reference.parameters()).device
    pixels = batch.pixels.to(device)
    images = normalise_tensor(pixels, lesson.cohort.spec)
    labels = Labels(batch.labels.to(device), weights.to(device))
    said = rounding(images)
    with torch.no_grad(), evaluating(lesson.reference):
        meant = lesson.reference(images)
    shapes = total(terms(SHAPES, said, meant, labels, nn.ModuleDict()))
    losses = {
        "shapes of itself": shapes,
        "logits of itself": _distance(said.logits, meant.logits),
        "maps of itself": _distance(said.class_maps, meant.class_maps),
    }
    if lesson.teacher is not None:
        taught = lesson.teacher(pixels, batch.indices, batch.view)
        losses |= terms(lesson.config.objective, said, taught, labels, nn.ModuleDict())
    return total(losses)


def _distance(said: Tensor, meant: Tensor) -> Tensor:
    """Mean squared difference, as a share of the variance of what is meant."""
    return (said - meant).square().mean() / meant.var().clamp(min=torch.finfo(meant.dtype).tiny)
