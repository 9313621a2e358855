"""Training with a teacher: the same recipe, for those who say what they want."""

from pathlib import Path

from pocketcxr.domain.errors import ConfigError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.train import train


def distill(config: RunConfig, out: Path, progress: Progress = silent) -> Path:
    """The run at `out` of a student that learnt from config.teacher.

    Raises ConfigError without a teacher, else as `train`.
    """
    if config.teacher is None:
        raise ConfigError(
            "distilling needs a teacher: give one in the file or with --set teacher.kind=run --set teacher.run=RUN,"
            " or use train"
        )
    return train(config, out, progress)
