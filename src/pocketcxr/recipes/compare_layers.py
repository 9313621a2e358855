"""Settings in layers: which one wins, and which one is to blame."""

from collections.abc import Sequence
from typing import NamedTuple

from pocketcxr.recipes.compare_config import Settings
from pocketcxr.recipes.config import Place, Problem


class Layer(NamedTuple):
    """Settings and where the grid has them; `inside` is the section of a run that they are written short for."""

    place: str
    settings: Settings
    inside: str = ""

    def whole(self) -> Settings:
        """The settings as a run has them."""
        return {self.inside: self.settings} if self.inside else self.settings


def merge(first: Settings, second: Settings) -> Settings:
    """`first` with what `second` says otherwise: sections are merged, everything else is replaced."""
    merged = dict(first)
    for key, value in second.items():
        before = merged.get(key)
        merged[key] = merge(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def blame(problem: Problem, layers: Sequence[Layer], what: str) -> str:
    """The problem with the place in the grid of the last layer that holds it, as a person wrote it there.

    Where none holds it, because something is missing or two settings do not fit, `what` was to be made is named.
    """
    for layer in reversed(layers):
        if problem.place and problem.kind != "missing" and _holds(layer.whole(), problem.place):
            return f"{layer.place}.{problem.message.removeprefix(f'{layer.inside}.')}"
    return f"{what}: {problem.message}"


def _holds(settings: object, place: Place) -> bool:
    for part in place:
        match settings, part:
            case dict(), _ if part in settings:
                settings = settings[part]
            case list(), int() if part < len(settings):
                settings = settings[part]
            case _:
                return False
    return True
