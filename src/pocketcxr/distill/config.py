"""What a student learns from: a weighted sum of terms, a closed union chosen by `kind`."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator

Temperature = Annotated[float, Field(gt=0, le=100)]
Imbalance = Literal["none", "balanced"]
Factor = Annotated[float, Field(ge=0)]
Stride = Literal[4, 8, 16, 32]


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


class DecoupledTerm(_TermConfig, frozen=True):
    """`mld` with the findings an image has and those it has not averaged apart (DKD for labels that do not exclude)."""

    kind: Literal["decoupled"] = "decoupled"
    temperature: Temperature = 1.0
    present: Factor = 1.0
    """Factor of the mean over what is present."""
    absent: Factor = 1.0
    """Factor of the mean over what is absent."""


class PartialSoftmaxTerm(_TermConfig, frozen=True):
    """KL divergence between softmaxes over one present finding and all absent ones."""

    kind: Literal["partial-softmax"] = "partial-softmax"


class DistTerm(_TermConfig, frozen=True):
    """1 - Pearson's correlation of the outputs, over the findings of an image and over the images of a batch."""

    kind: Literal["dist"] = "dist"
    over: Literal["sigmoid", "softmax"] = "sigmoid"
    """Outputs that are correlated; 'softmax' is the published form."""
    temperature: Temperature = 1.0
    within_image: Factor = 1.0
    """Factor of the correlation over an image's findings."""
    within_finding: Factor = 1.0
    """Factor of the correlation of a finding over the batch."""


class _FeatureTermConfig(_TermConfig, frozen=True):
    """What every term on features has."""

    stride: Stride = 16
    """Features are the last ones at this stride in both nets; one stride for all terms of an objective."""


class HintTerm(_FeatureTermConfig, frozen=True):
    """Squared error between the student's features, through a trained 1x1 adapter, and the teacher's."""

    kind: Literal["hint"] = "hint"


class AttentionTerm(_FeatureTermConfig, frozen=True):
    """Squared error between the maps of how strongly all channels together respond."""

    kind: Literal["attention"] = "attention"


class RkdTerm(_FeatureTermConfig, frozen=True):
    """Distances between pairs of images and angles between three, in pooled features."""

    kind: Literal["rkd"] = "rkd"
    distance: Factor = 1.0
    """Factor of the distances."""
    angle: Factor = 2.0
    """Factor of the angles."""


class SimilarityTerm(_FeatureTermConfig, frozen=True):
    """Squared error between the batch's matrices of how similar two images' features are."""

    kind: Literal["similarity"] = "similarity"


class L2dTerm(_FeatureTermConfig, frozen=True):
    """Distances between label-wise embeddings: a finding's images among each other, an image's findings likewise."""

    kind: Literal["l2d"] = "l2d"
    class_aware: Factor = 1.0
    """Factor of the distances between images that have the same finding."""
    instance_aware: Factor = 10.0
    """Factor of the distances between findings that the same image has."""


LabelTerm = BceTerm | FocalBceTerm
LogitTerm = XkdTerm | XkdSigmoidTerm | MldTerm | SoftBceTerm | DecoupledTerm | PartialSoftmaxTerm | DistTerm
FeatureTerm = HintTerm | AttentionTerm | RkdTerm | SimilarityTerm | L2dTerm
MapTerm = ClassMapTerm | L2dTerm
"""Terms that need class maps."""

Term = Annotated[LabelTerm | LogitTerm | ClassMapTerm | FeatureTerm, Field(discriminator="kind")]


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

    @field_validator("terms")
    @classmethod
    def _one_stride(cls, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        strides = {term.kind: term.stride for term in terms if isinstance(term, FeatureTerm)}
        if len(set(strides.values())) > 1:
            named = ", ".join(f"{kind} {stride}" for kind, stride in strides.items())
            raise ValueError(f"features are read at one stride, but terms have several ({named}); give all the same")
        return terms


_ATTENTION = AttentionTerm(weight=5)
_CLASS_MAP = ClassMapTerm(form="cosine", weight=0.25)
_DIST = DistTerm(weight=0.1)
_L2D = L2dTerm(weight=0.05)
_RKD = RkdTerm(weight=0.1)
_SIMILARITY = SimilarityTerm(weight=5)

OBJECTIVES: dict[str, ObjectiveConfig] = {
    "alone": ObjectiveConfig(terms=(BceTerm(),)),
    "paper": ObjectiveConfig(terms=(FocalBceTerm(weight=0.5), XkdTerm(weight=0.5, temperature=2.0))),
    "paper-sigmoid": ObjectiveConfig(terms=(FocalBceTerm(weight=0.5), XkdSigmoidTerm(weight=0.5, temperature=2.0))),
    "mld": ObjectiveConfig(terms=(BceTerm(), MldTerm())),
    "decoupled": ObjectiveConfig(terms=(BceTerm(), DecoupledTerm())),
    "partial-softmax": ObjectiveConfig(terms=(BceTerm(), PartialSoftmaxTerm(weight=0.5))),
    "dist": ObjectiveConfig(terms=(BceTerm(), _DIST)),
    "class-map": ObjectiveConfig(terms=(BceTerm(), _CLASS_MAP)),
    "hint": ObjectiveConfig(terms=(BceTerm(), HintTerm())),
    "attention": ObjectiveConfig(terms=(BceTerm(), _ATTENTION)),
    "rkd": ObjectiveConfig(terms=(BceTerm(), _RKD)),
    "similarity": ObjectiveConfig(terms=(BceTerm(), _SIMILARITY)),
    "l2d": ObjectiveConfig(terms=(BceTerm(), MldTerm(), _L2D)),
    "soft-bce": ObjectiveConfig(terms=(SoftBceTerm(),)),
    "soft-bce+dist": ObjectiveConfig(terms=(SoftBceTerm(), _DIST)),
    "soft-bce+class-map": ObjectiveConfig(terms=(SoftBceTerm(), _CLASS_MAP)),
    "soft-bce+hint": ObjectiveConfig(terms=(SoftBceTerm(), HintTerm())),
    "soft-bce+attention": ObjectiveConfig(terms=(SoftBceTerm(), _ATTENTION)),
    "soft-bce+rkd": ObjectiveConfig(terms=(SoftBceTerm(), _RKD)),
    "soft-bce+similarity": ObjectiveConfig(terms=(SoftBceTerm(), _SIMILARITY)),
    "soft-bce+l2d": ObjectiveConfig(terms=(SoftBceTerm(), _L2D)),
}
"""Ready objectives, for grids. A method's name stands for it beside the labels, as its paper has it; "soft-bce+" and a
name for it beside the teacher's probabilities instead. docs/explanation/objectives.md says how the weights were set."""
