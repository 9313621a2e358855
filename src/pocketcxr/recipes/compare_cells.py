"""One cell of a grid: whether it is done, its training, and what its model says of the patients that judge it."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from pocketcxr.domain.errors import CheckpointError, ConfigError, UsageError
from pocketcxr.domain.progress import Progress
from pocketcxr.evaluate.scores import ScoreTable, read_scores, write_scores
from pocketcxr.manifest.schema import Manifest, read_manifest, select
from pocketcxr.recipes.compare_config import GridConfig
from pocketcxr.recipes.compare_plan import Cell
from pocketcxr.recipes.config import config_data
from pocketcxr.recipes.distill import distill
from pocketcxr.recipes.teachers import teacher_files
from pocketcxr.recipes.train import inputs_digest, train
from pocketcxr.train.atomic import write_atomically
from pocketcxr.train.checkpoint import read_counters
from pocketcxr.train.run_dir import RunDir, open_run, read_environment

State = Literal["done", "started", "outdated", "new"]
"""outdated: trained with other settings, on another manifest or from another teacher than the grid now says."""

OUTDATED = "outdated"
"""Folder that such runs are moved to: nobody's results are deleted."""


@dataclass(frozen=True, eq=False)
class Exam:
    """The images that judge: `choose` picks the objective, `report` is what is told."""

    choose: Manifest
    report: Manifest
    digest: str
    """Of both."""


class Facts(BaseModel, frozen=True, extra="forbid"):
    """A model's cost; None where nobody counted."""

    digest: str
    """Of the weights and the exam these answers belong to."""
    model: str
    parameters: int | None
    macs: int | None
    milliseconds: float | None
    engine: str | None


@dataclass(frozen=True, eq=False)
class Answers:
    """What one model said, and what it costs."""

    facts: Facts
    choose: ScoreTable
    report: ScoreTable


def open_exam(grid: GridConfig) -> Exam:
    """The images the grid chooses and reports on. Raises ManifestError or EmptyCohortError."""
    manifest = read_manifest(grid.manifest)
    truth = manifest if grid.truth is None else read_manifest(grid.truth)
    files = [grid.manifest, grid.truth or grid.manifest]
    splits = [grid.choose_split.value, grid.report_split.value]
    return Exam(
        select(manifest, grid.choose_split),
        select(truth, grid.report_split),
        digest_of([*map(file_digest, files), *splits]),
    )


def state(cell: Cell) -> State:
    """Where the cell's training stands. Reads its folder, changes nothing."""
    run = RunDir(cell.folder)
    if not run.config.exists():
        return "new"
    try:
        open_run(run.root, config_data(cell.config))
        if run.last.exists() and _has_other_inputs(cell, run):
            return "outdated"
        is_done = run.is_finished() and "result" in read_environment(run)
    except (ConfigError, CheckpointError):  # other settings, or files that nobody can go on with
        return "outdated"
    return "done" if is_done else "started"


def states(cells: Sequence[Cell]) -> dict[str, State]:
    """Every cell's state by name; one taught by a teacher that is to be trained again is outdated with it."""
    found: dict[str, State] = {}
    unfinished: set[Path] = set()
    for cell in cells:
        one = state(cell)
        if one in {"done", "started"} and unfinished & set(cell.needs):
            one = "outdated"
        if one != "done":
            unfinished.add(cell.folder)
        found[cell.name] = one
    return found


def train_cell(cell: Cell, out: Path, progress: Progress) -> None:
    """Nothing, when the cell's run is finished. An outdated run is moved to `out`/outdated first. Raises as `train`."""
    if state(cell) == "outdated":
        _set_aside(cell.folder, out)
    recipe = distill if cell.role == "distilled" else train
    recipe(cell.config, cell.folder, progress)


def answers(
    folder: Path, source: Sequence[str], exam: Exam, ask: Callable[[Manifest], tuple[Facts, ScoreTable]]
) -> Answers:
    """What a model says of the exam: as kept in `folder`, or asked now and kept there.

    `source` are digests of what the model is; its facts' own digest is replaced by that of source and exam.
    """
    digest = digest_of([*source, exam.digest])
    kept = _kept(folder, digest)
    if kept is not None:
        return kept
    facts, choose = ask(exam.choose)
    _, report = ask(exam.report)
    facts = facts.model_copy(update={"digest": digest})
    folder.mkdir(parents=True, exist_ok=True)
    write_scores(choose, folder / "choose.scores.parquet")
    write_scores(report, folder / "report.scores.parquet")
    # Last: whoever sees it finds the scores it speaks of.
    write_atomically(folder / "facts.json", (facts.model_dump_json(indent=2) + "\n").encode())
    return Answers(facts, choose, report)


def file_digest(path: Path) -> str:
    """SHA-256 of a file. Raises UsageError where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error}); the grid needs it") from error


def digest_of(parts: Sequence[str]) -> str:
    """SHA-256 of texts in order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _has_other_inputs(cell: Cell, run: RunDir) -> bool:
    config = cell.config
    if any(not file.exists() for file in (config.manifest, *config.cohort.unlabelled)):
        return False  # what trains says so, or the exam does
    files = () if config.teacher is None else teacher_files(config.teacher)
    if any(not file.exists() for file in files):
        # A teacher of this grid that is gone is to be trained again; one from elsewhere may be back tomorrow.
        return bool(cell.needs)
    return read_counters(run.last).inputs_digest != inputs_digest(config)


def _set_aside(folder: Path, out: Path) -> None:
    """Move the run below `out`/outdated, under the first number that is free."""
    place = out / OUTDATED / folder.relative_to(out)
    place.parent.mkdir(parents=True, exist_ok=True)
    number = next(n for n in range(1, 1_000_000) if not place.with_name(f"{place.name}-{n}").exists())
    folder.rename(place.with_name(f"{place.name}-{number}"))


def _kept(folder: Path, digest: str) -> Answers | None:
    path = folder / "facts.json"
    if not path.exists():
        return None
    try:
        facts = Facts.model_validate_json(path.read_bytes())
    except ValidationError:
        return None
    if facts.digest != digest:
        return None
    return Answers(facts, read_scores(folder / "choose.scores.parquet"), read_scores(folder / "report.scores.parquet"))
