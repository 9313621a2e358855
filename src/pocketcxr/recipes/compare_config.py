"""What a comparison holds: teachers, students, objectives and seeds, each as differences from one base."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from pocketcxr.distill.config import OBJECTIVES
from pocketcxr.domain.errors import UnknownNameError
from pocketcxr.domain.study import Split
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES
from pocketcxr.recipes.run_config import Seed

ALONE = "alone"
"""Stands where a teacher's name would: in folders, tables and reports."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=64)]
"""Also the name of a folder."""
Settings = dict[str, Any]
"""Settings of a run that differ, as in its YAML file; checked as a whole when the grid's cells are made."""

_BY_THE_GRID = {"manifest": "manifest", "seed": "seeds"}
"""Settings of a run that only the grid itself gives, and the key it gives them with."""


class LeftOut(BaseModel, frozen=True, extra="forbid"):
    """Cells that are not trained: all that fit the names given."""

    student: Name | None = None
    teacher: Name | None = None
    objective: Name | None = None


class GridConfig(BaseModel, frozen=True, extra="forbid"):
    """Every student alone and from every teacher by every objective, for every seed."""

    manifest: Path
    """Trained on, and by its validation split chosen."""
    truth: Path | None = None
    """Another manifest of the same images whose labels are reported on; None is `manifest`."""
    base: Settings = {}
    """Settings all trainings share."""
    teachers: dict[Name, Settings] = {}
    """Settings of a teacher trained here, or with `kind` one that exists; an ensemble's members may be names."""
    students: Annotated[dict[Name, Settings], Field(min_length=1)]
    objectives: dict[Name, str | Settings] = {}
    """The name of a ready objective, an objective (`terms`), or settings (`objective`, `augment`, ...)."""
    leave_out: tuple[LeftOut, ...] = ()
    """Combinations that cannot be or are not wanted, such as an ensemble by an objective on features."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    """Of the students."""
    teacher_seed: Seed | Literal["each"] = 0
    """A teacher is trained once with this seed and shared by all; 'each' trains one for every seed."""
    alone: bool = True
    """Whether every student is also trained without a teacher."""
    choose_split: Split = Split.VALIDATION
    """Of `manifest`: its mean AUROC chooses the objective."""
    report_split: Split = Split.TEST
    """Of `truth`: what is reported."""
    num_resamples: Annotated[int, Field(ge=1)] = NUM_RESAMPLES
    """Of the bootstrap."""
    bootstrap_seed: Seed = 0

    @model_validator(mode="after")
    def _keys_are_free(self) -> Self:
        for place, settings in self._layers().items():
            for key, of_grid in _BY_THE_GRID.items():
                if key in settings:
                    raise ValueError(f"{place}.{key} is not yours to set: the grid's own {of_grid!r} says it for all")
        if ALONE in self.teachers:
            raise ValueError(f"a teacher cannot be called {ALONE!r}: that is the student without one")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds names one twice")
        if bool(self.teachers) != bool(self.objectives):
            raise ValueError("teachers and objectives belong together: give both, or neither and alone: true")
        if not self.teachers and not self.alone:
            raise ValueError("nothing is trained: there is no teacher, and alone is false")
        return self

    @model_validator(mode="after")
    def _splits_differ(self) -> Self:
        if self.choose_split is self.report_split:
            raise ValueError(
                f"choose_split and report_split are both {self.choose_split.value}: what was chosen on patients is"
                " flattered by the same patients"
            )
        if Split.TRAIN in {self.choose_split, self.report_split}:
            raise ValueError("what was trained on neither chooses nor reports: give validation and test")
        return self

    @model_validator(mode="after")
    def _leaves_out_what_is_there(self) -> Self:
        for one in self.leave_out:
            there = (("student", one.student, self.students), ("teacher", one.teacher, self.teachers))
            for kind, name, names in (*there, ("objective", one.objective, self.objectives)):
                if name is not None and name not in names:
                    raise ValueError(f"leave_out: there is no {kind} {name!r}; available: {', '.join(sorted(names))}")
        return self

    def is_left_out(self, student: str, teacher: str, objective: str) -> bool:
        """Whether `leave_out` names this combination."""
        return any(
            one.student in {None, student} and one.teacher in {None, teacher} and one.objective in {None, objective}
            for one in self.leave_out
        )

    def _layers(self) -> dict[str, Settings]:
        """All settings by the place where they stand."""
        layers = {"base": self.base}
        for section, entries in (("teachers", self.teachers), ("students", self.students)):
            layers |= {f"{section}.{name}": settings for name, settings in entries.items()}
        layers |= {f"objectives.{name}": entry for name, entry in self.objectives.items() if isinstance(entry, dict)}
        return layers


def objective_named(name: str, place: str) -> Settings:
    """The ready objective as settings. Raises UnknownNameError, which lists those there are."""
    objective = OBJECTIVES.get(name)
    if objective is None:
        raise UnknownNameError.of(f"{place}: objective", name, OBJECTIVES)
    return objective.model_dump(mode="json")
