"""A whole simulated data set on disk: plan, images, tables; resumable, and the same on any number of workers."""

import logging
from pathlib import Path

from pocketcxr.domain.errors import PocketCxrError, UsageError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.phantom import notice
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.drawing import Job
from pocketcxr.phantom.layouts.choice import layout_named
from pocketcxr.phantom.picture import PART_SUFFIX
from pocketcxr.phantom.plan import plan
from pocketcxr.phantom.workers import STAGE, draw_all

logger = logging.getLogger(__name__)


def simulate(out: Path, config: PhantomConfig, workers: int = 1, progress: Progress = silent) -> Path:
    """`out`, with the data set of `config` in it. A finished one is used as it is, an unfinished one is finished.

    Raises UsageError where the folder holds anything else, PocketCxrError where it cannot be written.
    """
    if workers < 1:
        raise UsageError(f"workers is {workers}; ask for 1 or more")
    try:
        if notice.claim(out, config):
            logger.info("%s holds this simulation already", out)
            progress(STAGE, config.images, config.images)
            return out
        images = plan(config, progress)
        drawn = draw_all(Job(out, config), images, workers, progress)
        for part in list(out.rglob(f"*{PART_SUFFIX}")):
            part.unlink()
        layout_named(config.layout).write_tables(out, config, images, drawn)
        notice.finish(out, config)
    except OSError as error:
        raise PocketCxrError(
            f"{error.filename or out}: cannot write ({error.strerror or error}); make room or name another folder; "
            "the same command goes on where it stopped"
        ) from error
    return out
