"""card.json: what a bundle is, what it may be used for, and the SHA-256 of every other file in it."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, Field, JsonValue, ValidationError, model_validator

from pocketcxr.domain.errors import BundleError
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.runtime.card_calibration import Calibration, FindingCalibration, FormerCalibration, OperatingPoint
from pocketcxr.runtime.card_gate import ExportGate, Precision

SCHEMA_VERSION = 2
"""Raised when a reader of the previous version would misread the bundle."""

CARD = "card.json"
SEAL = "card.sha256"
"""One line as sha256sum writes it: the card's digest. As the card holds all others, it identifies the bundle."""
SIGNATURE = "card.sig"
"""Ed25519 over the seal's bytes: who made the bundle. Not in every bundle."""
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
    """class-map: a finding's heatmap has the logit as its mean, however the head pools. paper: its heatmap is Grad-CAM
    in closed form."""
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

    fp32: Build | None = None
    fp16: Build | None = None
    int8: Build | None = None
    shipped: Precision = "fp32"
    """The one that is run."""

    @model_validator(mode="after")
    def _holds_what_it_ships(self) -> Self:
        if self.shipped not in self.all:
            raise ValueError(f"there is no {self.shipped} build, which is the one to run")
        return self

    @property
    def all(self) -> dict[Precision, Build]:
        """Those there are."""
        offered: dict[Precision, Build | None] = {"fp32": self.fp32, "fp16": self.fp16, "int8": self.int8}
        return {precision: build for precision, build in offered.items() if build is not None}

    @property
    def to_run(self) -> Build:
        """The shipped one."""
        return self.all[self.shipped]


class Group(BaseModel, frozen=True, extra="forbid"):
    """Images that were looked at apart."""

    name: str
    """For example 'sex: female'; Metric.group says it."""
    attribute: str
    """What the images were parted by: sex, age, view."""
    num_images: int
    num_patients: int
    num_scored: int
    """Findings that have a figure in this group."""


class Metric(BaseModel, frozen=True, extra="forbid"):
    """One figure with its 95 % confidence interval; None where the cohort could not give it."""

    name: str
    """auroc, auprc, or auroc-minus-rest: of a group minus that of all other images."""
    finding: str | None
    """None: the mean over findings."""
    group: str | None = None
    """The group's name; None: all images."""
    cohort: str
    """The images it was measured on."""
    value: float | None
    low: float | None
    high: float | None


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
    calibration: Calibration | None = None
    """None: every probability is the plain sigmoid of its logit."""
    operating_points: tuple[OperatingPoint, ...] = ()
    history: tuple[FormerCalibration, ...] = ()
    """What re-calibrations replaced, oldest first; empty while calibration and thresholds are the export's."""
    gate: ExportGate | None = None
    """How the shipped build was chosen; None: the float32 build, without a comparison."""
    training: dict[str, JsonValue]
    """What the run says about its data and its course."""
    metrics: tuple[Metric, ...] = ()
    groups: tuple[Group, ...] = ()
    """Those that metrics speak of; empty where they were not looked at apart."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if len(set(self.findings)) != len(self.findings):
            raise ValueError("a finding is listed twice")
        if not set(self.unlearnt) <= set(self.findings):
            raise ValueError("an unlearnt finding is not among the findings")
        spoken_of = {*self.calibrated, *(point.finding for point in self.operating_points)}
        if not spoken_of <= set(self.findings) - set(self.unlearnt):
            raise ValueError("a finding is calibrated or has an operating point that the model never learnt")
        points = [(point.finding, point.criterion) for point in self.operating_points]
        if len(set(points)) != len(points):
            raise ValueError("a finding has two operating points of one criterion")
        if not {metric.group for metric in self.metrics} <= {None, *(group.name for group in self.groups)}:
            raise ValueError("a metric is of a group that is not listed")
        return self

    @property
    def calibrated(self) -> dict[str, FindingCalibration]:
        """The calibrated findings."""
        return {} if self.calibration is None else {line.finding: line for line in self.calibration.findings}

    @property
    def criteria(self) -> tuple[str, ...]:
        """The names of the operating points, in the card's order."""
        return tuple(dict.fromkeys(point.criterion for point in self.operating_points))


class Card(CardFacts, frozen=True, extra="forbid"):
    """A bundle's card. Unknown keys are refused: a newer schema says so by its version."""

    sha256: dict[str, Sha256]
    """Of every file but the card, its seal and its signature, by its path inside the bundle."""

    @model_validator(mode="after")
    def _hashes_what_it_names(self) -> Self:
        named = [PREPROCESS, *(build.file for build in self.builds.all.values())]
        missing = [name for name in named if name not in self.sha256]
        if missing:
            raise ValueError(f"no SHA-256 for {', '.join(missing)}")
        return self


class _Version(BaseModel, extra="ignore"):
    schema_version: Annotated[int, Field(ge=1)]


def read_card(text: bytes, where: str) -> Card:
    """The card in the bytes of a card.json, an older one as today's schema would say it.

    Raises BundleError when it is none or of a newer schema.
    """
    try:
        version = _Version.model_validate_json(text).schema_version
        if version > SCHEMA_VERSION:
            raise BundleError(
                f"{where} has a card of schema version {version}, this program reads up to {SCHEMA_VERSION}: "
                "pip install --upgrade pocketcxr"
            )
        return Card.model_validate_json(_current(text, version))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BundleError(
            f"{where}: {CARD} is not a bundle's card ({place}: {first['msg']}); export the run again"
        ) from error


def card_schema() -> dict[str, Any]:
    """The JSON Schema of card.json, for readers in other languages; docs/reference/card.schema.json is a copy."""
    schema = Card.model_json_schema(mode="serialization")
    title = "card.json of a pocketcxr bundle"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}


def card_bytes(card: Card) -> bytes:
    """The card as card.json holds it: indented, UTF-8, one newline at the end."""
    return (card.model_dump_json(indent=2) + "\n").encode()


def _current(text: bytes, version: int) -> bytes:
    """The card's text in the schema of today.

    Version 1 had no calibration, and of builds fp32 alone was run: today's defaults say the same. Its operating points
    were always empty, and its keys all live on.
    """
    if version == SCHEMA_VERSION:
        return text
    return json.dumps({**json.loads(text), "schema_version": SCHEMA_VERSION}).encode()
