"""What a training is given."""

from dataclasses import dataclass, field

from torch import nn

from pocketcxr.data.batches import BatchConfig, Share
from pocketcxr.data.dataset import Cohort
from pocketcxr.data.loaders import LoaderConfig
from pocketcxr.distill.config import ObjectiveConfig
from pocketcxr.distill.self_teacher import SelfLessons
from pocketcxr.distill.teacher import TeacherSource
from pocketcxr.models.outputs import Net
from pocketcxr.train.loggers import LoggerName
from pocketcxr.train.optim import OptimConfig
from pocketcxr.train.team import Team
from pocketcxr.train.weights import ModelHeader


@dataclass(frozen=True)
class FitJob:
    """All that one training needs. Training changes `net` and `adapters` in place."""

    net: Net
    training: Cohort
    validation: Cohort
    objective: ObjectiveConfig
    optim: OptimConfig
    batches: BatchConfig
    header: ModelHeader
    """Of the weights to keep; step and AUROC are filled in."""
    inputs_digest: str
    """SHA-256 of what the run reads; a resumed run must have the same."""
    team: Team
    """Who trains, on which device, with which precision: of `open_team`."""
    loader: LoaderConfig = field(default_factory=LoaderConfig)
    teacher: TeacherSource | SelfLessons | None = None
    adapters: nn.ModuleDict = field(default_factory=nn.ModuleDict)
    """Of distill.objectives.build_adapters: optimised and checkpointed, never exported."""
    is_compiled: bool = False
    """Whether torch.compile makes the net's training pass faster."""
    log: tuple[LoggerName, ...] = ()
    """Who is told of every row of metrics, beside metrics.jsonl."""

    @property
    def share(self) -> Share:
        """This process's part of every batch."""
        return Share(self.team.rank, self.team.size)
