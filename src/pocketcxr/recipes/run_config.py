"""Everything that decides how one training goes: what config.yaml of a run holds."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from pocketcxr.data.augment import AugmentConfig
from pocketcxr.data.batches import BatchConfig
from pocketcxr.distill.config import ObjectiveConfig
from pocketcxr.distill.objectives import needs_teacher
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.study import ViewPosition
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.manifest.labels import LabelPolicy
from pocketcxr.models.config import NetConfig
from pocketcxr.train.devices import DeviceName, Precision
from pocketcxr.train.optim import OptimConfig

Seed = Annotated[int, Field(ge=0, lt=2**63)]


class CohortConfig(BaseModel, frozen=True, extra="forbid"):
    """Which images of the manifest take part, and whose labels are seen."""

    view_positions: tuple[ViewPosition, ...] | None = None
    """Only these; None takes all."""
    labelled_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the training patients whose labels are seen. The others' images serve distillation, or are left out."""
    labelled_seed: Seed = 0
    """Chooses them. Apart from `seed`, so that teacher and students of any seed see the same labels."""
    labelled_share: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of each batch drawn from images with labels; None draws all images alike."""
    cache_folder: Path | None = None
    """Where decoded images and teachers' answers are kept; None is `cache` beside the run."""


class TeacherConfig(BaseModel, frozen=True, extra="forbid"):
    """Who teaches: an earlier run, or a net by name that comes with its weights."""

    run: Path | None = None
    """A run of pocketcxr train or distill; it brings its preprocessing and findings."""
    net: NetConfig | None = None
    """A net whose weights are published, instead of a run."""
    preprocess: PreprocessSpec = PreprocessSpec()
    """What that net is used to."""
    findings: tuple[str, ...] = ()
    """What that net's outputs mean, in order."""
    cache: bool = True
    """Ask it once for every image and view and keep the answers; needs augment.num_views."""

    @model_validator(mode="after")
    def _is_one_teacher(self) -> Self:
        if (self.run is None) == (self.net is None):
            raise ValueError("give either run (a folder) or net (a name), not both and not neither")
        if self.net is not None and not self.findings:
            raise ValueError("a teacher by net needs findings: what its outputs mean, in order")
        return self


class RunConfig(BaseModel, frozen=True, extra="forbid"):
    """One training: teacher, student alone and distilled student differ in these settings only."""

    manifest: Path
    """Made by pocketcxr prepare."""
    findings: Annotated[tuple[str, ...], Field(min_length=1)] = CHESTXRAY14
    """What is learnt, in the order of the outputs."""
    net: NetConfig
    preprocess: PreprocessSpec = PreprocessSpec()
    labels: LabelPolicy = LabelPolicy()
    cohort: CohortConfig = CohortConfig()
    augment: AugmentConfig = AugmentConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    teacher: TeacherConfig | None = None
    optim: OptimConfig = OptimConfig()
    seed: Seed = 0
    """Of weights, batches, augmentation and drop-out."""
    device: DeviceName = "auto"
    precision: Precision = "auto"
    """"auto" is bf16 on GPUs that compute it, else fp32."""

    @property
    def batches(self) -> BatchConfig:
        """How batches are drawn."""
        return BatchConfig(
            batch_size=self.optim.batch_size,
            labelled_share=self.cohort.labelled_share,
            augment=self.augment,
            seed=self.seed,
        )

    @model_validator(mode="after")
    def _teacher_fits_objective(self) -> Self:
        if needs_teacher(self.objective) and self.teacher is None:
            kinds = ", ".join(term.kind for term in self.objective.terms)
            raise ValueError(f"the objective ({kinds}) learns from a teacher: give teacher.run")
        if self.teacher is not None and not needs_teacher(self.objective):
            raise ValueError(
                "there is a teacher, but no term of the objective learns from it: add mld, or leave teacher out"
            )
        if self.teacher is not None and self.teacher.cache and self.augment.num_views is None:
            raise ValueError(
                "a teacher cache needs a number of views: give augment.num_views (4, say) or teacher.cache: false"
            )
        if len(set(self.findings)) != len(self.findings):
            raise ValueError("findings names one twice")
        return self
