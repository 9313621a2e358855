"""Draws images on several processes that stop when they are told to, and never outlive the one that started them."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.synchronize import Event

from pocketcxr.domain.errors import PocketCxrError
from pocketcxr.domain.interrupts import interrupts_waiting
from pocketcxr.domain.progress import Progress
from pocketcxr.phantom.drawing import Job, draw
from pocketcxr.phantom.picture import Drawn
from pocketcxr.phantom.plan import PlannedImage

STAGE = "simulating"
MOST_IMAGES_A_CHUNK = 32
PIXELS_A_CHUNK = 2**20
"""A process reports after about so many pixels, a second's work, so that the bar moves at large sizes too."""

_stop: Event | None = None
"""In a worker: set when no further image is wanted."""


class _Bar:
    """Counts images and tells how many come in a second."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress, self._done, self._began = total, progress, 0, time.monotonic()
        progress(STAGE, 0, total)

    def add(self, num_images: int) -> None:
        self._done += num_images
        rate = self._done / max(time.monotonic() - self._began, 1e-6)
        self._progress(STAGE, self._done, self._total, {"images/s": rate})


def draw_all(job: Job, images: Sequence[PlannedImage], workers: int, progress: Progress) -> list[Drawn]:
    """Draws every image that is not there yet; result [i] belongs to images[i], whatever the number of workers."""
    bar = _Bar(len(images), progress)
    chunks = by_patient(images, images_a_chunk(job.config.size))
    if min(workers, len(chunks)) == 1:
        drawn = []
        for image in images:
            drawn.append(draw(job, image))
            bar.add(1)
        return drawn
    results = _in_processes(job, chunks, workers, bar)
    return [truth for number in range(len(chunks)) for truth in results[number]]


def images_a_chunk(size: int) -> int:
    """How many images of size x size a process draws between two reports."""
    return min(max(PIXELS_A_CHUNK // size**2, 1), MOST_IMAGES_A_CHUNK)


def by_patient(images: Sequence[PlannedImage], least: int) -> list[list[PlannedImage]]:
    """The images in their order, in chunks of whole patients with at least `least` images (but the last)."""
    chunks: list[list[PlannedImage]] = [[]]
    for image in images:
        last = chunks[-1]
        if len(last) >= least and last[-1].patient != image.patient:
            chunks.append([image])
        else:
            last.append(image)
    return chunks


def _in_processes(job: Job, chunks: Sequence[list[PlannedImage]], workers: int, bar: _Bar) -> dict[int, list[Drawn]]:
    """A chunk's number -> its images' truth."""
    # Spawned, not forked: the caller may have threads (torch, a progress bar), and forked copies of their locks hang.
    context = get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(
        min(workers, len(chunks)), mp_context=context, initializer=_start_worker, initargs=(stop,)
    )
    results = {}
    try:
        with interrupts_waiting():
            numbers = {pool.submit(_draw_chunk, job, chunk): number for number, chunk in enumerate(chunks)}
        for future in as_completed(numbers):
            results[numbers[future]] = future.result()
            bar.add(len(chunks[numbers[future]]))
    except BrokenProcessPool as error:
        raise PocketCxrError(
            f"{job.out}: a worker process died, perhaps for lack of memory; the same command goes on where it stopped, "
            "and needs less memory with fewer workers"
        ) from error
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
    return results


def _start_worker(stop: Event) -> None:
    global _stop  # noqa: PLW0603 - an Event can be handed to a process only as it starts
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker waiting for work does not notice that its parent was killed: nobody else would ever end it."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _draw_chunk(job: Job, chunk: list[PlannedImage]) -> list[Drawn]:
    drawn = []
    for image in chunk:
        if _stop is not None and _stop.is_set():
            break
        drawn.append(draw(job, image))
    return drawn
