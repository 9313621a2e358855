"""The student as its own teacher: the running average of its weights, which training keeps anyway, is asked.

Nothing is added to the checkpoint or the export: what is taught at a step follows from the averaged weights, the batch
and the step's number. docs/explanation/self-distillation.md has the equations.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from pocketcxr.distill.config import ClassMapTerm, FeatureTerm, LabelTerm, ObjectiveConfig
from pocketcxr.distill.taps import Tapped
from pocketcxr.distill.teacher import PixelsAt, TeacherSource
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.outputs import ModelOutput, evaluating

_CERTAIN = 16.0
"""Logit of a label that is 1: a probability within 1.2e-7 of it, the last step of float32 before 1."""
_OTHER_VIEWS = 2**32
"""Views from here on are shown to the teacher only."""
_LONGEST_WARMUP = 0.2
"""Of the run: where one pass over the images takes longer, the teacher does not wait for its end."""
_SHARES = {"salnas": 0.5, "ps-kd": 0.8}


class SelfTeacher(BaseModel, frozen=True, extra="forbid"):
    """The running average of the student's own weights (optim.ema_decay). It has no cache: it changes every step."""

    kind: Literal["self"] = "self"
    form: Literal["ema", "salnas", "ps-kd"] = "ema"
    """'ema': its answer stands beside the labels (mean teacher); 'salnas', 'ps-kd': labels and its probabilities are
    mixed into one target."""
    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    """Steps until it counts in full; None is one pass over the training images, at most a fifth of the run."""
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    """Of the average in the mixed target: 'salnas' 0.5, 'ps-kd' 0.8 at the end of the run, if None."""
    view: Literal["same", "other"] = "same"
    """'other': it sees another augmented version of the images than the student."""

    @property
    def mixes_labels(self) -> bool:
        """Whether labels are part of what it says."""
        return self.form != "ema"


def why_not_self_taught(config: SelfTeacher, objective: ObjectiveConfig, steps: int, moves: bool) -> str | None:
    """Why a student cannot teach itself so in `steps`, in words; None where it can. `moves`: views are shifted."""
    places = [term.kind for term in objective.terms if isinstance(term, ClassMapTerm | FeatureTerm)]
    if config.form == "ema" and not any(isinstance(term, LabelTerm) for term in objective.terms):
        return "a student that hears nobody but itself learns nothing: add bce, or give teacher.form=salnas"
    if config.form == "ema" and config.share is not None:
        return "teacher.share belongs to the forms salnas and ps-kd: leave it out, or give a term another weight"
    if config.warmup_steps is not None and config.warmup_steps >= steps:
        return f"after {config.warmup_steps} teacher.warmup_steps a run of {steps} steps is over: give fewer"
    if config.view == "other" and moves and places:
        return f"{places[0]} compares places, and in another view these have moved: give teacher.view=same"
    return None


class Average(NamedTuple):
    """The net and the averaged state to put in place of its own, by name."""

    tapped: Tapped
    weights: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class SelfLessons:
    """How a student teaches itself, everything decided; what it says at a step is a pure function of its average."""

    config: SelfTeacher
    objective: ObjectiveConfig
    spec: PreprocessSpec
    pixels_at: PixelsAt
    """The images of the training in any view."""
    labels: NDArray[np.float32]
    """[n, finding], of the same images."""
    warmup_steps: int
    steps: int
    """Of the whole run."""

    def at(self, step: int, average: Average) -> TeacherSource:
        """The teacher of step `step` (from 0)."""
        return partial(self._answer, step, average)

    @torch.no_grad()
    def _answer(self, step: int, average: Average, pixels: Tensor, indices: Tensor, view: int) -> ModelOutput:
        """What the average says of the batch, in eval mode; labels are mixed in where the form does so.

        A mixed logit is NaN where nobody labelled, as long as the average is warming up.
        """
        if self.config.view == "other":
            pixels = self.pixels_at(indices, _OTHER_VIEWS + view).to(pixels.device)
        state = {f"net.{name}": value for name, value in average.weights.items()}
        with evaluating(average.tapped):
            output = functional_call(average.tapped, state, ((pixels - self.spec.mean) / self.spec.std,))
        assert isinstance(output, ModelOutput)
        if not self.config.mixes_labels:
            return output
        logits = output.logits.float()
        labels = torch.from_numpy(self.labels[indices.numpy()]).to(logits.device)
        unlabelled = torch.full_like(logits, torch.nan) if step < self.warmup_steps else logits
        mixed = mix(labels, logits, self.share_at(step))
        return output._replace(logits=torch.where(labels.isnan(), unlabelled, mixed))

    def share_at(self, step: int) -> float:
        """The average's share of a mixed target; the labels have the rest."""
        if step < self.warmup_steps:
            return 0.0
        full = _SHARES.get(self.config.form, 1.0) if self.config.share is None else self.config.share
        return full * (step + 1) / self.steps if self.config.form == "ps-kd" else full

    def weigh(self, losses: Mapping[str, Float[Tensor, ""]], step: int) -> dict[str, Float[Tensor, ""]]:
        """The terms with those that learn from the average weighed by how far it has warmed up."""
        factors: dict[str, float] = {term.kind: self._factor(term, step) for term in self.objective.terms}
        return {kind: loss * factors[kind] for kind, loss in losses.items()}

    def _factor(self, term: object, step: int) -> float:
        if isinstance(term, LabelTerm) or step >= self.warmup_steps:
            return 1.0
        if self.config.form == "ema":
            return ramp(step / self.warmup_steps)
        # Mixed logits are labels until the average speaks. Maps and features have no labels.
        return 0.0 if isinstance(term, ClassMapTerm | FeatureTerm) else 1.0


def ramp(progress: float) -> float:
    """exp(-5 (1 - progress)^2) for a progress of 0..1: the weight of a teacher that is still learning.

    Laine & Aila, ICLR 2017 (arXiv 1610.02242), section 3; taken over by Tarvainen & Valpola, NeurIPS 2017 (arXiv
    1703.01780).
    """
    return math.exp(-5 * (1 - progress) ** 2)


def warmup_steps(config: SelfTeacher, num_images: int, batch_size: int, steps: int) -> int:
    """The steps of config, or those of one pass over the images (SalNAS: epoch 0), at most a fifth of the run."""
    if config.warmup_steps is not None:
        return config.warmup_steps
    return min(math.ceil(num_images / batch_size), math.floor(_LONGEST_WARMUP * steps))


def mix(
    labels: Float[Tensor, "b finding"], logits: Float[Tensor, "b finding"], share: float
) -> Float[Tensor, "b finding"]:
    """The logit of (1 - share) * labels + share * sigmoid(logits), within +-16; NaN where the label is.

    SalNAS (arXiv 2407.20062, the authors' code): p + 0.5 (y - p), a share of 0.5; PS-KD (Kim et al., ICCV 2021, arXiv
    2006.12000): a share that grows over the run. Sums of log-probabilities lose nothing near 0 and 1.
    """
    of_average = logits.new_tensor(share).log()
    present = torch.logaddexp(((1 - share) * labels).log(), of_average + functional.logsigmoid(logits))
    absent = torch.logaddexp(((1 - share) * (1 - labels)).log(), of_average + functional.logsigmoid(-logits))
    return (present - absent).clamp(-_CERTAIN, _CERTAIN)
