"""Ctrl-C that waits for the end of a step, so that the checkpoint it leaves is exact."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.is_requested = False


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """The first Ctrl-C inside only sets `is_requested`; a second one raises KeyboardInterrupt at once.

    Signals reach the main thread only: elsewhere nothing is changed.
    """
    interrupt = Interrupt()

    def on_interrupt(signal_number: int, frame: FrameType | None) -> None:
        if interrupt.is_requested:
            signal.default_int_handler(signal_number, frame)
        interrupt.is_requested = True

    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, previous)
