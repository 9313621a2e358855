"""What the page of a comparison says."""

from pathlib import Path

from pocketcxr._version import __version__
from pocketcxr.evaluate import wording
from pocketcxr.evaluate.comparison import ComparisonContent, ComparisonRow, FailureRow, share, write_comparison
from pocketcxr.recipes.compare_results import ArmResult, CompareReport


def write_pages(report: CompareReport, out: Path, where: str) -> None:
    """Write report.html and report.md into `out`; `where` is the grid's file."""
    write_comparison(content_of(report, out, where), out)


def content_of(report: CompareReport, out: Path, where: str) -> ComparisonContent:
    """The page's content."""
    grid = report.grid
    return ComparisonContent(
        title=f"{_count(len(grid.students), 'student')}, {_count(len(grid.teachers), 'teacher')},"
        f" {_count(len(grid.objectives), 'objective')}",
        created=report.created.replace("T", " ").replace("+00:00", " UTC"),
        command=f"pocketcxr compare {where} --out {out}",
        version=__version__,
        is_simulated=report.is_simulated,
        choose_split=grid.choose_split.value,
        report_split=grid.report_split.value,
        num_seeds=len(grid.seeds),
        headlines=headlines(report),
        rows=tuple(_row(arm) for arm in report.arms),
        failures=tuple(FailureRow(one.cell, one.kind, one.message) for one in report.failures),
        made=_made(report),
        notes=_notes(report),
    )


def headlines(report: CompareReport) -> tuple[str, ...]:
    """One sentence a student, whatever it is: the arm that the choosing patients prefer, on the reported ones."""
    return tuple(_headline(report, student) for student in report.grid.students)


def _headline(report: CompareReport, student: str) -> str:
    chosen = [arm for arm in report.arms if arm.student == student and arm.is_chosen]
    if not chosen:
        return f"{student}: nothing was chosen; no objective has results of all seeds."
    best = max(chosen, key=lambda arm: arm.choosing_auroc or 0.0)
    what = f"{student} from {best.teacher} by {best.objective}"
    gain = best.minus_alone.mean.estimate if best.minus_alone and best.minus_alone.mean else None
    if gain is None:
        mean = best.reported.mean.estimate if best.reported.mean else None
        return f"{what}: mean AUROC {wording.figure(mean)} (95 % CI {wording.interval(mean)})."
    figures = f"{wording.number(gain.value, True)} mean AUROC over alone (95 % CI {wording.interval(gain, True)})"
    closed = best.gap_closed.mean if best.gap_closed else None
    tail = "" if closed is None else f"; of the gap to the teacher it closed {share(closed)}"
    if not gain.excludes_zero:
        return f"No clear effect, {what}: {figures}; the interval does not exclude zero{tail}."
    return f"{what}: {figures}{tail}."


def _row(arm: ArmResult) -> ComparisonRow:
    cost = arm.cost
    return ComparisonRow(
        name=arm.name,
        role=arm.role,
        is_chosen=arm.is_chosen,
        choosing_auroc=arm.choosing_auroc,
        reported=arm.reported,
        minus_alone=arm.minus_alone,
        minus_teacher=arm.minus_teacher,
        gap_closed=arm.gap_closed,
        parameters=cost.parameters,
        macs=cost.macs,
        milliseconds=cost.milliseconds,
        seconds=cost.seconds,
        images_per_second=cost.images_per_second,
        energy_proxy_macs=cost.energy_proxy_macs,
        missing_seeds=arm.missing_seeds,
    )


def _made(report: CompareReport) -> tuple[tuple[str, str], ...]:
    grid, machine = report.grid, report.environment
    teacher = "one for every seed" if grid.teacher_seed == "each" else f"trained once, seed {grid.teacher_seed}"
    engines = sorted({arm.cost.engine for arm in report.arms if arm.cost.engine})
    return (
        (
            "Images",
            f"{(grid.truth or grid.manifest).name}, split {grid.report_split.value}: {report.num_images:,} images of"
            f" {report.num_patients:,} patients; trained on {grid.manifest.name}",
        ),
        ("Seeds", f"students {', '.join(map(str, grid.seeds))}; teachers {teacher}"),
        ("Intervals", f"{grid.num_resamples:,} resamples of patients and seeds, bootstrap seed {grid.bootstrap_seed}"),
        ("Machine", f"{machine['cpu']}, {machine['num_cores']} cores; GPU: {machine['gpu'] or 'none'}"),
        ("Milliseconds", f"median for one image; {'; '.join(engines) or 'not measured'}"),
    )


def _notes(report: CompareReport) -> tuple[str, ...]:
    grid = report.grid
    notes = [
        "A handful of seeds says little of the spread between them: with n seeds the interval shows about"
        " (n − 1) / n of that part of the variance.",
        f"The objective was chosen on {grid.choose_split.value} patients, but the best of several still looks a little"
        " better there than it is; the reported figures do not.",
        "Many arms and many findings: some interval excludes zero by luck. Judge by what was named beforehand.",
    ]
    if grid.teachers and grid.teacher_seed != "each":
        notes.append("Every student met the same teacher: the luck of its training is in no interval.")
    if len(grid.seeds) == 1:
        notes.append(wording.ONE_SEED)
    return tuple(notes)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
