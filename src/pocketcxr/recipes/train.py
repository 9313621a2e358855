"""From a manifest to a trained net: teacher, student alone and distilled student are one recipe."""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from pocketcxr.data.dataset import Cohort, CohortRequest, hide_labels, open_cohort
from pocketcxr.distill.objectives import build_adapters, hint_stride, needs_teacher
from pocketcxr.distill.taps import Tapped, num_channels
from pocketcxr.domain.errors import EmptyCohortError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import Split
from pocketcxr.manifest.schema import Manifest, ManifestHeader, read_manifest, select
from pocketcxr.models.build import build
from pocketcxr.recipes.config import config_data
from pocketcxr.recipes.environment import describe_environment
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.teachers import Lessons, open_lessons
from pocketcxr.train.devices import flushing_denormals, pick_device
from pocketcxr.train.loop import FitJob, fit
from pocketcxr.train.run_dir import RunDir, open_run, read_environment, write_environment
from pocketcxr.train.weights import ModelHeader, TrainingSummary


@dataclass(frozen=True)
class Cohorts:
    """What is trained on, and what decides when to stop."""

    header: ManifestHeader
    training: Cohort
    validation: Cohort


def train(config: RunConfig, out: Path, progress: Progress = silent) -> Path:
    """The run at `out`, trained to its end. The same call again goes on where it stopped, or returns a finished run.

    Raises ConfigError where `out` holds a run with other settings; EmptyCohortError, ManifestError or CheckpointError
    where data or checkpoint are not usable.
    """
    run = open_run(out, config_data(config))
    # A kill between the last checkpoint and the note of its result leaves a finished run that is still to be summed up.
    if run.is_finished() and "result" in read_environment(run):
        return run.root
    with flushing_denormals():
        device = pick_device(config.device)
        environment = describe_environment(device)
        if run.environment.exists():
            environment["started"] = read_environment(run)["started"]
        write_environment(run, environment)
        result = fit(_job(config, run, device, progress), run, progress)
        write_environment(run, {**environment, "seed": config.seed, "result": asdict(result)})
    return run.root


def open_cohorts(config: RunConfig, folder: Path, progress: Progress = silent) -> Cohorts:
    """Training and validation cohort as the config chooses them, images decoded into the cache in `folder`.

    Training images without any label are left out where no teacher speaks of them. Raises EmptyCohortError where a
    split is empty or no training image has a label that anybody could learn from.
    """
    manifest = read_manifest(config.manifest)
    training = hide_labels(
        _open(config, manifest, Split.TRAIN, folder, progress),
        config.cohort.labelled_fraction,
        config.cohort.labelled_seed,
    )
    if not needs_teacher(config.objective):
        if training.num_labelled == 0:
            raise EmptyCohortError(
                f"none of the {len(training)} training images of {config.manifest} has a known label of "
                f"{', '.join(config.findings)}; check findings and the labels policy"
            )
        training = _rows(training, training.labelled_rows)
    return Cohorts(manifest.header, training, _open(config, manifest, Split.VALIDATION, folder, progress))


def _open(config: RunConfig, manifest: Manifest, split: Split, folder: Path, progress: Progress) -> Cohort:
    request = CohortRequest(config.findings, config.preprocess, config.labels, folder)
    return open_cohort(select(manifest, split, config.cohort.view_positions), request, progress)


def _rows(cohort: Cohort, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Cohort:
    if len(rows) == len(cohort):
        return cohort
    return replace(
        cohort,
        images=cohort.images[rows],
        labels=cohort.labels[rows],
        image_ids=tuple(cohort.image_ids[row] for row in rows),
        patient_ids=tuple(cohort.patient_ids[row] for row in rows),
    )


def _job(config: RunConfig, run: RunDir, device: torch.device, progress: Progress) -> FitJob:
    folder = config.cohort.cache_folder or run.root.parent / "cache"
    cohorts = open_cohorts(config, folder, progress)
    lessons = open_lessons(config, cohorts.training, folder, device, progress)
    net = build(config.net, num_findings=len(config.findings), seed=config.seed)
    student_channels = num_channels(Tapped(net, hint_stride(config.objective)), config.preprocess.size)
    return FitJob(
        net=net,
        training=cohorts.training,
        validation=cohorts.validation,
        objective=config.objective,
        optim=config.optim,
        batches=config.batches,
        header=_header(config, cohorts, lessons),
        inputs_digest=_inputs_digest(config),
        device=device,
        precision=config.precision,
        teacher=None if lessons is None else lessons.source,
        adapters=build_adapters(
            config.objective, student_channels, lessons.num_channels if lessons else 0, config.seed
        ),
    )


def _header(config: RunConfig, cohorts: Cohorts, lessons: Lessons | None) -> ModelHeader:
    training = cohorts.training
    summary = TrainingSummary(
        source=cohorts.header.source,
        is_simulated=cohorts.header.is_simulated,
        num_images=len(training),
        num_labelled=training.num_labelled,
        num_patients=len(set(training.patient_ids)),
        objective=tuple(term.kind for term in config.objective.terms),
        teacher=None if lessons is None else lessons.name,
        seed=config.seed,
        steps=config.optim.steps,
        batch_size=config.optim.batch_size,
    )
    taught = set() if lessons is None else set(lessons.findings)
    has_both = {
        f for f, column in zip(config.findings, training.labels.T, strict=True) if {0.0, 1.0} <= set(column.tolist())
    }
    return ModelHeader(
        net=config.net,
        findings=config.findings,
        unlearnt=tuple(finding for finding in config.findings if finding not in has_both | taught),
        preprocess=config.preprocess,
        training=summary,
    )


def _inputs_digest(config: RunConfig) -> str:
    """SHA-256 over the files the run learns from; a resumed run must find the same."""
    files = [config.manifest]
    if config.teacher is not None and config.teacher.run is not None:
        files.append(RunDir(config.teacher.run).best)
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
