"""From a configured objective to named, weighted losses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from pocketcxr.distill.config import (
    AttentionTerm,
    BceTerm,
    ClassMapTerm,
    DecoupledTerm,
    DistTerm,
    FeatureTerm,
    FocalBceTerm,
    HintTerm,
    L2dTerm,
    LabelTerm,
    LogitTerm,
    MapTerm,
    MldTerm,
    ObjectiveConfig,
    PartialSoftmaxTerm,
    RkdTerm,
    SimilarityTerm,
    SoftBceTerm,
    XkdSigmoidTerm,
    XkdTerm,
)
from pocketcxr.distill.losses import embeddings, features, logits, maps, relations
from pocketcxr.domain.errors import ConfigError
from pocketcxr.models.outputs import ModelOutput

TeacherPart = Literal["class_maps", "features"]


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of a batch: values [b, finding] in 0..1, NaN where unknown, and the positives' weights [finding].

    The weights are `label_weights` of the whole training cohort; only terms with imbalance 'balanced' use them.
    """

    values: Float[Tensor, "b finding"]
    positive_weights: Float[Tensor, " finding"] | None = None


def terms(
    objective: ObjectiveConfig,
    student: ModelOutput,
    teacher: ModelOutput | None,
    labels: Labels,
    adapters: nn.ModuleDict,
) -> dict[str, Float[Tensor, ""]]:
    """Every term's loss by kind, already weighted: the loop sums them. What is unknown (NaN) adds nothing.

    The teacher's output is aligned to the student's findings (distill.teacher.align): NaN among its logits and class
    maps is unknown, whereas NaN among its features is a broken teacher and makes the loss NaN. Computed in float32,
    inside autocast too: losses are made of differences of nearly equal numbers. Raises ConfigError when a term needs a
    teacher, a part of its output, an adapter or weights that were not given.
    """
    ours = ModelOutput(*(part.float() for part in student))
    taught = None if teacher is None else ModelOutput(*(part.detach().float() for part in teacher))
    losses: dict[str, Tensor] = {}
    with torch.autocast(student.logits.device.type, enabled=False):
        for term in objective.terms:
            if isinstance(term, LabelTerm):
                loss = _label_loss(term, ours.logits, labels)
            elif taught is None:
                raise ConfigError(
                    f"objective term {term.kind!r} learns from a teacher, but there is none: configure one"
                )
            else:
                loss = _teacher_loss(term, _Lesson(ours, taught, presence(labels.values, taught.logits)), adapters)
            losses[term.kind] = term.weight * loss
    return losses


def presence(labels: Float[Tensor, "b finding"], teacher: Float[Tensor, "b finding"]) -> Float[Tensor, "b finding"]:
    """How present each finding is, 0..1: its label, or the teacher's probability where nobody labelled it.

    NaN where neither knows.
    """
    return torch.where(labels.isnan(), torch.sigmoid(teacher), labels)


class _Lesson(NamedTuple):
    """One batch as terms that learn from a teacher see it."""

    student: ModelOutput
    teacher: ModelOutput
    presence: Tensor


def _label_loss(term: LabelTerm, student: Tensor, labels: Labels) -> Tensor:
    weights = labels.positive_weights if term.imbalance == "balanced" else None
    if term.imbalance == "balanced" and weights is None:
        raise ConfigError(
            f"objective term {term.kind!r} has imbalance 'balanced', but no weights were given: pass label_weights(...)"
        )
    match term:
        case BceTerm():
            return logits.bce(student, labels.values, weights)
        case FocalBceTerm():
            return logits.focal_bce(student, labels.values, term.gamma, weights)


def _teacher_loss(
    term: LogitTerm | ClassMapTerm | FeatureTerm, lesson: _Lesson, adapters: nn.ModuleDict
) -> Float[Tensor, ""]:
    teacher = lesson.teacher
    if isinstance(term, MapTerm) and teacher.class_maps.shape[1] == 0:
        raise ConfigError(f"objective term {term.kind!r} compares class maps, but the teacher gives none: leave it out")
    if isinstance(term, FeatureTerm) and teacher.features.shape[1] == 0:
        raise ConfigError(f"objective term {term.kind!r} compares features, but the teacher gives none: leave it out")
    match term:
        case ClassMapTerm():
            shape = maps.MapShape(term.form, term.grid, term.is_centred)
            return maps.class_map_distance(lesson.student.class_maps, teacher.class_maps, shape)
        case L2dTerm():
            return _embedding_loss(term, lesson)
        case HintTerm() | AttentionTerm() | RkdTerm() | SimilarityTerm():
            return _feature_loss(term, lesson, adapters)
        case _:
            return _logit_loss(term, lesson.student.logits, teacher.logits, lesson.presence)


def _logit_loss(term: LogitTerm, student: Tensor, teacher: Tensor, present: Tensor) -> Tensor:
    match term:
        case XkdTerm():
            return logits.xkd(student, teacher, term.temperature)
        case XkdSigmoidTerm():
            return logits.xkd_sigmoid(student, teacher, term.temperature)
        case MldTerm():
            return logits.mld(student, teacher)
        case SoftBceTerm():
            return logits.soft_bce(student, teacher, term.temperature)
        case DecoupledTerm():
            sides = logits.Sides(term.present, term.absent)
            return logits.decoupled(student, teacher, present, term.temperature, sides)
        case PartialSoftmaxTerm():
            return logits.partial_softmax(student, teacher, present)
        case DistTerm():
            shape = relations.CorrelationShape(term.over, term.temperature, term.within_image, term.within_finding)
            return relations.correlation(student, teacher, shape)


def _feature_loss(
    term: HintTerm | AttentionTerm | RkdTerm | SimilarityTerm, lesson: _Lesson, adapters: nn.ModuleDict
) -> Tensor:
    student, teacher = lesson.student.features, lesson.teacher.features
    match term:
        case HintTerm():
            if term.kind not in adapters:
                raise ConfigError("objective term 'hint' has no adapter: pass build_adapters(objective, ...)")
            return features.hint(adapters[term.kind](student), teacher)
        case AttentionTerm():
            return features.attention(student, teacher)
        case SimilarityTerm():
            return relations.similarity(student, teacher)
        case RkdTerm():
            student, teacher = student.mean(dim=(2, 3)), teacher.mean(dim=(2, 3))
            by_distance = term.distance * relations.rkd_distance(student, teacher)
            return by_distance + term.angle * relations.rkd_angle(student, teacher)


def _embedding_loss(term: L2dTerm, lesson: _Lesson) -> Tensor:
    """Over what is present and whose class map the teacher knows."""
    teacher = lesson.teacher
    of_student = embeddings.label_embeddings(lesson.student.class_maps, lesson.student.features)
    of_teacher = embeddings.label_embeddings(teacher.class_maps, teacher.features)
    is_present = (lesson.presence > 0.5) & ~teacher.class_maps.flatten(2).isnan().any(dim=2)
    by_class = term.class_aware * embeddings.class_aware(of_student, of_teacher, is_present)
    return by_class + term.instance_aware * embeddings.instance_aware(of_student, of_teacher, is_present)


def total(losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
    """The sum of all terms: what is minimised."""
    return torch.stack(list(losses.values())).sum()


def build_adapters(
    objective: ObjectiveConfig, student_channels: int, teacher_channels: int, seed: int = 0
) -> nn.ModuleDict:
    """Trainable layers the objective needs, by the kind of term: {"hint": 1x1 convolution} or nothing.

    They are optimised with the student and never exported. The channels are those of the features at `feature_stride`.
    Drawn from `seed`, apart from the global generator.
    """
    adapters = nn.ModuleDict()
    if any(isinstance(term, HintTerm) for term in objective.terms):
        # Made without storage first: the usual start would draw from the global generator.
        adapter = nn.Conv2d(student_channels, teacher_channels, kernel_size=1, device="meta").to_empty(device="cpu")
        nn.init.kaiming_normal_(adapter.weight, nonlinearity="linear", generator=torch.Generator().manual_seed(seed))
        assert adapter.bias is not None
        nn.init.zeros_(adapter.bias)
        adapters["hint"] = adapter
    return adapters


def needs_teacher(objective: ObjectiveConfig) -> bool:
    """Whether any term learns from a teacher."""
    return any(not isinstance(term, LabelTerm) for term in objective.terms)


def learns_from_labels(objective: ObjectiveConfig) -> bool:
    """Whether any term learns from labels."""
    return any(isinstance(term, LabelTerm) for term in objective.terms)


def feature_stride(objective: ObjectiveConfig) -> int | None:
    """The stride at which features are compared, or None where no term compares features."""
    return next((term.stride for term in objective.terms if isinstance(term, FeatureTerm)), None)


def teacher_parts(objective: ObjectiveConfig) -> tuple[TeacherPart, ...]:
    """What the objective needs of a teacher beside its logits: the rest need not be cached."""
    parts: list[TeacherPart] = []
    if any(isinstance(term, MapTerm) for term in objective.terms):
        parts.append("class_maps")
    if any(isinstance(term, FeatureTerm) for term in objective.terms):
        parts.append("features")
    return tuple(parts)


def label_weights(labels: NDArray[np.float32], limit: float = 20.0) -> Float[Tensor, " finding"]:
    """The positives' weight of each finding: negatives / positives among the known labels [n, finding].

    Kept within 1 / limit and limit, since a handful of positives would otherwise rule the loss; 1 where a finding has
    no known positive or no known negative, as there is nothing to balance.
    """
    positives = np.nansum(labels, axis=0, dtype=np.float64)
    negatives = (~np.isnan(labels)).sum(axis=0) - positives
    has_both = (positives > 0) & (negatives > 0)
    ratio = np.divide(negatives, positives, out=np.ones_like(positives), where=has_both)
    return torch.from_numpy(np.clip(ratio, 1 / limit, limit).astype(np.float32))
