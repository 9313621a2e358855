"""Ctrl-C and the processes that one starts."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_waiting() -> Iterator[None]:
    """Holds Ctrl-C back until its end; a process started inside inherits that for life.

    A terminal's Ctrl-C reaches every process and would draw a traceback from each; their parent ends them.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
