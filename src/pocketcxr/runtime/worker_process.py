"""One process that works for this one, at the other end of a pipe."""

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeVar

from pocketcxr.domain.interrupts import interrupts_waiting

_Job = TypeVar("_Job")


class WorkerProcess:
    """A process that runs serve(connection, job), begun at once; a terminal's Ctrl-C does not reach it."""

    def __init__(self, serve: Callable[[Connection, _Job], None], job: _Job) -> None:
        # Spawned, not forked: the caller has threads, and forked copies of their locks hang.
        context = get_context("spawn")
        self.connection, other = context.Pipe()
        self._process: BaseProcess = context.Process(target=serve, args=(other, job), daemon=True)
        with interrupts_waiting():
            self._process.start()
        other.close()

    @property
    def pid(self) -> int | None:
        """The system's number of the process."""
        return self._process.pid

    def end(self, patience_seconds: float = 0.0) -> int | None:
        """The exit code of the process, killed where it still runs after so many seconds."""
        self.connection.close()
        self._process.join(patience_seconds)
        self._process.kill()
        self._process.join()
        return self._process.exitcode
