"""From a configured objective to named, weighted losses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from pocketcxr.distill.config import (
    BceTerm,
    ClassMapTerm,
    FocalBceTerm,
    HintTerm,
    MldTerm,
    ObjectiveConfig,
    SoftBceTerm,
    Term,
    XkdSigmoidTerm,
    XkdTerm,
)
from pocketcxr.distill.losses import features, logits, maps
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

    The teacher's output is aligned to the student's findings (distill.teacher.align). Raises ConfigError when a term
    needs a teacher, an adapter or weights that were not given.
    """
    taught = None if teacher is None else ModelOutput(*(part.detach() for part in teacher))
    losses: dict[str, Tensor] = {}
    for term in objective.terms:
        if isinstance(term, BceTerm | FocalBceTerm):
            loss = _label_loss(term, student.logits, labels)
        elif taught is None:
            raise ConfigError(f"objective term {term.kind!r} learns from a teacher, but there is none: configure one")
        else:
            loss = _teacher_loss(term, student, taught, adapters)
        losses[term.kind] = term.weight * loss
    return losses


def _label_loss(term: BceTerm | FocalBceTerm, student: Tensor, labels: Labels) -> Tensor:
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


def _teacher_loss(term: Term, student: ModelOutput, teacher: ModelOutput, adapters: nn.ModuleDict) -> Tensor:
    match term:
        case XkdTerm():
            return logits.xkd(student.logits, teacher.logits, term.temperature)
        case XkdSigmoidTerm():
            return logits.xkd_sigmoid(student.logits, teacher.logits, term.temperature)
        case MldTerm():
            return logits.mld(student.logits, teacher.logits)
        case SoftBceTerm():
            return logits.soft_bce(student.logits, teacher.logits, term.temperature)
        case ClassMapTerm():
            shape = maps.MapShape(term.form, term.grid, term.is_centred)
            return maps.class_map_distance(student.class_maps, teacher.class_maps, shape)
        case HintTerm():
            if term.kind not in adapters:
                raise ConfigError("objective term 'hint' has no adapter: pass build_adapters(objective, ...)")
            return features.hint(adapters[term.kind](student.features), teacher.features)
        case BceTerm() | FocalBceTerm():
            raise ConfigError(f"objective term {term.kind!r} does not learn from a teacher")


def total(losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
    """The sum of all terms: what is minimised."""
    return torch.stack(list(losses.values())).sum()


def build_adapters(
    objective: ObjectiveConfig, student_channels: int, teacher_channels: int, seed: int = 0
) -> nn.ModuleDict:
    """Trainable layers the objective needs: {"hint": 1x1 convolution} or nothing.

    They are optimised with the student and never exported. The channels are those of the features at `hint_stride`.
    Drawn from `seed`, apart from the global generator.
    """
    adapters = nn.ModuleDict()
    if hint_stride(objective) is not None:
        # Made without storage first: the usual start would draw from the global generator.
        adapter = nn.Conv2d(student_channels, teacher_channels, kernel_size=1, device="meta").to_empty(device="cpu")
        nn.init.kaiming_normal_(adapter.weight, nonlinearity="linear", generator=torch.Generator().manual_seed(seed))
        assert adapter.bias is not None
        nn.init.zeros_(adapter.bias)
        adapters["hint"] = adapter
    return adapters


def needs_teacher(objective: ObjectiveConfig) -> bool:
    """Whether any term learns from a teacher."""
    return any(not isinstance(term, BceTerm | FocalBceTerm) for term in objective.terms)


def hint_stride(objective: ObjectiveConfig) -> int | None:
    """The stride at which features are compared, or None where no term compares features."""
    return next((term.stride for term in objective.terms if isinstance(term, HintTerm)), None)


def teacher_parts(objective: ObjectiveConfig) -> tuple[TeacherPart, ...]:
    """What the objective needs of a teacher beside its logits: the rest need not be cached."""
    parts: list[TeacherPart] = []
    if any(isinstance(term, ClassMapTerm) for term in objective.terms):
        parts.append("class_maps")
    if any(isinstance(term, HintTerm) for term in objective.terms):
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
