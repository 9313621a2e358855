"""The figures of a comparison: one row a cell for other programs, one entry an arm with its statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from pocketcxr._version import __version__
from pocketcxr.evaluate import wording
from pocketcxr.evaluate.hierarchical import GapReport, SeededReport, Study, difference, gap_closed, level, resample
from pocketcxr.evaluate.ranking import mean_auroc, point_areas
from pocketcxr.recipes.compare_cells import Answers
from pocketcxr.recipes.compare_config import GridConfig
from pocketcxr.recipes.compare_plan import Role

SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False)
class CellResult:
    """One trained cell, or a teacher that was there before (`training` None), with what it said."""

    role: Role
    student: str | None
    teacher: str | None
    objective: str | None
    seed: int | None
    folder: Path
    answers: Answers
    training: Mapping[str, Any] | None
    """The run's result: steps, best_step, seconds, images_per_second; and batch_size."""

    @property
    def arm(self) -> str:
        """What cells that differ in the seed alone share: 'c2 alone', 'c2 lite0 soft', 'teacher lite0'."""
        return arm_name(self.role, self.student, self.teacher, self.objective)


class Cost(BaseModel, frozen=True, extra="forbid"):
    """Means over the arm's seeds; None where it was not trained here or nobody counted."""

    model: str
    parameters: int | None
    macs: int | None
    """Multiply-accumulates for one image."""
    milliseconds: float | None
    """Median for one image."""
    engine: str | None
    """What the milliseconds were measured on."""
    seconds: float | None
    """Wall clock of a training, evaluations included."""
    images_per_second: float | None
    steps: float | None
    images_seen: float | None
    energy_proxy_macs: float | None
    """macs x images_seen: forward passes of the trained net. Joules are not measured."""


class ArmResult(BaseModel, frozen=True, extra="forbid"):
    """One teacher, student alone or student by one objective, over its seeds."""

    name: str
    role: Role
    student: str | None
    teacher: str | None
    objective: str | None
    seeds: tuple[int, ...]
    """Empty for a teacher that all seeds share."""
    missing_seeds: tuple[int, ...]
    """Those that failed."""
    choosing_auroc: float | None
    """Mean over seeds on the choosing split."""
    choosing_by_seed: tuple[float | None, ...]
    reported: SeededReport
    """On the reporting split."""
    minus_alone: SeededReport | None
    minus_teacher: SeededReport | None
    gap_closed: GapReport | None
    is_chosen: bool
    """Whether it has the highest choosing_auroc of its student and teacher, among the arms that have all seeds."""
    cost: Cost


class Failure(BaseModel, frozen=True, extra="forbid"):
    """A cell without a result."""

    cell: str
    kind: str
    """The error's class."""
    message: str
    traceback: str


class CompareReport(BaseModel, frozen=True, extra="forbid"):
    """What results.json holds; docs/reference/compare.md explains it."""

    schema_version: int = SCHEMA_VERSION
    notice: str = wording.RESEARCH_ONLY
    made_by: str = f"pocketcxr {__version__}"
    created: str
    """ISO 8601, UTC."""
    environment: dict[str, Any]
    grid: GridConfig
    is_simulated: bool
    num_images: int
    """Reported on."""
    num_patients: int
    arms: tuple[ArmResult, ...]
    failures: tuple[Failure, ...]

    def arm(self, role: Role, student: str | None, teacher: str | None = None) -> ArmResult | None:
        """The arm of a student alone or of a teacher; None where it has no result."""
        found = [a for a in self.arms if (a.role, a.student, a.teacher) == (role, student, teacher)]
        return found[0] if found else None


def arm_name(role: Role, student: str | None, teacher: str | None, objective: str | None) -> str:
    """An arm's name for people and as a key."""
    match role:
        case "teacher":
            return f"teacher {teacher}"
        case "alone":
            return f"{student} alone"
        case "distilled":
            return f"{student} {teacher} {objective}"


def arm_results(grid: GridConfig, cells: Sequence[CellResult]) -> tuple[ArmResult, ...]:
    """Every arm's statistics, in the order of the cells; all meet the same resampled patients and seeds."""
    grouped: dict[str, list[CellResult]] = {}
    for cell in cells:
        grouped.setdefault(cell.arm, []).append(cell)
    study = resample(
        {name: {cell.seed: cell.answers.report for cell in group} for name, group in grouped.items()},
        np.random.default_rng(grid.bootstrap_seed),
        grid.num_resamples,
    )
    arms = [_arm(grid, study, group) for group in grouped.values()]
    return tuple(arm.model_copy(update={"is_chosen": arm is _chosen(arm, arms)}) for arm in arms)


def cell_table(grid: GridConfig, cells: Sequence[CellResult]) -> pd.DataFrame:
    """One row a cell: names, seed, AUROCs, costs. Columns in docs/reference/compare.md."""
    return pd.DataFrame([_row(grid, cell) for cell in cells])


def _arm(grid: GridConfig, study: Study, cells: Sequence[CellResult]) -> ArmResult:
    first = cells[0]
    alone = arm_name("alone", first.student, None, None)
    teacher = arm_name("teacher", None, first.teacher, None)
    is_taught = first.role == "distilled"
    has_alone, has_teacher = is_taught and alone in study.arms, is_taught and teacher in study.arms
    seeds = tuple(cell.seed for cell in cells if cell.seed is not None)
    choosing = tuple(mean_auroc(cell.answers.choose.labels, cell.answers.choose.probabilities) for cell in cells)
    return ArmResult(
        name=first.arm,
        role=first.role,
        student=first.student,
        teacher=first.teacher,
        objective=first.objective,
        seeds=seeds,
        missing_seeds=tuple(seed for seed in grid.seeds if seed not in seeds) if seeds else (),
        choosing_auroc=_mean(choosing),
        choosing_by_seed=choosing,
        reported=level(study, first.arm),
        minus_alone=difference(study, first.arm, alone) if has_alone else None,
        minus_teacher=difference(study, first.arm, teacher) if has_teacher else None,
        gap_closed=gap_closed(study, first.arm, alone, teacher) if has_alone and has_teacher else None,
        is_chosen=False,
        cost=_cost(cells),
    )


def _chosen(arm: ArmResult, arms: Sequence[ArmResult]) -> ArmResult | None:
    """The arm of the same student and teacher that is best on the choosing split."""
    rivals = [
        (other.choosing_auroc, other)
        for other in arms
        if other.role == "distilled"
        and (other.student, other.teacher) == (arm.student, arm.teacher)
        and not other.missing_seeds
        and other.choosing_auroc is not None
    ]
    return max(rivals, key=lambda rival: rival[0])[1] if rivals else None


def _cost(cells: Sequence[CellResult]) -> Cost:
    facts = cells[0].answers.facts
    trainings = [cell.training for cell in cells if cell.training is not None]
    images = [training["steps"] * training["batch_size"] for training in trainings]
    seen = _mean(images)
    milliseconds = [cell.answers.facts.milliseconds for cell in cells]
    return Cost(
        model=facts.model,
        parameters=facts.parameters,
        macs=facts.macs,
        milliseconds=_mean(milliseconds),
        engine=facts.engine,
        seconds=_mean([training["seconds"] for training in trainings]),
        images_per_second=_mean([training["images_per_second"] for training in trainings]),
        steps=_mean([training["steps"] for training in trainings]),
        images_seen=seen,
        energy_proxy_macs=None if seen is None or facts.macs is None else facts.macs * seen,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None where there is nothing or anything is unknown."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _row(grid: GridConfig, cell: CellResult) -> dict[str, Any]:
    choose, report, facts = cell.answers.choose, cell.answers.report, cell.answers.facts
    training = cell.training or {}
    images = training["steps"] * training["batch_size"] if training else None
    row: dict[str, Any] = {
        "role": cell.role,
        "student": cell.student,
        "teacher": cell.teacher,
        "objective": cell.objective,
        "seed": cell.seed,
        "run": str(cell.folder),
        f"{grid.choose_split.value}_auroc": mean_auroc(choose.labels, choose.probabilities),
        f"{grid.report_split.value}_auroc": mean_auroc(report.labels, report.probabilities),
        "model": facts.model,
        "parameters": facts.parameters,
        "macs": facts.macs,
        "milliseconds": facts.milliseconds,
        "steps": training.get("steps"),
        "best_step": training.get("best_step"),
        "seconds": training.get("seconds"),
        "images_per_second": training.get("images_per_second"),
        "images_seen": images,
        "energy_proxy_macs": None if images is None or facts.macs is None else float(facts.macs * images),
    }
    aurocs = point_areas(report).auroc
    by_finding = zip(report.findings, aurocs.tolist(), strict=True)
    return row | {f"{grid.report_split.value}_auroc.{finding}": value for finding, value in by_finding}
