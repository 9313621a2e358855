"""The requests in flight: a bounded number of them, decoded in processes, scored in as many threads.

A request has a slot before its body is read, so that memory is bounded by the number of slots times the largest body.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from starlette.requests import ClientDisconnect

from pocketcxr.apps.web.api_answer import answer_json
from pocketcxr.apps.web.api_decoder import Decoder
from pocketcxr.apps.web.api_models import PredictQuery
from pocketcxr.apps.web.api_problems import ProblemCode, RequestProblemError
from pocketcxr.apps.web.api_worker import DecodeOptions
from pocketcxr.domain.errors import PocketCxrError
from pocketcxr.domain.prediction import Refusal
from pocketcxr.runtime.bulk_worker import DecodeJob, Limits
from pocketcxr.runtime.card import PREPROCESS
from pocketcxr.runtime.input_gate import GATE
from pocketcxr.runtime.session import Engine


@dataclass(frozen=True)
class ApiSettings:
    """How much the API takes on."""

    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Decoding processes, and files that are scored at once."""
    max_waiting: int = 16
    """Requests that may wait for a worker; more are told to come back."""
    max_body_bytes: int = 64 << 20
    """The largest chest DICOM files have about 40 million bytes."""
    upload_seconds: float = 60.0
    """By when a body must have arrived."""
    limits: Limits = field(default_factory=Limits)
    """What decoding one file may take."""
    threads: int = 1
    """Of the model, for each file that is scored."""

    @property
    def capacity(self) -> int:
        """The most requests in flight."""
        return self.workers + self.max_waiting


Scores = bytes | Refusal
"""An answer's JSON, or why there is none."""


class Scoring:
    """What is in flight. All but `_scored` belongs to the event loop's thread."""

    def __init__(self, engine: Engine, settings: ApiSettings) -> None:
        self._engine, self._settings = engine, settings
        self._decoders: SimpleQueue[Decoder] = SimpleQueue()
        self._threads: ThreadPoolExecutor | None = None
        self._jobs: set[Future[Scores]] = set()
        self._is_empty = asyncio.Event()
        self.in_flight = 0
        self.is_accepting = False
        """Whether requests are taken on: not before the workers are ready, not after shutting down has begun."""

    @property
    def queued(self) -> int:
        """Uploads that are read and wait for a worker."""
        return sum(not (job.running() or job.done()) for job in self._jobs)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Requests are taken on inside; the end waits until all of them are answered."""
        settings, files = self._settings, self._engine.bundle.files
        job = DecodeJob(files[PREPROCESS], settings.limits, keeps_radiograph=True, gate=files.get(GATE))
        decoders = [Decoder(job) for _ in range(settings.workers)]
        try:
            with ThreadPoolExecutor(settings.workers, thread_name_prefix="scoring") as self._threads:
                await _all_ready(decoders, self._threads)
                self._decoders = SimpleQueue()
                for decoder in decoders:
                    self._decoders.put(decoder)
                self._is_empty = asyncio.Event()
                self._is_empty.set()
                self.is_accepting = True
                try:
                    yield
                finally:
                    self.is_accepting = False
                    await self._is_empty.wait()
        finally:
            for decoder in decoders:
                decoder.end()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """A place among those in flight. Raises RequestProblemError when there is none."""
        if not self.is_accepting:
            raise _unavailable("the server is starting or shutting down")
        if self.in_flight >= self._settings.capacity:
            raise RequestProblemError(
                ProblemCode.TOO_MANY_REQUESTS, f"{self.in_flight} requests are in flight, no more are taken; try later"
            )
        self.in_flight += 1
        self._is_empty.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if self.in_flight == 0:
                self._is_empty.set()

    async def scores(self, data: bytearray, query: PredictQuery, left: Coroutine[None, None, None]) -> Scores:
        """The upload's scores, once a worker has got to it; for the holder of a slot.

        When `left` ends first, an upload that nobody has begun is dropped. Raises RequestProblemError when no worker
        can be started, ClientDisconnect for a dropped upload.
        """
        assert self._threads is not None  # slots are given while running, which waits for their end
        job = self._threads.submit(self._scored, data, query)
        answer, leaving = asyncio.wrap_future(job), asyncio.create_task(left)
        waited_for: tuple[asyncio.Future[Any], ...] = (answer, leaving)
        self._jobs.add(job)
        try:
            await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
            if job.cancel():
                raise ClientDisconnect
            return await answer
        finally:
            self._jobs.discard(job)
            leaving.cancel()

    def _scored(self, data: bytearray, query: PredictQuery) -> Scores:
        decoder = self._decoders.get()  # there are as many as threads
        try:
            decoded = decoder.decode(data, DecodeOptions(query.input_gate, query.heatmaps != "none"))
        except PocketCxrError as error:
            raise _unavailable(str(error)) from error
        finally:
            self._decoders.put(decoder)
        return decoded if isinstance(decoded, Refusal) else answer_json(self._engine, decoded, query)


async def _all_ready(decoders: Sequence[Decoder], threads: ThreadPoolExecutor) -> None:
    """Returns when all of them can decode. Raises PocketCxrError when one cannot, after the others could."""
    loop = asyncio.get_running_loop()
    starts = [loop.run_in_executor(threads, decoder.wait_until_ready) for decoder in decoders]
    for failure in await asyncio.gather(*starts, return_exceptions=True):
        if failure is not None:
            raise failure


def _unavailable(why: str) -> RequestProblemError:
    return RequestProblemError(ProblemCode.UNAVAILABLE, f"{why}; try again later")
