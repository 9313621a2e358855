"""What a report says, as plain values: recipes fill it in, report.py sets it as a page."""

from dataclasses import dataclass
from typing import Literal

from pocketcxr.evaluate.differences import DifferenceReport
from pocketcxr.evaluate.localisation import LocalisationReport
from pocketcxr.evaluate.ranking import RankingReport
from pocketcxr.evaluate.scores import ScoreTable
from pocketcxr.evaluate.subgroups import SubgroupReport

Role = Literal["teacher", "alone", "distilled", "model"]
"""What a model is in the run: the student trained alone, the distilled student, or simply the model evaluated."""


@dataclass(frozen=True, eq=False)
class ModelRow:
    """One model: what it costs and how it ranks. Unknown costs are None."""

    name: str
    role: Role
    ranking: RankingReport
    parameters: int | None = None
    macs: int | None = None
    """Multiply-accumulate operations for one image."""
    milliseconds: float | None = None
    """For one image; ReportContent.made says on which machine and engine."""
    scores: ScoreTable | None = None
    """For the ROC curves; without it there are none."""
    detail: str = ""
    """A few words under the name."""


@dataclass(frozen=True)
class Comparison:
    """The paired difference of two models of the report, `first` minus `second` by name."""

    first: str
    second: str
    difference: DifferenceReport


@dataclass(frozen=True)
class LocalisationRow:
    """Where one model's heatmaps point."""

    name: str
    report: LocalisationReport


@dataclass(frozen=True)
class GalleryItem:
    """One picture with what it shows."""

    png: bytes
    caption: str
    alt: str
    """What a person sees who cannot see the picture."""


@dataclass(frozen=True, eq=False)
class ReportContent:
    """The whole report; empty parts are left out of the page."""

    title: str
    created: str
    """Date and time, ready to read."""
    command: str
    seed: int | None
    version: str
    """Of pocketcxr."""
    is_simulated: bool
    models: tuple[ModelRow, ...]
    subgroups: SubgroupReport | None = None
    """Of the only model; its figures by sex, age and view position."""
    comparisons: tuple[Comparison, ...] = ()
    localisation: tuple[LocalisationRow, ...] = ()
    gallery: tuple[GalleryItem, ...] = ()
    made: tuple[tuple[str, str], ...] = ()
    """How it was made: pairs of word and explanation, in order."""
    notes: tuple[str, ...] = ()
    """Further limits of this run."""
    predict_command: str | None = None
