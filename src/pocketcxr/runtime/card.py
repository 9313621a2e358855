"""card.json: what a bundle is, what it may be used for, and the SHA-256 of every other file in it."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, Field, JsonValue, ValidationError, model_validator

from pocketcxr.domain.errors import BundleError
from pocketcxr.imaging.preprocess import PreprocessSpec

SCHEMA_VERSION = 1
"""Raised when a reader of the previous version would misread the bundle."""

CARD = "card.json"
SEAL = "card.sha256"
"""One line as sha256sum writes it: the card's digest. As the card holds all others, it identifies the bundle."""
PREPROCESS = "preprocess.onnx"
MODEL = "model.onnx"
GOLDEN_FOLDER = "golden/"

NOTICE = "Research use only. Not a medical device."
INTENDED_USE = (
    f"{NOTICE} For research and engineering on chest radiograph classification and its explanation. "
    "Not for diagnosis, triage, treatment or any other decision about a person."
)

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class NetFacts(BaseModel, frozen=True, extra="forbid"):
    """What was exported."""

    name: str
    """As `pocketcxr models` lists it."""
    head: Literal["class-map", "paper"]
    """class-map: a finding's heatmap has the logit as its mean. paper: its heatmap is Grad-CAM in closed form."""
    num_parameters: int
    num_macs: int | None
    """Multiply-accumulates of one image; None where they were not counted."""
    heatmap_height: int
    heatmap_width: int


class Build(BaseModel, frozen=True, extra="forbid"):
    """One model file of the bundle; all builds answer to the same names: images -> logits, heatmaps."""

    file: str
    tolerance: float
    """Largest deviation from the golden logits and heatmaps, relative to max(1, largest golden value)."""


class Builds(BaseModel, frozen=True, extra="forbid"):
    """The model by precision."""

    fp32: Build
    int8: Build | None = None


class Metric(BaseModel, frozen=True, extra="forbid"):
    """One figure with its 95 % confidence interval; None where the cohort could not give it."""

    name: str
    """For example auroc."""
    finding: str | None
    """None: the mean over findings."""
    cohort: str
    """The images it was measured on."""
    value: float | None
    low: float | None
    high: float | None


class OperatingPoint(BaseModel, frozen=True, extra="forbid"):
    """A threshold on one finding's probability, with what it was chosen for and on."""

    finding: str
    threshold: Annotated[float, Field(ge=0, le=1)]
    criterion: str
    chosen_on: str


class CardFacts(BaseModel, frozen=True, extra="forbid"):
    """What a card says of the model, before the files are packed and hashed."""

    schema_version: int = SCHEMA_VERSION
    name: str
    created: AwareDatetime
    made_by: str
    """The program and its version."""
    intended_use: str = INTENDED_USE
    is_simulated: bool
    """Whether it was trained on simulated radiographs; such a model must not be used on patients."""
    findings: Annotated[tuple[str, ...], Field(min_length=1)]
    """In the order of the model's outputs."""
    unlearnt: tuple[str, ...] = ()
    """Findings that training said nothing of: their outputs mean nothing and are reported as null."""
    preprocess: PreprocessSpec
    net: NetFacts
    builds: Builds
    calibration: None = None
    """No calibration yet: a probability is the plain sigmoid of the logit."""
    operating_points: tuple[OperatingPoint, ...] = ()
    training: dict[str, JsonValue]
    """What the run says about its data and its course."""
    metrics: tuple[Metric, ...] = ()

    @model_validator(mode="after")
    def _names_each_finding_once(self) -> Self:
        if len(set(self.findings)) != len(self.findings):
            raise ValueError("a finding is listed twice")
        if not set(self.unlearnt) <= set(self.findings):
            raise ValueError("an unlearnt finding is not among the findings")
        return self


class Card(CardFacts, frozen=True, extra="forbid"):
    """A bundle's card. Unknown keys are refused: a newer schema says so by its version."""

    sha256: dict[str, Sha256]
    """Of every file but the card and its seal, by its path inside the bundle."""

    @model_validator(mode="after")
    def _hashes_what_it_names(self) -> Self:
        named = [PREPROCESS, self.builds.fp32.file] + ([self.builds.int8.file] if self.builds.int8 else [])
        missing = [name for name in named if name not in self.sha256]
        if missing:
            raise ValueError(f"no SHA-256 for {', '.join(missing)}")
        return self


class _Version(BaseModel, extra="ignore"):
    schema_version: int


def read_card(text: bytes, where: str) -> Card:
    """The card in the bytes of a card.json. Raises BundleError when it is none or of a newer schema."""
    try:
        version = _Version.model_validate_json(text).schema_version
        if version > SCHEMA_VERSION:
            raise BundleError(
                f"{where} has a card of schema version {version}, this program reads up to {SCHEMA_VERSION}: "
                "pip install --upgrade pocketcxr"
            )
        return Card.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BundleError(
            f"{where}: {CARD} is not a bundle's card ({place}: {first['msg']}); export the run again"
        ) from error


def card_bytes(card: Card) -> bytes:
    """The card as card.json holds it: indented, UTF-8, one newline at the end."""
    return (card.model_dump_json(indent=2) + "\n").encode()
