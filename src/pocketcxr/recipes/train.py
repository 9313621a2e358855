"""From a manifest to a trained net: teacher, student alone and distilled student are one recipe."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from pocketcxr.data.dataset import Cohort, CohortRequest, hide_labels, open_cohort
from pocketcxr.distill.objectives import build_adapters, feature_stride, needs_teacher
from pocketcxr.distill.self_teacher import SelfTeacher
from pocketcxr.distill.taps import Tapped, num_channels
from pocketcxr.domain.errors import EmptyCohortError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import Split
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.manifest.schema import Manifest, ManifestHeader, read_manifest, select
from pocketcxr.manifest.unlabelled import add_unlabelled, was_added
from pocketcxr.models.build import build
from pocketcxr.recipes.config import config_data
from pocketcxr.recipes.environment import describe_environment
from pocketcxr.recipes.lessons import Lessons, School, open_lessons
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.teachers import teacher_files
from pocketcxr.train.devices import flushing_denormals
from pocketcxr.train.job import FitJob
from pocketcxr.train.loop import fit
from pocketcxr.train.run_dir import RunDir, open_run, read_environment, write_environment
from pocketcxr.train.team import Team, open_team
from pocketcxr.train.weights import ModelHeader, TrainingSummary


@dataclass(frozen=True)
class Cohorts:
    """What is trained on, and what decides when to stop."""

    header: ManifestHeader
    training: Cohort
    validation: Cohort
    unlabelled: tuple[ManifestHeader, ...] = ()
    """Of the manifests whose images joined the training cohort without labels."""


def train(config: RunConfig, out: Path, progress: Progress = silent) -> Path:
    """The run at `out`, trained to its end. The same call again goes on where it stopped, or returns a finished run.

    Where torchrun or srun started several processes they train together, and the first one writes and tells of its
    progress. Raises ConfigError where `out` holds a run with other settings; EmptyCohortError, ManifestError or
    CheckpointError where data or checkpoint are not usable.
    """
    with flushing_denormals(), open_team(config.device, config.precision) as team:
        heard = progress if team.is_first else silent
        with team.first_ahead():
            run = open_run(out, config_data(config))
            # A kill between the last checkpoint and the note of its result leaves a finished run still to be summed up.
            is_done = run.is_finished() and "result" in read_environment(run)
            if not is_done:
                _note_environment(run, team)
                job = _job(config, run, team, heard)
        if is_done:
            return run.root
        result = fit(job, run, heard)
        with team.first_ahead():
            if team.is_first:
                write_environment(run, {**read_environment(run), "seed": config.seed, "result": asdict(result)})
    return run.root


@dataclass(frozen=True)
class Manifests:
    """What a training reads, read and checked once."""

    labelled: Manifest
    unlabelled: tuple[Manifest, ...]
    """Of cohort.unlabelled; none where nobody speaks of images without labels."""


def read_manifests(config: RunConfig) -> Manifests:
    """The manifests that the config names. Raises ManifestError."""
    further = config.cohort.unlabelled if _hears(config) else ()
    return Manifests(read_manifest(config.manifest), tuple(read_manifest(path) for path in further))


def open_cohorts(config: RunConfig, folder: Path, progress: Progress = silent) -> Cohorts:
    """Training and validation cohort as the config chooses them, images decoded into the cache in `folder`.

    Raises as `read_manifests` and `open_split`.
    """
    return _cohorts(config, read_manifests(config), folder, progress)


def _cohorts(config: RunConfig, manifests: Manifests, folder: Path, progress: Progress) -> Cohorts:
    training, validation = (
        open_split(config, manifests, split, folder, progress) for split in (Split.TRAIN, Split.VALIDATION)
    )
    further = tuple(manifest.header for manifest in manifests.unlabelled)
    return Cohorts(manifests.labelled.header, training, validation, further)


def open_split(
    config: RunConfig, manifests: Manifests, split: Split, folder: Path, progress: Progress = silent
) -> Cohort:
    """The split's images and labels as the config chooses them, images decoded into the cache in `folder`.

    Training images without any label, those of cohort.unlabelled among them, are left out where no teacher speaks of
    them. Raises EmptyCohortError where the split is empty or no training image has a label though labels are to be
    learnt from, ManifestError where an unlabelled image shows a validation or test person.
    """
    images = select(manifests.labelled, split, config.cohort.view_positions)
    if split is Split.TRAIN and manifests.unlabelled:
        images = _with_unlabelled(config, manifests, images)
    # Soft labels are for learning only: neither yes nor no, they cannot say how good a ranking is.
    policy = config.labels if split is Split.TRAIN else config.labels.hard()
    cohort = open_cohort(images, CohortRequest(config.findings, config.preprocess, policy, folder), progress)
    if split is not Split.TRAIN:
        return cohort
    among = ~was_added(cohort.image_ids)
    cohort = hide_labels(cohort, config.cohort.labelled_fraction, config.cohort.labelled_seed, among)
    if config.learns_from_labels and cohort.num_labelled == 0:
        raise EmptyCohortError(
            f"none of the {len(cohort)} training images of {config.manifest} has a known label of "
            f"{', '.join(config.findings)}; check findings and the labels policy, or let a teacher alone teach "
            "(objective.terms=[{kind: soft-bce}])"
        )
    return cohort if _hears(config) else cohort.take(cohort.labelled_rows)


def _hears(config: RunConfig) -> bool:
    """Whether images without labels are of use."""
    return needs_teacher(config.objective)


def _with_unlabelled(config: RunConfig, manifests: Manifests, training: Manifest) -> Manifest:
    cohort = config.cohort
    wanted = Split.TRAIN if cohort.unlabelled_splits == "train" else None
    further = [select(manifest, wanted, cohort.view_positions) for manifest in manifests.unlabelled]
    return add_unlabelled(training, manifests.labelled, further)


def _note_environment(run: RunDir, team: Team) -> None:
    if not team.is_first:
        return
    environment = {**describe_environment(team.device), "num_processes": team.size}
    if run.environment.exists():
        environment["started"] = read_environment(run)["started"]
    write_environment(run, environment)


def _job(config: RunConfig, run: RunDir, team: Team, progress: Progress) -> FitJob:
    folder = config.cohort.cache_folder or run.root.parent / "cache"
    manifests = read_manifests(config)
    cohorts = _cohorts(config, manifests, folder, progress)

    def reopen(split: Split, spec: PreprocessSpec) -> Cohort:
        return open_split(config.model_copy(update={"preprocess": spec}), manifests, split, folder, progress)

    lessons = open_lessons(School(config, cohorts.training, reopen, folder, team.device, progress))
    if lessons is not None and team.is_first:
        write_environment(run, {**read_environment(run), "teacher": lessons.notes})
    net = build(config.net, num_findings=len(config.findings), seed=config.seed)
    student_channels = num_channels(Tapped(net, feature_stride(config.objective)), config.preprocess.size)
    is_self_taught = isinstance(config.teacher, SelfTeacher)
    teacher_channels = student_channels if is_self_taught or lessons is None else lessons.num_channels
    return FitJob(
        net=net,
        training=cohorts.training,
        validation=cohorts.validation,
        objective=config.objective,
        optim=config.optim,
        batches=config.batches,
        header=_header(config, cohorts, lessons),
        inputs_digest=inputs_digest(config),
        team=team,
        loader=config.loader,
        log=config.log,
        is_compiled=config.compile,
        teacher=None if lessons is None else lessons.source,
        adapters=build_adapters(config.objective, student_channels, teacher_channels, config.seed),
    )


def _header(config: RunConfig, cohorts: Cohorts, lessons: Lessons | None) -> ModelHeader:
    training = cohorts.training
    summary = TrainingSummary(
        source=cohorts.header.source,
        splits_sha256=cohorts.header.splits_sha256,
        is_simulated=any(header.is_simulated for header in (cohorts.header, *cohorts.unlabelled)),
        num_images=len(training),
        num_labelled=training.num_labelled,
        num_patients=len(set(training.patient_ids)),
        unlabelled_sources=tuple(
            f"{header.source} (simulated)" if header.is_simulated else header.source for header in cohorts.unlabelled
        ),
        num_from_unlabelled=int(was_added(training.image_ids).sum()),
        objective=tuple(term.kind for term in config.objective.terms),
        teacher=None if lessons is None else lessons.name,
        seed=config.seed,
        steps=config.optim.steps,
        batch_size=config.optim.batch_size,
    )
    learnt = set() if lessons is None else set(lessons.findings)
    if config.learns_from_labels:
        columns = zip(config.findings, training.labels.T, strict=True)
        learnt |= {finding for finding, column in columns if {0.0, 1.0} <= set(column.tolist())}
    return ModelHeader(
        net=config.net,
        findings=config.findings,
        unlearnt=tuple(finding for finding in config.findings if finding not in learnt),
        preprocess=config.preprocess,
        training=summary,
    )


def inputs_digest(config: RunConfig) -> str:
    """SHA-256 over the files the run learns from; a resumed run must find the same."""
    files = [config.manifest, *config.cohort.unlabelled]
    if config.teacher is not None:
        files += teacher_files(config.teacher)
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
