"""The simulated data set: config -> a folder in an official layout, which `prepare` reads like the real one."""

from pathlib import Path

from pocketcxr.domain.progress import Progress, silent
from pocketcxr.phantom import write
from pocketcxr.phantom.config import PhantomConfig


def simulate(config: PhantomConfig, out: Path, workers: int = 1, progress: Progress = silent) -> Path:
    """`out` with the data set of `config` in it; see phantom.write.simulate for what is reused and what is refused."""
    return write.simulate(out, config, workers, progress)
