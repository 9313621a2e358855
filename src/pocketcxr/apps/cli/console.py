"""What a person sees in the terminal: talk and bars on stderr, data on stdout."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from pocketcxr.domain import progress as listening

stderr = Console(stderr=True)
stdout = Console()

SIMULATED = "This model was trained on simulated radiographs: what it says of a real X-ray means nothing."
"""Said before anything that such a model says."""


def complain(message: str) -> None:
    """Print an error to stderr."""
    stderr.print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """Print talk to stderr."""
    stderr.print(escape(message), highlight=False, soft_wrap=True)


@contextmanager
def progress_bars() -> Iterator[listening.Progress]:
    """A listener that draws one bar a stage with count, time left and the stage's figures."""
    # A narrow terminal cuts the figures, never the count or the time left.
    columns = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True, min_width=28)),
        BarColumn(bar_width=10),
        MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=11)),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True, table_column=Column(no_wrap=True, min_width=5)),
        TextColumn("{task.fields[figures]}", style="dim", table_column=Column(no_wrap=True, overflow="ellipsis")),
    )
    with Progress(*columns, console=stderr, redirect_stdout=False) as bars:
        tasks: dict[str, TaskID] = {}

        def listen(stage: str, done: int, total: int, figures: Mapping[str, float] = listening.NO_FIGURES) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, figures="")
            elif bars.tasks[tasks[stage]].finished:
                bars.reset(tasks[stage])  # the same stage again, of other images: its time starts anew
            text = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
            bars.update(tasks[stage], completed=done, total=total, figures=text)

        yield listen
