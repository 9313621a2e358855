"""What a model says of one radiograph."""

from dataclasses import dataclass

from pocketcxr.domain.errors import RefusalCode


@dataclass(frozen=True)
class Decision:
    """What one operating point makes of a probability: positive where probability >= threshold."""

    operating_point: str
    """Its criterion, for example sensitivity-90."""
    threshold: float
    is_positive: bool


@dataclass(frozen=True)
class FindingScore:
    """One finding's answer; `logit` and `probability` are None when the model never learnt the finding (never 0.5)."""

    finding: str
    logit: float | None
    probability: float | None
    is_calibrated: bool = False
    """Whether the probability is a calibrated one; otherwise it is the plain sigmoid of the logit."""
    decisions: tuple[Decision, ...] = ()
    """At every operating point that the bundle has for this finding."""

    def decision(self, operating_point: str) -> Decision | None:
        """The decision at the operating point of that name; None where there is none."""
        return next((one for one in self.decisions if one.operating_point == operating_point), None)


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
