"""run or bundle + manifest -> scores.parquet, report.json and report.html: how well the model ranks these images."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from pocketcxr._version import __version__
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import Split
from pocketcxr.evaluate import wording
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES
from pocketcxr.evaluate.ranking import RankingReport, rank
from pocketcxr.evaluate.report import write_report
from pocketcxr.evaluate.report_content import ModelRow, ReportContent, Role
from pocketcxr.evaluate.scores import ScoreTable, write_scores
from pocketcxr.evaluate.subgroups import SubgroupReport, subgroups
from pocketcxr.manifest.schema import read_manifest, select
from pocketcxr.recipes.scoring import ScoredCohort, is_run, result_folder, score_bundle, score_run
from pocketcxr.recipes.subgroups import groupings
from pocketcxr.train.atomic import write_atomically
from pocketcxr.train.run_dir import RunDir

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class EvaluateOptions:
    """On which images, and how."""

    manifest: Path
    split: Split | None = Split.TEST
    """None takes all images."""
    batch_size: int = 64
    """Images a run's net sees at once; a bundle sees one at a time."""
    num_resamples: int = NUM_RESAMPLES
    seed: int = 0
    """Of the bootstrap."""


class Refused(BaseModel, frozen=True, extra="forbid"):
    """A file without scores."""

    path: str
    code: str
    message: str


class EvaluationReport(BaseModel, frozen=True, extra="forbid"):
    """What report.json holds; docs/reference/report.md explains it."""

    schema_version: int = SCHEMA_VERSION
    notice: str = wording.RESEARCH_ONLY
    made_by: str = f"pocketcxr {__version__}"
    created: str
    """ISO 8601, UTC."""
    source: str
    """The run or bundle as it was named."""
    model: str
    """The net's name."""
    cohort: str
    """The images, in words."""
    manifest: str
    split: Split | None
    is_simulated: bool
    """Whether the model or the images are simulated."""
    seed: int
    parameters: int
    macs: int | None
    milliseconds: float
    """Median for one image."""
    engine: str
    """What the milliseconds were measured on."""
    refused: tuple[Refused, ...]
    ranking: RankingReport
    subgroups: SubgroupReport | None = None
    """By sex, age and view position; None in reports of version 0.1."""


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """The figures, the scores they come from, and where both were written."""

    report: EvaluationReport
    scores: ScoreTable
    out: Path

    @property
    def ranking(self) -> RankingReport:
        """The figures of ranking."""
        return self.report.ranking


def evaluate(
    source: Path, options: EvaluateOptions, out: Path | None = None, progress: Progress = silent
) -> EvaluationResult:
    """How well the run or bundle at `source` ranks the images, written to `out`.

    `out` None writes into the run, or beside a bundle into NAME.evaluation. Raises UsageError where `source` is neither
    or `out` is no folder, EmptyCohortError where no image is left, and what reading run, bundle and manifest raise.
    """
    folder = result_folder(source, out, inside="", beside="evaluation")
    manifest = read_manifest(options.manifest)
    selected = select(manifest, options.split)
    if is_run(source):
        scored = score_run(source, selected, options.batch_size, progress)
    else:
        scored = score_bundle(source, selected, progress)
    ranking = rank(scored.scores, np.random.default_rng(options.seed), options.num_resamples)
    by_group = subgroups(
        scored.scores,
        groupings(selected.table, scored.scores.image_ids),
        np.random.default_rng(options.seed),
        options.num_resamples,
    )
    report = _report(source, options, scored, ranking, manifest.header.is_simulated)
    report = report.model_copy(update={"subgroups": by_group})
    result = EvaluationResult(report, scored.scores, folder)
    paths = RunDir(folder)
    write_scores(scored.scores, paths.scores)
    write_atomically(paths.report_json, (report.model_dump_json(indent=2) + "\n").encode())
    write_report(_page(result), paths.report_html)
    return result


def model_row(result: EvaluationResult, name: str, role: Role = "model") -> ModelRow:
    """The evaluation as one model of a report, under the `name` and `role` it has there."""
    report = result.report
    return ModelRow(
        name=name,
        role=role,
        ranking=report.ranking,
        parameters=report.parameters,
        macs=report.macs,
        milliseconds=report.milliseconds,
        scores=result.scores,
        detail=report.model,
    )


def _report(
    source: Path, options: EvaluateOptions, scored: ScoredCohort, ranking: RankingReport, is_simulated: bool
) -> EvaluationReport:
    model = scored.model
    which = "all images" if options.split is None else f"split {options.split.value}"
    return EvaluationReport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=str(source),
        model=model.name,
        cohort=(
            f"{options.manifest.name}, {which}: {ranking.num_images:,} images of {ranking.num_patients:,} patients"
            f"{' (simulated)' if is_simulated else ''}"
        ),
        manifest=str(options.manifest),
        split=options.split,
        is_simulated=is_simulated or model.is_simulated,
        seed=options.seed,
        parameters=model.parameters,
        macs=model.macs,
        milliseconds=model.milliseconds,
        engine=model.engine,
        refused=tuple(Refused(path=one.path, code=one.code.value, message=one.message) for one in scored.refused),
        ranking=ranking,
    )


def _page(result: EvaluationResult) -> ReportContent:
    report = result.report
    split = "" if report.split is None else f" --split {report.split.value}"
    num_refused = len(report.refused)
    files = "1 file" if num_refused == 1 else f"{num_refused} files"
    notes = (f"Left out because it could not be read: {files}; report.json says which and why.",) if num_refused else ()
    return ReportContent(
        title=f"Evaluation of {Path(report.source).name}",
        created=report.created.replace("T", " ").replace("+00:00", " UTC"),
        command=f"pocketcxr evaluate {report.source} --manifest {report.manifest}{split} --seed {report.seed}",
        seed=report.seed,
        version=__version__,
        is_simulated=report.is_simulated,
        models=(model_row(result, Path(report.source).name),),
        subgroups=report.subgroups,
        made=(("Images", report.cohort), ("Milliseconds", f"median for one image, {report.engine}")),
        notes=notes,
    )
