"""Who teaches a student, and how it is asked: live, or once for all from a cache."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pocketcxr.data.batches import pixels_at
from pocketcxr.data.dataset import Cohort
from pocketcxr.distill.objectives import hint_stride, teacher_parts
from pocketcxr.distill.taps import num_channels
from pocketcxr.distill.teacher import Teacher, TeacherSource, live, weights_hash
from pocketcxr.distill.teacher_cache import TeacherCacheKey, build_teacher_cache, cached, hash_images
from pocketcxr.domain.errors import ConfigError
from pocketcxr.domain.progress import Progress
from pocketcxr.models.build import build
from pocketcxr.models.outputs import ModelOutput
from pocketcxr.models.xrv import XrvNet
from pocketcxr.recipes.run_config import RunConfig, TeacherConfig
from pocketcxr.recipes.runs import load_run


@dataclass(frozen=True)
class Lessons:
    """The teacher as the training loop meets it."""

    source: TeacherSource
    name: str
    """Of the teacher's net."""
    findings: tuple[str, ...]
    """What it can speak of."""
    num_channels: int
    """Of its features at the objective's hint stride."""


def open_teacher(config: TeacherConfig, stride: int | None) -> tuple[Teacher, str]:
    """The teacher and its net's name. Raises UsageError, ConfigError or CheckpointError where it cannot be used."""
    if config.run is not None:
        loaded = load_run(config.run)
        # What the teacher never learnt gets a name that no student asks for, so that its answer is NaN, not noise.
        known = (f"unlearnt {f}" if f in loaded.header.unlearnt else f for f in loaded.findings)
        return Teacher(loaded.net, loaded.spec, tuple(known), stride), loaded.header.net.name
    assert config.net is not None, "TeacherConfig holds a run or a net"
    net = build(config.net, num_findings=len(config.findings), kind="teacher")
    if isinstance(net, XrvNet) and net.findings != config.findings:
        raise ConfigError(
            f"teacher.findings: {config.net.name} answers in the order {', '.join(net.findings)}; give that"
        )
    return Teacher(net, config.preprocess, config.findings, stride), config.net.name


def open_lessons(
    config: RunConfig, cohort: Cohort, folder: Path, device: torch.device, progress: Progress
) -> Lessons | None:
    """The configured teacher's lessons on the cohort, None where there is no teacher; fills the cache in `folder`."""
    if config.teacher is None:
        return None
    stride = hint_stride(config.objective)
    teacher, name = open_teacher(config.teacher, stride)
    channels = num_channels(teacher.tapped, teacher.spec.size)
    teacher.to(device).to(memory_format=torch.channels_last)
    source = live(teacher, config.findings)
    if config.teacher.cache:
        source = _cached(config, teacher, cohort, folder, progress)
    return Lessons(source, name, teacher.findings, channels)


def _cached(config: RunConfig, teacher: Teacher, cohort: Cohort, folder: Path, progress: Progress) -> TeacherSource:
    ask = live(teacher, config.findings)
    device = next(teacher.parameters()).device
    nothing = torch.empty(0, dtype=torch.int64)

    def teach(pixels: Tensor) -> ModelOutput:
        return ask(pixels.to(device), nothing, 0)

    def pixels(indices: Tensor, view: int) -> Tensor:
        return pixels_at(cohort, config.batches, indices, view)

    key = TeacherCacheKey(
        teacher_hash=weights_hash(teacher),
        teacher_spec=teacher.spec,
        images_hash=hash_images(cohort.images, cohort.image_ids),
        images_spec=cohort.spec,
        augment=config.augment.model_dump_json(),
        seed=config.seed,
        findings=config.findings,
        stride=hint_stride(config.objective),
        num_images=len(cohort),
        num_views=config.augment.num_views or 1,
        parts=teacher_parts(config.objective),
    )
    return cached(build_teacher_cache(teach, pixels, key, folder, progress))
