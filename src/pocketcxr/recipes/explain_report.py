"""The form of localisation.json: what `pocketcxr explain` found out, for programs."""

from pydantic import BaseModel

from pocketcxr._version import __version__
from pocketcxr.domain.study import Split
from pocketcxr.evaluate import wording
from pocketcxr.evaluate.agreement_report import AgreementReport
from pocketcxr.evaluate.faithfulness_report import FaithfulnessReport
from pocketcxr.evaluate.localisation import LocalisationReport
from pocketcxr.explain.methods import Method
from pocketcxr.explain.sanity import RandomisationReport

SCHEMA_VERSION = 2


class Cost(BaseModel, frozen=True, extra="forbid"):
    """Median milliseconds for one image, without reading and preparing it."""

    one_finding: float
    all_findings: float
    """Of all findings the model learnt."""


class MethodReport(BaseModel, frozen=True, extra="forbid"):
    """What one method's heatmaps are worth."""

    method: Method
    cost: Cost
    localisation: LocalisationReport
    faithfulness: FaithfulnessReport | None = None
    """None where it was not asked for."""
    randomisation: RandomisationReport | None = None
    """The same."""


class AgreementWith(BaseModel, frozen=True, extra="forbid"):
    """How far the one-pass heatmaps of another model agree; agreement.json has more."""

    against: str
    """The other run or bundle."""
    is_of_present: bool
    """Whether only images are compared whose finding is present by label; otherwise all."""
    report: AgreementReport


class ExplanationReport(BaseModel, frozen=True, extra="forbid"):
    """What localisation.json holds; docs/reference/localisation.md explains it."""

    schema_version: int = SCHEMA_VERSION
    notice: str = wording.RESEARCH_ONLY
    made_by: str = f"pocketcxr {__version__}"
    created: str
    """ISO 8601, UTC."""
    source: str
    manifest: str
    split: Split | None
    regions: str | None
    """The file of masks beside the manifest's boxes."""
    is_simulated: bool
    """Whether the model or the images are simulated."""
    seed: int
    num_marked: int
    """Images with a mark of a finding the model learnt."""
    num_images: int
    """Of these, those that were explained."""
    unseen: str
    """Why these images are known to be new to the model, or that it is not known."""
    engine: str
    """What the milliseconds were measured on."""
    unlearnt: tuple[str, ...]
    """Findings with marked images that the model never learnt, therefore without figures."""
    refused: tuple[str, ...]
    """Why files were left out."""
    methods: tuple[MethodReport, ...]
    """In the order they were asked for; the first one decides what the gallery shows."""
    agreement: AgreementWith | None = None
