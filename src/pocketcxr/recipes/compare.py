"""A whole grid: teachers, students alone, students by every objective, every seed; then the figures of all of them."""

import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch
from pydantic import TypeAdapter

from pocketcxr.domain.errors import PocketCxrError, UsageError
from pocketcxr.domain.progress import NO_FIGURES, Progress, silent
from pocketcxr.recipes.compare_cells import Exam, open_exam, states, train_cell
from pocketcxr.recipes.compare_config import GridConfig
from pocketcxr.recipes.compare_plan import Cell, KnownTeacher, Plan, make_plan
from pocketcxr.recipes.compare_report import write_pages
from pocketcxr.recipes.compare_results import CellResult, CompareReport, Failure, arm_results, cell_table
from pocketcxr.recipes.compare_teachers import answers_of_known, answers_of_run
from pocketcxr.recipes.environment import describe_environment
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.runs import train_summary
from pocketcxr.train.atomic import write_atomically
from pocketcxr.train.devices import pick_device

logger = logging.getLogger(__name__)

CELLS = "cells"
"""Stage that counts finished cells; every other stage is named 'CELL: STAGE'."""


@dataclass(frozen=True)
class CompareResult:
    """The figures and where they were written."""

    report: CompareReport
    out: Path

    @property
    def page(self) -> Path:
        """The page to read."""
        return self.out / "report.html"


@dataclass
class _Work:
    """What the cells gave so far."""

    out: Path
    exam: Exam
    results: list[CellResult] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    failed: set[Path] = field(default_factory=set)

    def fail(self, cell: Cell | KnownTeacher, error: BaseException) -> None:
        """Note the failure, on disk too: a kill must not lose it."""
        text = "".join(traceback.format_exception(error))
        self.failures.append(Failure(cell=cell.name, kind=type(error).__name__, message=str(error), traceback=text))
        self.failed.add(cell.folder)
        logger.warning("%s failed: %s", cell.name, error)
        self.write_failures()

    def write_failures(self) -> None:
        """failures.json as it is now; none where nothing failed."""
        path = self.out / "failures.json"
        if self.failures:
            content = TypeAdapter[list[Failure]](list[Failure]).dump_json(self.failures, indent=2)
            write_atomically(path, content + b"\n")
        else:
            path.unlink(missing_ok=True)


def compare(grid: GridConfig, out: Path, progress: Progress = silent, where: str = "grid") -> CompareResult:
    """Everything the grid asks for, in `out`. The same call again goes on where it stopped; finished cells are kept.

    A cell whose settings, data or teacher changed is trained anew, its old run moved to out/outdated. A cell that fails
    is listed in failures.json and the others go on. Raises ConfigError before anything is trained where the grid is
    wrong (`where` names it), ManifestError where its images are, PocketCxrError where no cell has a result.
    """
    plan = make_plan(grid, out, where)
    exam = open_exam(grid)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out} cannot be made ({error.strerror or error}); choose another folder") from error
    work = _Work(out, exam)
    _run_all(plan, work, progress)
    work.write_failures()
    if not work.results:
        raise PocketCxrError(
            f"no cell of {where} has a result; the first failed so: {work.failures[0].cell}: {work.failures[0].message}"
        )
    report = CompareReport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=describe_environment(pick_device(plan.cells[0].config.device)),
        grid=grid,
        is_simulated=exam.report.header.is_simulated or exam.choose.header.is_simulated,
        num_images=work.results[0].answers.report.num_images,
        num_patients=work.results[0].answers.report.num_patients,
        arms=arm_results(grid, work.results),
        failures=tuple(work.failures),
    )
    _write(report, work, out, where)
    return CompareResult(report, out)


def dry_run(grid: GridConfig, out: Path, where: str = "grid") -> list[tuple[Cell, str]]:
    """Every training of the grid with its state; trains and writes nothing. Raises ConfigError as `compare`."""
    plan = make_plan(grid, out, where)
    found = states(plan.cells)
    return [(cell, found[cell.name]) for cell in plan.cells]


def _run_all(plan: Plan, work: _Work, progress: Progress) -> None:
    """Teachers that are trained here, teachers made of them, then students."""
    cells: list[Cell | KnownTeacher] = [*plan.teachers, *plan.known, *plan.students]
    like = plan.cells[0].config
    for number, cell in enumerate(cells):
        progress(CELLS, number, len(cells))
        missing = [need for need in cell.needs if need in work.failed]
        if missing:
            error = PocketCxrError(f"its teacher {missing[0].name} failed; mend that, then run the same command again")
            work.fail(cell, error)
            continue
        named = _named(cell.name, progress)
        match cell:
            case Cell():
                _attempt(work, cell, partial(_cell_result, cell, work, named))
            case KnownTeacher():
                _attempt(work, cell, partial(_known_result, cell, work, like, named))
    progress(CELLS, len(cells), len(cells))


def _attempt(work: _Work, cell: Cell | KnownTeacher, make: Callable[[], CellResult]) -> None:
    """Add what `make` gives, or note that it failed in a way that does not concern the others."""
    try:
        work.results.append(make())
    except (PocketCxrError, MemoryError, torch.OutOfMemoryError) as error:
        work.fail(cell, error)
    except RuntimeError as error:
        # PyTorch has no class of its own for a CPU that is out of memory.
        if "can't allocate memory" not in str(error):
            raise
        work.fail(cell, error)


def _cell_result(cell: Cell, work: _Work, progress: Progress) -> CellResult:
    train_cell(cell, work.out, progress)
    answers = answers_of_run(cell.folder, work.exam, progress)
    result = train_summary(cell.folder)["result"]
    assert isinstance(result, dict), "a finished run has its result"
    training = {**result, "batch_size": cell.config.optim.batch_size}
    return CellResult(cell.role, cell.student, cell.teacher, cell.objective, cell.seed, cell.folder, answers, training)


def _known_result(teacher: KnownTeacher, work: _Work, like: RunConfig, progress: Progress) -> CellResult:
    answers = answers_of_known(teacher, work.exam, like, progress)
    return CellResult("teacher", None, teacher.teacher, None, teacher.seed, teacher.folder, answers, None)


def _named(name: str, progress: Progress) -> Progress:
    """`progress` with the cell's name before each stage."""

    def listen(stage: str, done: int, total: int, figures: Mapping[str, float] = NO_FIGURES) -> None:
        progress(f"{name}: {stage}", done, total, figures)

    return listen


def _write(report: CompareReport, work: _Work, out: Path, where: str) -> None:
    table = out / "results.parquet"
    partial = table.with_name(f".{table.name}.part")
    cell_table(report.grid, work.results).to_parquet(partial, index=False)
    partial.replace(table)
    write_atomically(out / "results.json", (report.model_dump_json(indent=2) + "\n").encode())
    write_pages(report, out, where)
