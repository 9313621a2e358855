"""What the page of explanations says, as plain values: recipes fill it in, explanation_report.py sets it as a page."""

from dataclasses import dataclass

from pocketcxr.evaluate.agreement_report import AgreementReport
from pocketcxr.evaluate.faithfulness_report import FaithfulnessReport
from pocketcxr.evaluate.localisation import LocalisationReport
from pocketcxr.evaluate.report_content import GalleryItem


@dataclass(frozen=True)
class Randomised:
    """How alike the heatmaps stay as the net's weights become random."""

    stages: tuple[tuple[int, float | None], ...]
    """Layers that are random, counted from the output, and how far the heatmaps are from noise (0) to those of the
    trained net (1); None where all of them are flat."""
    most: float
    """The test is passed where the last stage is no further."""
    is_passed: bool


@dataclass(frozen=True, eq=False)
class MethodRow:
    """One method and its figures."""

    name: str
    localisation: LocalisationReport
    one_ms: float
    """Milliseconds for one finding of one image."""
    all_ms: float
    """For all findings the model learnt."""
    faithfulness: FaithfulnessReport | None = None
    randomised: Randomised | None = None


@dataclass(frozen=True, eq=False)
class GalleryPanel:
    """One picture of a row."""

    jpeg: bytes
    name: str
    note: str
    alt: str
    """What a person sees who cannot see the picture."""


@dataclass(frozen=True, eq=False)
class GalleryRow:
    """One finding of one image, the methods side by side."""

    caption: str
    panels: tuple[GalleryPanel, ...]


@dataclass(frozen=True, eq=False)
class GalleryGroup:
    """Pictures of one kind."""

    title: str
    meaning: str
    rows: tuple[GalleryRow, ...]


@dataclass(frozen=True)
class AgreementRow:
    """Another model and how far its heatmaps agree."""

    other: str
    which: str
    """Images that were compared, in words: the images ..."""
    report: AgreementReport


@dataclass(frozen=True, eq=False)
class ExplanationContent:
    """The whole page; empty parts are left out."""

    title: str
    created: str
    """Date and time, ready to read."""
    command: str
    version: str
    """Of pocketcxr."""
    is_simulated: bool
    unseen: str
    """Why the images are known to be new to the model, or that it is not known."""
    methods: tuple[MethodRow, ...]
    groups: tuple[GalleryGroup, ...] = ()
    rule: str = ""
    """By which the pictures of the groups were chosen."""
    sample: tuple[GalleryItem, ...] = ()
    """Pictures chosen before anything was scored."""
    agreement: AgreementRow | None = None
    made: tuple[tuple[str, str], ...] = ()
    """How it was made: pairs of word and explanation, in order."""
    notes: tuple[str, ...] = ()
    """Further limits of these very figures."""
