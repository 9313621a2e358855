"""What a student learns from: a weighted sum of terms, a closed union chosen by `kind`."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator

Temperature = Annotated[float, Field(gt=0, le=100)]
Imbalance = Literal["none", "balanced"]


class _TermConfig(BaseModel, frozen=True, extra="forbid"):
    """What every term has."""

    weight: Annotated[float, Field(gt=0)] = 1.0
    """Factor of the term in the sum."""


class BceTerm(_TermConfig, frozen=True):
    """Binary cross-entropy against the labels."""

    kind: Literal["bce"] = "bce"
    imbalance: Imbalance = "none"
    """'balanced' weighs a finding's positives by its negatives / positives among the known labels."""


class FocalBceTerm(_TermConfig, frozen=True):
    """Focal binary cross-entropy against the labels: confident, right answers count less."""

    kind: Literal["focal-bce"] = "focal-bce"
    gamma: Annotated[float, Field(ge=0, le=10)] = 2.0
    imbalance: Imbalance = "none"


class XkdTerm(_TermConfig, frozen=True):
    """T^2 times the squared error between softmax outputs at temperature T: the paper's form."""

    kind: Literal["xkd"] = "xkd"
    temperature: Temperature = 2.0


class XkdSigmoidTerm(_TermConfig, frozen=True):
    """T^2 times the squared error between sigmoid outputs at temperature T: findings do not compete."""

    kind: Literal["xkd-sigmoid"] = "xkd-sigmoid"
    temperature: Temperature = 2.0


class MldTerm(_TermConfig, frozen=True):
    """KL divergence between the teacher's and the student's Bernoulli distribution of each finding."""

    kind: Literal["mld"] = "mld"


class SoftBceTerm(_TermConfig, frozen=True):
    """T^2 times the binary cross-entropy against the teacher's probabilities at temperature T."""

    kind: Literal["soft-bce"] = "soft-bce"
    temperature: Temperature = 1.0


class ClassMapTerm(_TermConfig, frozen=True):
    """Distance between the shapes of the class maps: where each finding's evidence lies."""

    kind: Literal["class-map"] = "class-map"
    form: Literal["cat-kd", "cosine"] = "cat-kd"
    """'cat-kd': mean squared error of L2-normalised maps; 'cosine': 1 - their cosine."""
    grid: Annotated[int, Field(ge=1, le=64)] | None = None
    """Side both maps are pooled to first (CAT-KD: 2); None takes the coarser of the two."""
    is_centred: bool = False
    """Subtract each map's mean first: then only where counts, and the logits alone say how much."""


class HintTerm(_TermConfig, frozen=True):
    """Squared error between the student's features, through a trained 1x1 adapter, and the teacher's."""

    kind: Literal["hint"] = "hint"
    stride: Literal[4, 8, 16, 32] = 16
    """Features are the last ones at this stride in both nets."""


Term = Annotated[
    BceTerm | FocalBceTerm | XkdTerm | XkdSigmoidTerm | MldTerm | SoftBceTerm | ClassMapTerm | HintTerm,
    Field(discriminator="kind"),
]


class ObjectiveConfig(BaseModel, frozen=True, extra="forbid"):
    """A weighted sum of terms; each kind at most once, so that a term's name is its kind."""

    terms: Annotated[tuple[Term, ...], Field(min_length=1)] = (BceTerm(),)

    @field_validator("terms")
    @classmethod
    def _each_kind_once(cls, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        kinds = [term.kind for term in terms]
        repeated = sorted({kind for kind in kinds if kinds.count(kind) > 1})
        if repeated:
            raise ValueError(f"term {', '.join(repeated)} is given more than once; add the weights into one")
        return terms


OBJECTIVES: dict[str, ObjectiveConfig] = {
    "labels": ObjectiveConfig(terms=(BceTerm(),)),
    "paper": ObjectiveConfig(terms=(FocalBceTerm(weight=0.5), XkdTerm(weight=0.5, temperature=2.0))),
    "paper-sigmoid": ObjectiveConfig(terms=(FocalBceTerm(weight=0.5), XkdSigmoidTerm(weight=0.5, temperature=2.0))),
    "mld": ObjectiveConfig(terms=(BceTerm(), MldTerm())),
    "soft": ObjectiveConfig(terms=(BceTerm(), SoftBceTerm())),
    "soft-hint": ObjectiveConfig(terms=(BceTerm(), SoftBceTerm(), HintTerm(weight=0.1))),
    "explained": ObjectiveConfig(terms=(BceTerm(), SoftBceTerm(), ClassMapTerm(form="cosine", weight=0.5))),
}
"""Ready objectives; docs/explanation/objectives.md says when to use which."""
