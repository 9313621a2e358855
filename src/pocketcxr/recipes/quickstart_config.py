"""The quickstart's recipe: what is simulated, and how teacher, student alone and distilled student are trained on it.

docs/results/README.md has the study, and says which settings were chosen before its seeds were run and which after.
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from pocketcxr.data.augment import AugmentConfig
from pocketcxr.distill.config import BceTerm, HintTerm, ObjectiveConfig, SoftBceTerm
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.config import NetConfig
from pocketcxr.phantom.config import LabelNoise, PhantomConfig
from pocketcxr.recipes.run_config import CohortConfig, RunConfig
from pocketcxr.recipes.teacher_config import RunTeacher
from pocketcxr.runtime.card_gate import GateLimits
from pocketcxr.train.optim import OptimConfig

AUGMENT = AugmentConfig(num_views=1)
"""One view an image: the teacher is asked once for each, and a run this short sees an image two or three times."""

LABELS_ONLY = ObjectiveConfig(terms=(BceTerm(),))

DISTILLED = ObjectiveConfig(terms=(SoftBceTerm(), HintTerm(weight=1.0)))
"""The teacher's answer on every image, labelled or not, and its features. No class maps: at 64 pixels the teacher's
have 2 x 2 cells, and learning them made the student point worse (docs/results/README.md)."""


class QuickstartConfig(BaseModel, frozen=True, extra="forbid"):
    """One quickstart. Everything it does follows from these numbers."""

    num_images: Annotated[int, Field(ge=60)] = 12_000
    size: Annotated[int, Field(ge=32)] = 64
    """Side of the simulated images and of the nets' input, pixels."""
    seed: Annotated[int, Field(ge=0)] = 0
    prevalence_scale: float = 3.0
    """How much commoner findings are than in ChestX-ray14: a set this small would else hold too few to learn."""
    label_noise: float = 0.5
    """Strength of the label noise in training and validation; tests are on the clean truth."""
    labelled_fraction: float = 0.25
    """Share of the training patients whose labels anybody sees; the others' images teach only through the teacher."""
    teacher_steps: Annotated[int, Field(ge=2)] = 600
    student_steps: Annotated[int, Field(ge=2)] = 600
    """Of the student alone and of the distilled one: the same budget."""
    num_resamples: Annotated[int, Field(ge=1)] = 2000
    """Of the bootstrap."""
    gallery: Annotated[int, Field(ge=1)] = 12
    """Overlays shown in the report."""
    gate_images: Annotated[int, Field(ge=1)] = 400
    """Validation images that the bundle's builds are judged on, at most."""
    gate_auroc_loss: float = GateLimits().auroc_loss
    """What a build may lose of the mean AUROC."""


SHORT = QuickstartConfig(
    num_images=900,
    teacher_steps=40,
    student_steps=40,
    num_resamples=200,
    gallery=6,
    gate_images=60,
    # With 60 images the usual limit lies within the noise, and every further try of INT8 takes seconds.
    gate_auroc_loss=0.05,
)
"""The same path in about a minute: for trying that all of it works, not for figures."""


def phantom_config(config: QuickstartConfig) -> PhantomConfig:
    """What to simulate."""
    return PhantomConfig(
        images=config.num_images,
        size=config.size,
        seed=config.seed,
        prevalence_scale=config.prevalence_scale,
        label_noise=LabelNoise(strength=config.label_noise),
    )


def teacher_config(config: QuickstartConfig, manifest: Path) -> RunConfig:
    """The teacher: EfficientNet-Lite0 from its ImageNet weights, on the labelled patients."""
    return RunConfig(
        manifest=manifest,
        net=NetConfig(name="tf_efficientnet_lite0", weights="imagenet"),
        # Its ImageNet weights expect pixels in -1..1.
        preprocess=PreprocessSpec(size=config.size, mean=0.5, std=0.5),
        cohort=_cohort(config),
        augment=AugmentConfig(),
        objective=LABELS_ONLY,
        optim=_optim(config.teacher_steps, 1e-3),
        seed=config.seed,
    )


def alone_config(config: QuickstartConfig, manifest: Path) -> RunConfig:
    """The student alone, on the labelled patients."""
    return RunConfig(
        manifest=manifest,
        net=NetConfig(name="eeea-net-c2-fine-map", output_stride=16, pooling="log-sum-exp"),
        preprocess=PreprocessSpec(size=config.size),
        cohort=_cohort(config),
        augment=AugmentConfig(),
        objective=LABELS_ONLY,
        optim=_optim(config.student_steps, 5e-3),
        seed=config.seed,
    )


def distilled_config(config: QuickstartConfig, manifest: Path, teacher: Path) -> RunConfig:
    """The same student with the same budget and seed, taught by the teacher on all training patients."""
    return alone_config(config, manifest).model_copy(
        update={"augment": AUGMENT, "objective": DISTILLED, "teacher": RunTeacher(run=teacher)}
    )


def _cohort(config: QuickstartConfig) -> CohortConfig:
    return CohortConfig(labelled_fraction=config.labelled_fraction, labelled_seed=config.seed)


def _optim(steps: int, learning_rate: float) -> OptimConfig:
    return OptimConfig(
        steps=steps,
        learning_rate=learning_rate,
        warmup_steps=min(50, steps // 4),
        weight_decay=0.02,
        ema_decay=0.99,
        evaluate_every=max(1, steps // 4),
        checkpoint_every=max(1, steps // 8),
        patience=None,
    )
