"""What a model says of one radiograph."""

from dataclasses import dataclass

from pocketcxr.domain.errors import RefusalCode


@dataclass(frozen=True)
class FindingScore:
    """One finding's answer; `probability` is None when the model never learnt the finding (never 0.5)."""

    finding: str
    logit: float | None
    probability: float | None
    is_calibrated: bool = False


@dataclass(frozen=True)
class Prediction:
    """The scores of one readable file."""

    path: str
    scores: tuple[FindingScore, ...]


@dataclass(frozen=True)
class Refusal:
    """Why one file has no scores."""

    path: str
    code: RefusalCode
    message: str
