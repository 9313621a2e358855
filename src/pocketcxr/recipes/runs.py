"""Using a run that training left behind."""

from dataclasses import dataclass
from pathlib import Path

from pocketcxr.domain.errors import CheckpointError
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.build import build
from pocketcxr.models.heads import Reference
from pocketcxr.models.outputs import Net
from pocketcxr.recipes.config import load_config
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.train.run_dir import RunDir, existing_run, read_environment
from pocketcxr.train.tensors import copy_into
from pocketcxr.train.weights import ModelHeader, read_weights


@dataclass(frozen=True)
class LoadedRun:
    """A trained net, ready to use."""

    run: RunDir
    net: Net
    """In eval mode, on the CPU."""
    header: ModelHeader
    config: RunConfig

    @property
    def spec(self) -> PreprocessSpec:
        """How images become the net's input."""
        return self.header.preprocess

    @property
    def findings(self) -> tuple[str, ...]:
        """What the outputs mean, in order."""
        return self.header.findings


def load_run(root: Path) -> LoadedRun:
    """The net of the run's best.safetensors with all that belongs to it.

    Raises UsageError where `root` is no run, CheckpointError where it has no weights yet or they cannot be read.
    """
    run = existing_run(root)
    config = load_config(RunConfig, run.config)
    if not run.best.exists():
        raise CheckpointError(f"{root} has no best.safetensors yet: let its training reach an evaluation first")
    header, tensors, measured = read_weights(run.best)
    net = build_net(header)
    copy_into(net.state_dict(), tensors, str(run.best))
    reference = Reference.of(net)
    if measured is not None and reference is not None:
        reference.put(measured)
    net.eval()
    return LoadedRun(run, net, header, config)


def build_net(header: ModelHeader) -> Net:
    """The net that `header` describes, with weights of no meaning yet."""
    without_weights = header.net.model_copy(update={"weights": "none"})
    return build(without_weights, num_findings=len(header.findings))


def train_summary(root: Path) -> dict[str, object]:
    """What env.json of the run says: versions, machine, times, how training ended.

    Raises UsageError where `root` is no run.
    """
    return read_environment(existing_run(root))
