"""What the models of a grid say of the exam: trained runs, and teachers that were there before."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pocketcxr.data.batches import plain_pixels
from pocketcxr.data.dataset import CohortRequest, open_cohort
from pocketcxr.distill.ensembles import equal_weights, validated_weights
from pocketcxr.domain.progress import Progress
from pocketcxr.evaluate.ranking import point_areas
from pocketcxr.evaluate.scores import ScoreTable
from pocketcxr.manifest.labels import label_matrix
from pocketcxr.manifest.schema import Manifest
from pocketcxr.recipes.compare_cells import Answers, Exam, Facts, answers, digest_of, file_digest
from pocketcxr.recipes.compare_plan import KnownTeacher
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.scoring import STAGE, ScoredCohort, score_bundle, score_run
from pocketcxr.recipes.teacher_config import BundleTeacher, EnsembleTeacher, NetTeacher, OneTeacher, RunTeacher
from pocketcxr.recipes.teachers import open_teacher, teacher_files
from pocketcxr.runtime.predict import sigmoid
from pocketcxr.train.devices import flushing_denormals, pick_device
from pocketcxr.train.run_dir import RunDir

_NUM_AT_ONCE = 64


def answers_of_run(root: Path, exam: Exam, progress: Progress) -> Answers:
    """What the finished run says, kept inside it."""

    def ask(manifest: Manifest) -> tuple[Facts, ScoreTable]:
        return _taken(score_run(root, manifest, progress=progress))

    return answers(root, [file_digest(RunDir(root).best)], exam, ask)


def answers_of_known(teacher: KnownTeacher, exam: Exam, like: RunConfig, progress: Progress) -> Answers:
    """What the teacher says, with labels read as in the run `like`, whose device and image cache it uses.

    An ensemble's weights are made from the exam's choosing images. Raises as `open_teacher`.
    """
    match teacher.config:
        case EnsembleTeacher() as config:
            members = [
                _of_one(member, teacher.folder / f"member-{number}", exam, like, progress)
                for number, member in enumerate(config.members)
            ]
            return _together(config, members)
        case config:
            return _of_one(config, teacher.folder, exam, like, progress)


def _of_one(config: OneTeacher, folder: Path, exam: Exam, like: RunConfig, progress: Progress) -> Answers:
    source = [config.model_dump_json(), like.labels.model_dump_json(), *map(file_digest, teacher_files(config))]
    return answers(folder, source, exam, partial(_ask, config, like, progress))


def _ask(config: OneTeacher, like: RunConfig, progress: Progress, manifest: Manifest) -> tuple[Facts, ScoreTable]:
    match config:
        case RunTeacher():
            facts, table = _taken(score_run(config.run, manifest, progress=progress))
        case BundleTeacher():
            facts, table = _taken(score_bundle(config.bundle, manifest, progress))
        case NetTeacher():
            facts, table = _score_net(config, like, manifest, progress)
    rows = {image: row for row, image in enumerate(manifest.table["image_id"].astype(str))}
    chosen = [rows[image] for image in table.image_ids]
    labels = label_matrix(manifest, table.findings, like.labels.hard())[chosen]
    return facts, ScoreTable(table.findings, table.image_ids, table.patient_ids, labels, table.probabilities)


def _score_net(config: NetTeacher, like: RunConfig, manifest: Manifest, progress: Progress) -> tuple[Facts, ScoreTable]:
    """A net with published weights has no run: asked as the students ask it."""
    device = pick_device(like.device)
    teacher = open_teacher(config, None, device)
    findings = tuple(dict.fromkeys((*teacher.findings, *manifest.findings)))
    folder = like.cohort.cache_folder or Path("cache")
    cohort = open_cohort(manifest, CohortRequest(findings, teacher.spec, like.labels.hard(), folder), progress)
    parts = []
    with torch.inference_mode(), flushing_denormals():
        for start in range(0, len(cohort), _NUM_AT_ONCE):
            pixels = plain_pixels(cohort, slice(start, start + _NUM_AT_ONCE)).to(device)
            parts.append(teacher.answer(pixels, findings).logits.float().cpu().numpy())
            progress(STAGE, min(start + _NUM_AT_ONCE, len(cohort)), len(cohort))
    probabilities = sigmoid(np.concatenate(parts)).astype(np.float32)
    table = ScoreTable(findings, cohort.image_ids, cohort.patient_ids, cohort.labels, probabilities)
    return Facts(digest="", model=teacher.name, parameters=None, macs=None, milliseconds=None, engine=None), table


def _taken(scored: ScoredCohort) -> tuple[Facts, ScoreTable]:
    model = scored.model
    facts = Facts(
        digest="",
        model=model.name,
        parameters=model.parameters,
        macs=model.macs,
        milliseconds=model.milliseconds,
        engine=model.engine,
    )
    return facts, scored.scores


def _together(config: EnsembleTeacher, members: Sequence[Answers]) -> Answers:
    """The members' weighted mean; an ensemble costs what its members cost together."""
    findings = tuple(dict.fromkeys(finding for member in members for finding in member.choose.findings))
    knowledge = [_known(member.choose) for member in members]
    weights = equal_weights(knowledge, findings)
    if config.weighting == "validation":
        aurocs = np.stack([_placed(point_areas(one.choose).auroc[None], one.choose, findings)[0] for one in members])
        weights = validated_weights(aurocs, knowledge, findings)
    facts = [member.facts for member in members]
    parameters, macs = ([fact.parameters for fact in facts], [fact.macs for fact in facts])
    return Answers(
        Facts(
            digest=digest_of([fact.digest for fact in facts]),
            model=" + ".join(fact.model for fact in facts),
            parameters=_sum(parameters),
            macs=_sum(macs),
            milliseconds=None,
            engine=None,
        ),
        _mean([member.choose for member in members], weights, findings),
        _mean([member.report for member in members], weights, findings),
    )


def _mean(tables: Sequence[ScoreTable], weights: NDArray[np.float64], findings: tuple[str, ...]) -> ScoreTable:
    """Probabilities averaged with `weights` [member, finding]; a finding without any weight stays unknown."""
    placed = np.stack([_placed(table.probabilities, table, findings) for table in tables])
    shares = weights[:, None, :]
    mean = np.where(shares > 0, shares * np.nan_to_num(placed), 0).sum(axis=0)
    mean[:, weights.sum(axis=0) == 0] = np.nan
    labels = np.full(mean.shape, np.nan, np.float32)
    for table in tables:
        there = [findings.index(finding) for finding in table.findings]
        labels[:, there] = table.labels
    first = tables[0]
    clipped = np.clip(mean, 0, 1).astype(np.float32)
    return ScoreTable(findings, first.image_ids, first.patient_ids, labels, clipped)


def _placed(values: NDArray[np.floating], table: ScoreTable, findings: tuple[str, ...]) -> NDArray[np.float64]:
    """Columns of `values` [n, table's findings] in the order of `findings`; NaN where the table lacks one."""
    placed = np.full((len(values), len(findings)), np.nan)
    placed[:, [findings.index(finding) for finding in table.findings]] = values
    return placed


def _known(table: ScoreTable) -> tuple[str, ...]:
    """The findings the model learnt."""
    return tuple(
        finding for column, finding in enumerate(table.findings) if not np.isnan(table.probabilities[:, column]).all()
    )


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
