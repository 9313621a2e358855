"""Everything that decides how one training goes: what config.yaml of a run holds."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from pocketcxr.data.augment import AugmentConfig
from pocketcxr.data.batches import BatchConfig
from pocketcxr.data.loaders import LoaderConfig
from pocketcxr.distill.config import FeatureTerm, ObjectiveConfig
from pocketcxr.distill.objectives import learns_from_labels, needs_teacher
from pocketcxr.distill.self_teacher import SelfTeacher, why_not_self_taught
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.study import ViewPosition
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.manifest.labels import LabelPolicy
from pocketcxr.models.config import NetConfig
from pocketcxr.recipes.teacher_config import TeacherConfig, is_cached, why_no_features
from pocketcxr.train.devices import DeviceName, Precision
from pocketcxr.train.loggers import LoggerName
from pocketcxr.train.optim import OptimConfig

Seed = Annotated[int, Field(ge=0, lt=2**63)]


class CohortConfig(BaseModel, frozen=True, extra="forbid"):
    """Which images of the manifest take part, and whose labels are seen."""

    view_positions: tuple[ViewPosition, ...] | None = None
    """Only these; None takes all."""
    labelled_fraction: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the training patients whose labels are seen. The others' images serve distillation, or are left out.
    0: a teacher alone teaches."""
    labelled_seed: Seed = 0
    """Chooses them. Apart from `seed`, so that teacher and students of any seed see the same labels."""
    labelled_share: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of each batch drawn from images with labels; None draws all images alike."""
    unlabelled: tuple[Path, ...] = ()
    """Further manifests, whose images a teacher speaks of. Their labels are not looked at; without a teacher they are
    left out."""
    unlabelled_splits: Literal["train", "all"] = "train"
    """Which images of these: 'all' takes those for validation and test too."""
    cache_folder: Path | None = None
    """Where decoded images and teachers' answers are kept; None is `cache` beside the run."""


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
    loader: LoaderConfig = LoaderConfig()
    """May differ when a run is gone on with, like `log`."""
    log: tuple[LoggerName, ...] = ()
    """Where the metrics can be watched, beside metrics.jsonl; see docs/how-to/log-to-tensorboard-or-mlflow.md."""
    seed: Seed = 0
    """Of weights, batches, augmentation and drop-out."""
    device: DeviceName = "auto"
    precision: Precision = "auto"
    """"auto" is bf16 on GPUs that compute it, else fp32; fp16 needs a CUDA GPU."""
    compile: bool = False
    """Let torch.compile make the net's training pass faster; it takes a minute or two first, and a C++ compiler."""

    @property
    def batches(self) -> BatchConfig:
        """How batches are drawn."""
        return BatchConfig(
            batch_size=self.optim.batch_size,
            labelled_share=self.cohort.labelled_share,
            augment=self.augment,
            seed=self.seed,
        )

    @property
    def learns_from_labels(self) -> bool:
        """Whether labels of the training images are used at all."""
        mixes = isinstance(self.teacher, SelfTeacher) and self.teacher.mixes_labels
        return mixes or learns_from_labels(self.objective)

    @model_validator(mode="after")
    def _teacher_fits_objective(self) -> Self:
        if needs_teacher(self.objective) and self.teacher is None:
            kinds = ", ".join(term.kind for term in self.objective.terms)
            raise ValueError(f"the objective ({kinds}) learns from a teacher: give teacher.kind (run) and teacher.run")
        if self.teacher is not None and not needs_teacher(self.objective):
            raise ValueError(
                "there is a teacher, but no term of the objective learns from it: add mld, or leave teacher out"
            )
        if self.teacher is not None and is_cached(self.teacher) and self.augment.num_views is None:
            raise ValueError(
                "a teacher cache needs a number of views: give augment.num_views (4, say) or teacher.cache: false"
            )
        if len(set(self.findings)) != len(self.findings):
            raise ValueError("findings names one twice")
        return self

    @model_validator(mode="after")
    def _student_has_something_to_learn(self) -> Self:
        if isinstance(self.teacher, SelfTeacher):
            reason = why_not_self_taught(self.teacher, self.objective, self.optim.steps, self.augment.moves)
            if reason is not None:
                raise ValueError(f"teacher.kind is self: {reason}")
        if self.cohort.labelled_fraction == 0 and self.learns_from_labels:
            raise ValueError(
                "cohort.labelled_fraction is 0, so that no label is seen, but the objective or the student as its own"
                " teacher learns from labels: leave terms on labels out (soft-bce alone, say) and give another teacher,"
                " or see some labels"
            )
        return self

    @model_validator(mode="after")
    def _teacher_has_features(self) -> Self:
        kinds = [term.kind for term in self.objective.terms if isinstance(term, FeatureTerm)]
        reason = None if self.teacher is None else why_no_features(self.teacher)
        if kinds and reason is not None:
            raise ValueError(
                f"{', '.join(kinds)} needs features; {reason}: leave the term out, or give a teacher of kind run or net"
            )
        return self
