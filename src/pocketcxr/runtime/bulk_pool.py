"""Worker processes under supervision: a file that hangs or kills its worker is refused, the worker replaced."""

import signal
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import NamedTuple

from pocketcxr.domain.errors import PocketCxrError, RefusalCode
from pocketcxr.domain.prediction import Refusal
from pocketcxr.runtime.bulk_worker import READY, Decoded, DecodeJob, serve
from pocketcxr.runtime.worker_process import WorkerProcess

_AHEAD = 2
"""Files that a worker has at hand: it goes on while its answer is dealt with."""
_START_SECONDS = 120.0


class Task(NamedTuple):
    """A file by its number."""

    number: int
    path: Path


class Answer(NamedTuple):
    """What became of a file."""

    number: int
    result: Decoded | Refusal


@dataclass(frozen=True)
class PoolSettings:
    """How many workers, and how far they may be ahead of the first file without an answer."""

    workers: int
    window: int


class _Worker:
    """One process, the files it was given, and the moment by which the first of them must be answered."""

    def __init__(self, job: DecodeJob, tasks: Iterable[Task] = ()) -> None:
        self._process = WorkerProcess(serve, job)
        self.connection = self._process.connection
        self.tasks = deque(tasks)
        self.is_ready = False
        self.deadline = time.monotonic() + _START_SECONDS
        self._seconds = job.limits.seconds

    def give(self, task: Task) -> None:
        if not self.tasks:
            self._start_clock()
        self.tasks.append(task)
        if self.is_ready:
            self._send(task)

    def receive(self) -> Answer | None:
        """The next answer; None when the worker only says that it is ready. Raises EOFError, OSError when it died."""
        message = self.connection.recv()
        if message == READY:
            self.is_ready = True
            self._start_clock()
            for task in self.tasks:
                self._send(task)
            return None
        self._start_clock()
        return Answer(self.tasks.popleft().number, message)

    def is_overdue(self) -> bool:
        is_waited_for = bool(self.tasks) or not self.is_ready
        return is_waited_for and time.monotonic() > self.deadline and not self.connection.poll()

    def end(self, patience_seconds: float = 0.0) -> int | None:
        """The exit code of the process, killed where it still runs after so many seconds."""
        return self._process.end(patience_seconds)

    def _start_clock(self) -> None:
        if self.is_ready:
            self.deadline = time.monotonic() + self._seconds

    def _send(self, task: Task) -> None:
        try:
            self.connection.send(task.path)
        except OSError:
            return  # it died; the next receive says so


class _Pool:
    """The workers, and the numbers of the files that have no answer yet, in ascending order."""

    def __init__(self, job: DecodeJob, settings: PoolSettings) -> None:
        self._job, self._window = job, settings.window
        self._workers = [_Worker(job) for _ in range(settings.workers)]
        self.unanswered: dict[int, None] = {}

    def hand_out(self, tasks: Iterator[Task]) -> None:
        """Gives the workers what they and the window can take."""
        while True:
            worker = min(self._workers, key=lambda worker: len(worker.tasks))
            first = next(iter(self.unanswered), None)
            is_far_ahead = first is not None and next(reversed(self.unanswered)) - first >= self._window
            if len(worker.tasks) >= _AHEAD or is_far_ahead:
                return
            task = next(tasks, None)
            if task is None:
                return
            self.unanswered[task.number] = None
            worker.give(task)

    def collect(self) -> Iterator[Answer]:
        """The answers that are there, at least one unless a worker got ready or was replaced; waits for them."""
        first_deadline = min(worker.deadline for worker in self._workers if worker.tasks or not worker.is_ready)
        timeout = max(first_deadline - time.monotonic(), 0.0)
        answering = wait([worker.connection for worker in self._workers], timeout)
        for place, worker in enumerate(self._workers):
            if worker.connection in answering:
                try:
                    answer = worker.receive()
                except (EOFError, OSError):
                    answer = self._replace(place, is_overdue=False)
            elif worker.is_overdue():
                answer = self._replace(place, is_overdue=True)
            else:
                answer = None
            if answer is not None:
                del self.unanswered[answer.number]
                yield answer

    def end(self) -> None:
        for worker in self._workers:
            worker.end()

    def _replace(self, place: int, is_overdue: bool) -> Answer | None:
        """The refusal of the file that the worker at `place` died of, once another worker has taken over the rest."""
        worker = self._workers[place]
        exit_code = worker.end(patience_seconds=0.0 if is_overdue else 5.0)
        if not worker.is_ready:
            raise PocketCxrError(
                f"a worker process cannot start (exit code {exit_code}); "
                "try --workers 1, and see what it wrote to stderr"
            )
        tasks = list(worker.tasks)
        self._workers[place] = _Worker(self._job, tasks[1:])
        if not tasks:
            return None
        number, path = tasks[0]
        return Answer(number, _refusal(path, exit_code, None if not is_overdue else self._job.limits.seconds))


def decode_files(tasks: Iterator[Task], job: DecodeJob, settings: PoolSettings) -> Iterator[Answer]:
    """The answer to every task as soon as it is there, not in order.

    Tasks must come in ascending order of their numbers; no file is begun that is more than `window` after the first one
    without an answer. Raises PocketCxrError when worker processes cannot be started.
    """
    pool = _Pool(job, settings)
    try:
        while True:
            pool.hand_out(tasks)
            if not pool.unanswered:
                return
            yield from pool.collect()
    finally:
        pool.end()


def _refusal(path: Path, exit_code: int | None, seconds: float | None) -> Refusal:
    if seconds is not None:
        what = f"decoding took more than {seconds:g} s and was stopped - allow more with --seconds, or convert it"
        return Refusal(str(path), RefusalCode.TIMED_OUT, f"{path}: {what}")
    if sys.platform != "win32" and exit_code == -signal.SIGKILL:
        what = (
            "its worker was killed, most likely by the system for lack of memory - use fewer workers, or scale it down"
        )
        return Refusal(str(path), RefusalCode.TOO_MUCH_MEMORY, f"{path}: {what}")
    what = f"the decoder crashed (exit code {exit_code}) - convert it, and report this"
    return Refusal(str(path), RefusalCode.DECODER_CRASHED, f"{path}: {what}")
