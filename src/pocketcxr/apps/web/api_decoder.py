"""A decoding process under supervision: what kills it or takes too long is refused, the process replaced."""

import atexit
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pocketcxr.apps.web.api_worker import NAMELESS, DecodedUpload, DecodeOptions, UploadJob, serve_uploads
from pocketcxr.domain.errors import PocketCxrError, RefusalCode
from pocketcxr.domain.prediction import Refusal
from pocketcxr.runtime.bulk_worker import READY, DecodeJob
from pocketcxr.runtime.worker_process import WorkerProcess

_START_SECONDS = 120.0
_START_ATTEMPTS = 2
_DEATH_SECONDS = 5.0
"""How long a process that closed its pipe may take to be gone."""

_MESSAGES = {
    RefusalCode.TOO_MUCH_MEMORY: "decoding takes more memory than a file may - scale it down",
    RefusalCode.DECODER_CRASHED: "the decoder failed in an unforeseen way - convert it, and report this",
}
"""In place of what bulk scoring says, which speaks of its options or of the server's insides."""


@dataclass
class _Running:
    """A process, the folder it writes uploads to where it needs one, and whether it has said that it is ready."""

    process: WorkerProcess
    folder: "TemporaryDirectory[str] | None"
    is_ready: bool = False

    def end(self, patience_seconds: float = 0.0) -> int | None:
        exit_code = self.process.end(patience_seconds)
        if self.folder is not None:
            self.folder.cleanup()
        return exit_code


class Decoder:
    """Decodes one upload at a time in a process of its own; to be used by one thread at a time."""

    def __init__(self, job: DecodeJob) -> None:
        self._job = job
        self._running = self._begun()
        # The process takes no notice of SIGTERM, by which multiprocessing would end it when this one exits.
        atexit.register(self.end)

    @property
    def pid(self) -> int | None:
        """The system's number of the process as it is now."""
        return self._running.process.pid

    def wait_until_ready(self) -> None:
        """Returns when the process can decode; begins another where it died. Raises PocketCxrError when none can."""
        for attempt in range(_START_ATTEMPTS):
            if attempt > 0:
                self._replace()
            running = self._running
            connection = running.process.connection
            try:
                if running.is_ready:
                    if not connection.poll():
                        return  # a process that died while idle would have something to say: its end
                elif connection.poll(_START_SECONDS) and connection.recv() == READY:
                    running.is_ready = True
                    return
            except (EOFError, OSError):
                continue
        raise PocketCxrError("a decoding process cannot start; see what it wrote to the server's stderr")

    def decode(self, data: bytearray, options: DecodeOptions) -> DecodedUpload | Refusal:
        """The upload ready for the model, or why it is not. Raises PocketCxrError when no process can be started."""
        self.wait_until_ready()
        connection, limits = self._running.process.connection, self._job.limits
        try:
            connection.send(options)
            connection.send_bytes(data)
            if not connection.poll(limits.seconds):
                self._replace()
                what = f"decoding took more than {limits.seconds:g} s and was stopped - convert it"
                return Refusal(NAMELESS, RefusalCode.TIMED_OUT, what)
            answer: DecodedUpload | Refusal = connection.recv()
        except (EOFError, OSError):
            exit_code = self._replace(_DEATH_SECONDS)
            was_killed = sys.platform != "win32" and exit_code == -signal.SIGKILL
            return _refusal(RefusalCode.TOO_MUCH_MEMORY if was_killed else RefusalCode.DECODER_CRASHED)
        if isinstance(answer, Refusal) and answer.code in _MESSAGES:
            return _refusal(answer.code)
        return answer

    def end(self) -> None:
        """Ends the process."""
        atexit.unregister(self.end)
        self._running.end()

    def _begun(self) -> _Running:
        # A process that is killed cannot delete its file: what is written is deleted from here.
        folder = None if sys.platform == "linux" else TemporaryDirectory(prefix="pocketcxr-")
        path = None if folder is None else Path(folder.name)
        return _Running(WorkerProcess(serve_uploads, UploadJob(self._job, path)), folder)

    def _replace(self, patience_seconds: float = 0.0) -> int | None:
        """The exit code of the process, in whose place another one begins at once."""
        exit_code = self._running.end(patience_seconds)
        self._running = self._begun()
        return exit_code


def _refusal(code: RefusalCode) -> Refusal:
    return Refusal(NAMELESS, code, _MESSAGES[code])
