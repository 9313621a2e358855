"""What a student hears: its teacher opened, shown the images, asked live or once for all from a cache."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pocketcxr.data.batches import pixels_at, plain_pixels
from pocketcxr.data.dataset import Cohort
from pocketcxr.distill.ensembles import ensemble, equal_weights, validated_weights
from pocketcxr.distill.objectives import feature_stride, teacher_parts
from pocketcxr.distill.self_teacher import SelfLessons, SelfTeacher, warmup_steps
from pocketcxr.distill.teacher import OpenTeacher, TeacherSource, live, require_shared
from pocketcxr.distill.teacher_cache import TeacherCacheKey, build_teacher_cache, cached, hash_images
from pocketcxr.domain.errors import PocketCxrError
from pocketcxr.domain.progress import Progress
from pocketcxr.domain.study import Split
from pocketcxr.evaluate.ranking import auroc
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.teacher_config import EnsembleTeacher, OneTeacher
from pocketcxr.recipes.teachers import open_teacher

logger = logging.getLogger(__name__)

_NUM_AT_ONCE = 64
"""Validation images a member of an ensemble sees at once."""


@dataclass(frozen=True)
class School:
    """All that a teacher needs to teach."""

    config: RunConfig
    training: Cohort
    """What the student learns from, at the student's size."""
    reopen: Callable[[Split, PreprocessSpec], Cohort]
    """The student's training or validation cohort, the same rows in the same order, decoded otherwise."""
    folder: Path
    """Where teachers' answers are kept."""
    device: torch.device
    progress: Progress

    def sized(self, split: Split, spec: PreprocessSpec) -> Cohort:
        """The cohort with images of spec's size. Raises PocketCxrError where its rows are not the student's."""
        training = self.training
        if split is Split.TRAIN and _frame(spec) == _frame(training.spec):
            return training
        cohort = self.reopen(split, spec)
        if split is Split.TRAIN and cohort.image_ids != training.image_ids:
            raise PocketCxrError(
                f"at the teacher's {spec.size} pixels {len(cohort)} training images can be read, at the student's"
                f" {training.spec.size} pixels {len(training)}: files changed in between; start again"
            )
        return cohort


@dataclass(frozen=True)
class Lessons:
    """The teacher as the training loop meets it."""

    source: TeacherSource | SelfLessons
    name: str
    """Of the teacher's net."""
    findings: tuple[str, ...]
    """What it can speak of."""
    num_channels: int
    """Of its features at the stride of the objective; 0 where it gives none."""
    notes: dict[str, object] = field(default_factory=dict)
    """What the run says of it: where it came from, at which size it saw the images, what its cache takes, weights."""


def open_lessons(school: School) -> Lessons | None:
    """The configured teacher's lessons, None where there is no teacher; fills its cache where it is to have one.

    Raises ConfigError where teacher and student share no finding, PocketCxrError where the teacher is broken, and what
    `open_teacher` raises.
    """
    match school.config.teacher:
        case None:
            return None
        case EnsembleTeacher() as config:
            return _of_ensemble(school, config)
        case SelfTeacher() as config:
            return _of_itself(school, config)
        case config:
            teacher = open_teacher(config, feature_stride(school.config.objective), school.device)
            source, notes = _source(school, config, teacher, config.cache)
            return Lessons(source, teacher.name, teacher.findings, teacher.num_channels, notes)


def _of_itself(school: School, config: SelfTeacher) -> Lessons:
    """It adds no knowledge, so it can speak of no finding that the labels do not speak of."""
    run, training = school.config, school.training
    source = SelfLessons(
        config=config,
        objective=run.objective,
        spec=training.spec,
        pixels_at=partial(pixels_at, training, run.batches),
        labels=training.labels,
        warmup_steps=warmup_steps(config, len(training), run.optim.batch_size, run.optim.steps),
        steps=run.optim.steps,
    )
    notes: dict[str, object] = {"name": "itself", "form": config.form, "warmup_steps": source.warmup_steps}
    return Lessons(source, "itself", (), 0, notes)


def _source(
    school: School, config: OneTeacher, teacher: OpenTeacher, is_cached: bool
) -> tuple[TeacherSource, dict[str, object]]:
    """How the student asks the teacher, and the run's notes on it."""
    findings = school.config.findings
    require_shared(teacher.findings, findings)
    spec = teacher.spec if config.resolution == "own" else school.training.spec
    cohort = school.sized(Split.TRAIN, spec)
    notes: dict[str, object] = {
        "name": teacher.name,
        "origin": teacher.origin,
        "knows": [finding for finding in findings if finding in teacher.findings],
        "image_size_px": cohort.spec.size,
    }
    shown = partial(pixels_at, cohort, school.config.batches)
    if not is_cached:
        return live(teacher, findings, None if cohort is school.training else shown), notes
    teach = partial(teacher.answer, findings=findings)
    cache = build_teacher_cache(teach, shown, _key(school, teacher, cohort), school.folder, school.progress)
    return cached(cache), notes | {"cache": cache.describe()}


def _key(school: School, teacher: OpenTeacher, cohort: Cohort) -> TeacherCacheKey:
    config = school.config
    return TeacherCacheKey(
        teacher_hash=teacher.digest,
        teacher_spec=teacher.spec,
        images_hash=hash_images(cohort.images.digests, cohort.image_ids),
        images_spec=_frame(cohort.spec),
        augment=config.augment.model_dump_json(),
        seed=config.seed,
        findings=config.findings,
        stride=feature_stride(config.objective),
        num_images=len(cohort),
        num_views=config.augment.num_views or 1,
        parts=teacher_parts(config.objective),
    )


def _frame(spec: PreprocessSpec) -> PreprocessSpec:
    """What of the spec decides the pixels: students that normalise otherwise share images and answers."""
    return PreprocessSpec(size=spec.size, padding=spec.padding)


def _of_ensemble(school: School, config: EnsembleTeacher) -> Lessons:
    teachers = [open_teacher(member, None, school.device) for member in config.members]
    heard = [
        _source(school, member, teacher, config.cache) for member, teacher in zip(config.members, teachers, strict=True)
    ]
    findings = school.config.findings
    knowledge = [teacher.findings for teacher in teachers]
    notes: dict[str, object] = {"weighting": config.weighting, "members": [told for _, told in heard]}
    weights = equal_weights(knowledge, findings)
    if config.weighting == "validation":
        aurocs = np.array([_aurocs(school, *pair) for pair in zip(config.members, teachers, strict=True)])
        weights = validated_weights(aurocs, knowledge, findings)
        notes["validation_auroc"] = _by_finding(findings, aurocs)
    notes["weights"] = _by_finding(findings, weights)
    spoken = tuple(finding for finding, total in zip(findings, weights.sum(axis=0), strict=True) if total > 0)
    silent = [finding for finding in findings if finding not in spoken]
    logger.info("weights of the ensemble by finding: %s", notes["weights"])
    if silent:
        logger.warning("no member knows, or ranks better than chance: %s; it stays unknown", ", ".join(silent))
    name = " + ".join(teacher.name for teacher in teachers)
    return Lessons(ensemble([source for source, _ in heard], weights), name, spoken, 0, notes)


def _aurocs(school: School, config: OneTeacher, teacher: OpenTeacher) -> NDArray[np.float64]:
    """AUROC [finding] on the student's validation images; NaN where labels or the teacher cannot tell."""
    findings = school.config.findings
    cohort = school.reopen(Split.VALIDATION, teacher.spec if config.resolution == "own" else school.training.spec)
    parts = []
    for first in range(0, len(cohort), _NUM_AT_ONCE):
        pixels = plain_pixels(cohort, slice(first, first + _NUM_AT_ONCE))
        parts.append(teacher.answer(pixels, findings).logits.float().cpu().numpy())
        school.progress(f"weighing {teacher.name}", min(first + _NUM_AT_ONCE, len(cohort)), len(cohort))
    scores = np.concatenate(parts)
    figures = [auroc(labels, column) for labels, column in zip(cohort.labels.T, scores.T, strict=True)]
    return np.array([np.nan if figure is None else figure for figure in figures])


def _by_finding(findings: tuple[str, ...], table: NDArray[np.float64]) -> dict[str, list[float | None]]:
    """A table [member, finding] for a JSON file; NaN is null."""
    rounded = np.round(table.T, 4).tolist()
    return {
        finding: [None if np.isnan(value) else value for value in values]
        for finding, values in zip(findings, rounded, strict=True)
    }
