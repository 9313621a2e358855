"""How long work tells of itself without knowing who listens: rooms call, apps draw."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

NO_FIGURES: Mapping[str, float] = {}


@runtime_checkable
class Progress(Protocol):
    """Called as work goes on: `stage` is what a person reads, `figures` are numbers worth showing beside the bar."""

    def __call__(self, stage: str, done: int, total: int, figures: Mapping[str, float] = NO_FIGURES) -> None: ...


def silent(stage: str, done: int, total: int, figures: Mapping[str, float] = NO_FIGURES) -> None:
    """The listener that draws nothing."""
