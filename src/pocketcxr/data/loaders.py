"""Batches computed ahead by threads while the loop is busy with the one before.

A batch is a pure function of its step, so it does not matter who computes it and when: a run is the same with any
number of workers, bit for bit.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Annotated

import torch
from pydantic import BaseModel, Field

from pocketcxr.data.batches import Batch

_MOST_AUTOMATIC = 4
"""Threads share the interpreter; more than a few only wait for each other."""

MakeBatch = Callable[[int], Batch]


class LoaderConfig(BaseModel, frozen=True, extra="forbid"):
    """Who computes batches. It changes how long a run takes and nothing else: a run may go on with other numbers."""

    num_workers: Annotated[int, Field(ge=0, le=64)] | None = None
    """Threads that compute batches ahead; 0 computes each when it is asked for; None chooses by the device."""
    prefetch: Annotated[int, Field(ge=1, le=64)] = 2
    """Batches that each worker may be ahead; they wait in memory."""


def pick_workers(config: LoaderConfig, device: torch.device) -> int:
    """The number of threads. Chosen by itself: none where the net computes on the same cores, a few beside a GPU."""
    if config.num_workers is not None:
        return config.num_workers
    # On the CPU a worker takes from the step what it saves (docs/explanation/image-cache.md has the measurement).
    return 0 if device.type == "cpu" else min(_MOST_AUTOMATIC, max(1, (os.cpu_count() or 1) - 1))


@contextmanager
def batches_ahead(make: MakeBatch, steps: Iterable[int], num_workers: int, prefetch: int) -> Iterator[Iterator[Batch]]:
    """The batches of `steps`, in order. An error in a worker is raised where its batch is due, with its traceback.

    Leaving the context, for whatever reason, ends the threads: they finish the batch they are at and no other.
    """
    if num_workers == 0:
        yield map(make, steps)
        return
    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="batches")
    try:
        yield _in_order(pool, make, iter(steps), num_workers * prefetch)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(pool: ThreadPoolExecutor, make: MakeBatch, steps: Iterator[int], num_ahead: int) -> Iterator[Batch]:
    waiting: deque[Future[Batch]] = deque(pool.submit(make, step) for step in islice(steps, num_ahead))
    while waiting:
        batch = waiting.popleft().result()
        waiting.extend(pool.submit(make, step) for step in islice(steps, 1))
        yield batch
