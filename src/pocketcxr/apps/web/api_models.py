"""What the JSON API is asked and what it answers, in the words of `pocketcxr predict --json`."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from pocketcxr.domain.errors import RefusalCode

API_VERSION = 1
"""Raised when a program that reads the answers would misread them; the path says it too."""
MOST_FINDINGS = 1000

HeatmapForm = Literal["none", "values", "png"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _is_asked(text: Any) -> Any:
    """true or false, as JSON writes them and nothing else."""
    if text in ("true", "false"):
        return text == "true"
    if isinstance(text, bool):
        return text
    raise ValueError("give true or false")


def _number_or_all(text: Any) -> Any:
    """A number of findings in plain digits, or all."""
    if isinstance(text, str) and re.fullmatch(r"[1-9][0-9]{0,8}", text):
        return int(text)
    if text == "all" or isinstance(text, int):
        return text
    raise ValueError(f"give a number from 1 to {MOST_FINDINGS}, or all")


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PredictQuery(_Closed):
    """How an upload is scored and what is answered."""

    operating_point: Annotated[
        str | SkipJsonSchema[None],
        Field(description="Answer the decisions at this operating point alone; the card names those there are."),
    ] = None
    heatmaps: Annotated[
        HeatmapForm,
        Field(description="none; values: the grid in logit units; png: drawn on the X-ray, with a colour bar."),
    ] = "none"
    top: Annotated[
        Annotated[int, Field(ge=1, le=MOST_FINDINGS)] | Literal["all"],
        BeforeValidator(_number_or_all),
        Field(description="How many findings get a heatmap, those of highest logit."),
    ] = 3
    input_gate: Annotated[
        bool,
        BeforeValidator(_is_asked),
        Field(description="Whether the bundle's input gate may refuse what is no frontal chest X-ray of an adult."),
    ] = True


class BundleFacts(_Closed):
    """The model that answers."""

    name: str
    sha256: Annotated[Sha256, Field(description="Of card.json, which holds the SHA-256 of every other file.")]
    is_simulated: Annotated[
        bool, Field(description="Trained on simulated radiographs: what it says of a real X-ray means nothing.")
    ]


class ImageFacts(_Closed):
    """The decoded X-ray."""

    height: Annotated[int, Field(description="Pixels, after turning as the file says.")]
    width: int
    source_format: Literal["png", "jpeg", "dicom"]


class DecisionAnswer(_Closed):
    """What one operating point makes of a probability: positive where probability >= threshold."""

    operating_point: str
    threshold: float
    is_positive: bool


class HeatmapValues(_Closed):
    """The heatmap as the model gives it."""

    form: Literal["values"] = "values"
    values: Annotated[
        list[list[float]],
        Field(
            description="[grid_h][grid_w] in logit units over the X-ray padded to a centred square, float32 in the "
            "fewest digits that give it back."
        ),
    ]


class HeatmapPicture(_Closed):
    """The X-ray under the heatmap."""

    form: Literal["png"] = "png"
    png: Annotated[
        str,
        Field(description="A PNG file, at most 1,024 pixels a side.", json_schema_extra={"contentEncoding": "base64"}),
    ]


class FindingAnswer(_Closed):
    """One finding's answer."""

    finding: str
    logit: Annotated[float | None, Field(description="null: the model never learnt the finding.")]
    probability: Annotated[float | None, Field(ge=0, le=1, description="null: the model never learnt the finding.")]
    is_calibrated: Annotated[bool, Field(description="false: the probability is the plain sigmoid of the logit.")]
    decisions: list[DecisionAnswer]
    heatmap: Annotated[
        Annotated[HeatmapValues | HeatmapPicture, Field(discriminator="form")] | None,
        Field(description="null: not asked for, or not among the top ones."),
    ]


class WarningAnswer(_Closed):
    """What is odd about a file that is scored all the same."""

    code: Literal["photograph-of-a-screen"]
    message: str


class PredictAnswer(_Closed):
    """The scores of one X-ray."""

    version: Literal[1]
    notice: str
    made_by: str
    bundle: BundleFacts
    status: Literal["scored"]
    image: ImageFacts
    input_checked: Annotated[
        bool, Field(description="false: input_gate=false asked for that, or the bundle has no input gate.")
    ]
    warnings: list[WarningAnswer]
    findings: Annotated[list[FindingAnswer], Field(description="In the order of the card.")]


class Health(_Closed):
    """How busy the server is."""

    is_accepting: Annotated[bool, Field(description="false: it is starting or shutting down.")]
    in_flight: Annotated[int, Field(ge=0, description="Requests for scores accepted and not answered yet.")]
    queued: Annotated[int, Field(ge=0, description="Of these, those that are read and wait for a worker.")]
    capacity: Annotated[int, Field(ge=1, description="The most there may be in flight; more are told to wait (429).")]
    workers: Annotated[int, Field(ge=1)]
    bundle: BundleFacts
    made_by: str


class Problem(BaseModel):
    """Why there is no answer (RFC 9457). Programs branch on `code`; people read `message`."""

    type: Literal["about:blank"] = "about:blank"
    title: str
    status: int
    code: str
    message: Annotated[str, Field(description="What is wrong and what to do, as `pocketcxr predict --json` names it.")]
    detail: Annotated[str, Field(description="The message under the name that RFC 9457 gives it.")]


REFUSAL_CODES = tuple(code.value for code in RefusalCode)
"""Of status 422."""
