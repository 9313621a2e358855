"""From a grid to its cells, each a whole and valid training: every mistake is found before anything is trained."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from pocketcxr.domain.errors import ConfigError
from pocketcxr.recipes.compare_config import ALONE, GridConfig, Settings, objective_named
from pocketcxr.recipes.compare_layers import Layer, blame, merge
from pocketcxr.recipes.config import problems
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.teacher_config import EnsembleTeacher, OneTeacher, TeacherConfig

Role = Literal["teacher", "alone", "distilled"]


@dataclass(frozen=True)
class Cell:
    """One training: `folder` is its run."""

    role: Role
    student: str | None
    teacher: str | None
    objective: str | None
    seed: int | None
    """None: one for all seeds (a teacher that all share)."""
    folder: Path
    config: RunConfig
    needs: tuple[Path, ...] = ()
    """Runs of this grid that must be there first."""

    @property
    def name(self) -> str:
        """For people: 'c2 lite0 soft s0', 'c2 alone s0', 'teacher lite0'."""
        seed = () if self.seed is None else (f"s{self.seed}",)
        if self.role == "teacher":
            return " ".join(("teacher", str(self.teacher), *seed))
        return " ".join((str(self.student), self.teacher or ALONE, *filter(None, (self.objective,)), *seed))


@dataclass(frozen=True)
class KnownTeacher:
    """A teacher that is not trained here; `folder` keeps what it says of the images."""

    teacher: str
    seed: int | None
    folder: Path
    config: OneTeacher | EnsembleTeacher
    needs: tuple[Path, ...]
    """Runs of this grid that it is made of."""

    @property
    def name(self) -> str:
        """As a cell's."""
        return f"teacher {self.teacher}" if self.seed is None else f"teacher {self.teacher} s{self.seed}"


@dataclass(frozen=True)
class Plan:
    """All that a grid asks for, teachers first."""

    teachers: tuple[Cell, ...]
    known: tuple[KnownTeacher, ...]
    students: tuple[Cell, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every training in the order of work."""
        return self.teachers + self.students


def make_plan(grid: GridConfig, out: Path, where: str = "grid") -> Plan:
    """The grid's trainings in `out`. Reads no data.

    Raises ConfigError with every wrong setting and its place in the grid, UnknownNameError for an objective that does
    not exist; `where` (the file's name) stands before each.
    """
    maker = _Maker(grid, out)
    trained = [cell for name in grid.teachers for cell in maker.trained(name)]
    known = [teacher for name in grid.teachers for teacher in maker.known(name)]
    students = [cell for name in grid.students for seed in grid.seeds for cell in maker.taught(name, seed)]
    if maker.mistakes:
        raise ConfigError("\n".join(f"{where}: {mistake}" for mistake in dict.fromkeys(maker.mistakes)))
    plan = Plan(tuple(trained), tuple(known), tuple(students))
    _check_labels(plan, where)
    return plan


class _Maker:
    """Makes cells and collects what is wrong with them."""

    def __init__(self, grid: GridConfig, out: Path) -> None:
        self.grid = grid
        self.out = out
        self.mistakes: list[str] = []

    def trained(self, name: str) -> Iterator[Cell]:
        """The trainings of a teacher, none where it exists already."""
        settings = self.grid.teachers[name]
        if "kind" in settings:
            return
        for seed in self._teacher_seeds():
            config = self._config([self._base(), Layer(f"teachers.{name}", settings)], seed or 0, f"teacher {name}")
            if config is not None:
                folder = self._teacher_folder(name, seed)
                shared = seed if self.grid.teacher_seed == "each" else None
                yield Cell("teacher", None, name, None, shared, folder, config)

    def known(self, name: str) -> Iterator[KnownTeacher]:
        """The teacher as it exists, for every seed that makes a difference.

        None where it is trained here, or where the student is its own teacher: there is nothing to ask beforehand.
        """
        if self.grid.teachers[name].get("kind", "self") == "self":
            return
        depends = bool(self._needs(name, 0))
        for seed in self._teacher_seeds() if depends else (None,):
            shared = seed if depends and self.grid.teacher_seed == "each" else None
            try:
                config = TypeAdapter[OneTeacher | EnsembleTeacher](TeacherConfig).validate_python(
                    self._teacher(name, seed or 0)
                )
            except ValidationError:
                continue  # the students' configs hold the same settings, and say what is wrong with them
            yield KnownTeacher(name, shared, self._teacher_folder(name, shared), config, self._needs(name, seed or 0))

    def taught(self, name: str, seed: int) -> Iterator[Cell]:
        """The student alone, then from every teacher by every objective."""
        student = Layer(f"students.{name}", self.grid.students[name])
        root = self.out / "runs" / name
        if self.grid.alone:
            by_itself = student._replace(settings={k: v for k, v in student.settings.items() if k != "teacher"})
            config = self._config([self._base(), by_itself], seed, f"student {name} alone")
            if config is not None:
                yield Cell("alone", name, None, None, seed, root / ALONE / f"s{seed}", config)
        for teacher in self.grid.teachers:
            for objective in self.grid.objectives:
                if self.grid.is_left_out(name, teacher, objective):
                    continue
                teaching = Layer(f"teachers.{teacher}", self._teacher(teacher, seed), "teacher")
                layers = [self._base(), teaching, student, self._objective(objective)]
                config = self._config(layers, seed, f"student {name} from {teacher} by {objective}")
                if config is not None:
                    folder = root / teacher / objective / f"s{seed}"
                    needs = self._needs(teacher, seed)
                    yield Cell("distilled", name, teacher, objective, seed, folder, config, needs)

    def _base(self) -> Layer:
        return Layer("base", self.grid.base)

    def _objective(self, name: str) -> Layer:
        """The objective's settings, ready ones by name put in."""
        entry, place = self.grid.objectives[name], f"objectives.{name}"
        if isinstance(entry, str):
            return Layer(place, objective_named(entry, place), "objective")
        if "terms" in entry:
            return Layer(place, entry, "objective")
        inner = entry.get("objective")
        if isinstance(inner, str):
            entry = {**entry, "objective": objective_named(inner, f"{place}.objective")}
        return Layer(place, entry)

    def _teacher_seeds(self) -> Sequence[int]:
        fixed = self.grid.teacher_seed
        return self.grid.seeds if fixed == "each" else (fixed,)

    def _teacher_folder(self, name: str, seed: int | None) -> Path:
        is_shared = self.grid.teacher_seed != "each" or seed is None
        return self.out / "teachers" / (f"{name}-shared" if is_shared else f"{name}-s{seed}")

    def _teacher(self, name: str, seed: int) -> Settings:
        """The teacher as a student's config names it."""
        settings = self.grid.teachers[name]
        if "kind" not in settings:
            return {"kind": "run", "run": str(self._teacher_folder(name, seed))}
        members = settings.get("members")
        if settings["kind"] != "ensemble" or not isinstance(members, list):
            return settings
        named = [self._member(name, member, seed) if isinstance(member, str) else member for member in members]
        return {**settings, "members": named}

    def _member(self, ensemble: str, name: str, seed: int) -> Any:
        others = [other for other, settings in self.grid.teachers.items() if settings.get("kind") != "ensemble"]
        if name in others:
            return self._teacher(name, seed)
        self.mistakes.append(
            f"teachers.{ensemble}.members: {name!r} is no teacher of this grid that is not an ensemble itself;"
            f" available: {', '.join(sorted(others)) or 'none'}"
        )
        return {"kind": "run", "run": name}

    def _needs(self, name: str, seed: int) -> tuple[Path, ...]:
        settings = self.grid.teachers[name]
        if "kind" not in settings:
            return (self._teacher_folder(name, seed),)
        members = settings.get("members")
        names = [member for member in members if isinstance(member, str)] if isinstance(members, list) else []
        trained = [one for one in names if one in self.grid.teachers and "kind" not in self.grid.teachers[one]]
        return tuple(self._teacher_folder(one, seed) for one in trained)

    def _config(self, layers: list[Layer], seed: int, what: str) -> RunConfig | None:
        """The run of all layers, later ones winning; None, and its mistakes noted, where it is not valid."""
        merged: Settings = {}
        for layer in layers:
            merged = merge(merged, layer.whole())
        cohort = merge({"cache_folder": str(self.out / "cache")}, merged.get("cohort") or {})
        merged |= {"manifest": str(self.grid.manifest), "seed": seed, "cohort": cohort}
        try:
            return RunConfig.model_validate(merged)
        except ValidationError as error:
            self.mistakes += [blame(problem, layers, what) for problem in problems(RunConfig, error)]
            return None


def _check_labels(plan: Plan, where: str) -> None:
    """Raises ConfigError where two cells would be tested on labels that are read differently."""
    policies = {cell.config.labels.hard().model_dump_json(): cell.name for cell in plan.cells}
    if len(policies) > 1:
        first, second = list(policies.values())[:2]
        raise ConfigError(
            f"{where}: {first} and {second} read uncertain or unmentioned labels differently, so they would be tested"
            " on different labels; give labels in base (only soft values may differ)"
        )
