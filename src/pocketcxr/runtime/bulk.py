"""Scoring a folder or a table of files of any length: decoded in worker processes, scored in batches, a row a file.

Batch k holds the readable ones of files k * size ... (k + 1) * size - 1: which images go through the model together
does not depend on the number of workers, on which of them is faster, or on interruptions.
"""

from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pocketcxr._version import __version__
from pocketcxr.domain.errors import EmptyCohortError, PocketCxrError, RefusalCode
from pocketcxr.domain.prediction import Prediction, Refusal
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.runtime.bulk_files import Listed, Source
from pocketcxr.runtime.bulk_pool import PoolSettings, Task, decode_files
from pocketcxr.runtime.bulk_results import FIXED_COLUMNS, SCORED, Row, RunFacts, check_run, keep_rows, opened_rows
from pocketcxr.runtime.bulk_worker import Decoded, DecodeJob, Limits
from pocketcxr.runtime.card import PREPROCESS
from pocketcxr.runtime.input_gate import GATE
from pocketcxr.runtime.pictures import picture, picture_name, strongest
from pocketcxr.runtime.predict import Scored, finding_scores
from pocketcxr.runtime.score_columns import score_columns
from pocketcxr.runtime.session import Engine

STAGE = "scoring"
_BATCHES_AHEAD = 4
"""How many batches are decoded while the first of them waits for a slow file."""
_BATCHES_AHEAD_WITH_RADIOGRAPHS = 2
_UNSCORED_BATCHES = 2
"""Whole batches that wait for the model before reading waits for it."""


@dataclass(frozen=True)
class Pictures:
    """Where heatmap pictures go, and how many findings a file get one; None: all."""

    folder: Path
    top: int | None


@dataclass(frozen=True)
class BulkSettings:
    """How a bulk run is done. Only `workers` may differ when it is taken up again."""

    workers: int = 1
    batch_size: int = 16
    limits: Limits = field(default_factory=Limits)
    pictures: Pictures | None = None
    checks_input: bool = True
    """Whether the bundle's input gate is asked, where it has one."""


class Summary(NamedTuple):
    """What a run came to, the rows of earlier runs included."""

    num_files: int
    num_kept: int
    """Rows that an earlier run had written."""
    counts: Counter[str]
    """Files by "scored" or refusal code."""


@dataclass(frozen=True, eq=False)
class _Block:
    """The files of one batch with what is known of them."""

    files: tuple[Listed, ...]
    results: dict[int, Decoded | Refusal]
    """By place in the block."""

    @property
    def is_whole(self) -> bool:
        return len(self.results) == len(self.files)


def score_files(
    engine: Engine, source: Source, out: Path, settings: BulkSettings, progress: Progress = silent
) -> Summary:
    """Writes a row for every file of the source to the CSV file `out`, going on where an earlier run stopped.

    Raises EmptyCohortError without files, UsageError when `out` belongs to another run, PocketCxrError when the disk is
    full.
    """
    facts = _facts(engine, source, settings)
    total = sum(1 for _ in source.files())
    if total == 0:
        raise EmptyCohortError(f"{source.path}: holds no file to score (hidden ones do not count); check the path")
    check_run(out, facts)
    with opened_rows(out) as file:
        kept = keep_rows(file, source.files(), facts, total)
        counts = Counter(kept.counts)
        done = kept.num_rows
        progress(STAGE, done, total)
        for rows in _scored_blocks(engine, islice(source.files(), done, None), settings):
            lines = "".join(row.line(engine.bundle.card) for row in rows)
            file.write(lines.encode())
            file.flush()
            counts.update(row.result.code.value if isinstance(row.result, Refusal) else SCORED for row in rows)
            done += len(rows)
            progress(STAGE, done, total, {"refused": float(done - counts[SCORED])})
    return Summary(done, kept.num_rows, counts)


def _facts(engine: Engine, source: Source, settings: BulkSettings) -> RunFacts:
    pictures = settings.pictures
    return RunFacts(
        made_by=f"pocketcxr {__version__}",
        bundle=engine.bundle.digest,
        source=str(source.path.resolve()),
        columns=(*FIXED_COLUMNS, *score_columns(engine.bundle.card)),
        batch_size=settings.batch_size,
        seconds=settings.limits.seconds,
        memory_mb=settings.limits.memory_mb,
        heatmaps=None if pictures is None else str(pictures.folder.resolve()),
        top=None if pictures is None else pictures.top,
        checks_input=_gate(engine, settings) is not None,
    )


def _gate(engine: Engine, settings: BulkSettings) -> bytes | None:
    return engine.bundle.files.get(GATE) if settings.checks_input else None


def _scored_blocks(engine: Engine, files: Iterator[Listed], settings: BulkSettings) -> Iterator[list[Row]]:
    """The rows of one block after the other; the model runs in a thread while the next blocks are decoded."""
    waiting: deque[Future[list[Row]]] = deque()
    first = next(files, None)
    if first is None:
        return
    files = chain([first], files)
    with ThreadPoolExecutor(1) as thread:
        for block in _decoded_blocks(engine, files, settings):
            waiting.append(thread.submit(_score_block, engine, block, settings.pictures))
            while waiting and (len(waiting) > _UNSCORED_BATCHES or waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _decoded_blocks(engine: Engine, files: Iterator[Listed], settings: BulkSettings) -> Iterator[_Block]:
    """Every block in order, once all of its files are dealt with."""
    size, keeps_radiograph = settings.batch_size, settings.pictures is not None
    ahead = _BATCHES_AHEAD_WITH_RADIOGRAPHS if keeps_radiograph else _BATCHES_AHEAD
    gate = _gate(engine, settings)
    job = DecodeJob(engine.bundle.files[PREPROCESS], settings.limits, keeps_radiograph, gate)
    pool = PoolSettings(settings.workers, max(ahead * size, 4 * settings.workers))
    begun: dict[int, _Block] = {}
    for number, result in decode_files(_tasks(files, size, begun), job, pool):
        begun[number // size].results[number % size] = result
        while begun and begun[first := next(iter(begun))].is_whole:
            yield begun.pop(first)
    yield from begun.values()  # of nothing but files outside


def _tasks(files: Iterator[Listed], size: int, begun: dict[int, _Block]) -> Iterator[Task]:
    """What is to be decoded; the blocks of it are entered in `begun` by number."""
    number = 0
    while chunk := tuple(islice(files, size)):
        block = begun[number] = _Block(chunk, {})
        for place, listed in enumerate(block.files):
            if listed.is_outside:
                block.results[place] = _outside(listed)
            else:
                yield Task(number * size + place, listed.path)
        number += 1


def _outside(listed: Listed) -> Refusal:
    return Refusal(
        str(listed.path),
        RefusalCode.OUTSIDE_ROOT,
        f"{listed.path}: leads out of the folder that the table's paths are relative to - name it by its full path",
    )


def _score_block(engine: Engine, block: _Block, pictures: Pictures | None) -> list[Row]:
    places = sorted(place for place, result in block.results.items() if isinstance(result, Decoded))
    rows: dict[int, Row] = {}
    decoded = [result for place in places if isinstance(result := block.results[place], Decoded)]
    if decoded:
        answers = engine.run(np.concatenate([one.images for one in decoded]))
        for place, one, logits, maps in zip(places, decoded, *answers, strict=True):
            listed = block.files[place]
            prediction = Prediction(str(listed.path), finding_scores(engine.bundle.card, logits))
            rows[place] = Row(listed.name, prediction, "; ".join(warning.message for warning in one.warnings))
            if pictures is not None and one.radiograph is not None:
                _draw(Scored(prediction, one.radiograph, maps), pictures)
    for place, result in block.results.items():
        if isinstance(result, Refusal):
            rows[place] = Row(block.files[place].name, result)
    return [rows[place] for place in range(len(block.files))]


def _draw(scored: Scored, pictures: Pictures) -> None:
    """Writes the pictures, named as `pocketcxr predict` names them. Raises PocketCxrError when there is no room."""
    for one in strongest(scored, pictures.top):
        path = pictures.folder / picture_name(scored, one.finding)
        try:
            picture(scored, one).save(path)
        except OSError as error:
            raise PocketCxrError(
                f"{path} cannot be written ({error.strerror or error}); make room, the same command goes on"
            ) from error
