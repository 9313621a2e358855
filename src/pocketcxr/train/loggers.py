"""Watching a run elsewhere: metrics.jsonl, row by row, to TensorBoard and MLflow where the config asks for them.

metrics.jsonl stays the truth. A logger that is opened late, or again after a kill, is first given the rows that are
already there, so a resumed run shows every step once.
"""

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from time import time
from types import ModuleType
from typing import Any, Literal

from pocketcxr.domain.errors import UsageError
from pocketcxr.domain.extras import require
from pocketcxr.train.atomic import write_atomically
from pocketcxr.train.log import read_metrics
from pocketcxr.train.run_dir import RunDir, read_config

logger = logging.getLogger(__name__)

LoggerName = Literal["tensorboard", "mlflow"]
Metrics = Callable[[int, Mapping[str, float | None]], None]
"""(step, figures by name): one row of metrics.jsonl. What is None or not finite is left out."""

EXTRA = "log"
EXPERIMENT = "pocketcxr"
"""Of all runs in MLflow."""
EVERY = 10
"""Of the rows of training steps, the first and every tenth are logged (a step a row would cost more than it shows); of
evaluations all."""
_NUM_SENT_AT_ONCE = 10
"""Rows that go to MLflow in one request."""
_MOST_IN_A_REQUEST = 1000
"""Figures that MLflow accepts in one request; of settings it is a tenth."""
_LONGEST_SETTING = 6000
"""Characters that MLflow accepts."""


@contextmanager
def open_loggers(names: Sequence[LoggerName], run: RunDir) -> Iterator[Metrics]:
    """One function that takes a row of metrics to every logger named; with none named it does nothing.

    Open it once metrics.jsonl is cut to the step that the run goes on from: its rows, and the settings in config.yaml,
    are logged first. Raises MissingExtraError without the package, UsageError where MLflow's store cannot be reached.
    """
    with ExitStack() as stack:
        opened = [stack.enter_context(_LOGGERS[name](run)) for name in dict.fromkeys(names)]
        rows = read_metrics(run.metrics) if opened else []

        def log(step: int, figures: Mapping[str, float | None]) -> None:
            if "loss" in figures and step % EVERY and step != 1:
                return
            finite = {name: value for name, value in figures.items() if value is not None and math.isfinite(value)}
            for metrics in opened:
                metrics(step, finite)

        for row in rows:
            log(int(row["step"] or 0), {name: value for name, value in row.items() if name != "step"})
        yield log


@contextmanager
def _tensorboard(run: RunDir) -> Iterator[Metrics]:
    """Event files in the run's tensorboard/, written anew: they can only be added to, and steps may repeat."""
    writer = _open_writer(run)

    def metrics(step: int, figures: Mapping[str, float | None]) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, step)

    try:
        yield metrics
    finally:
        try:
            writer.close()
        except OSError as error:
            logger.warning(
                "TensorBoard's files of %s are not whole (%s); %s has all rows", run.root, error, run.metrics
            )


def _open_writer(run: RunDir) -> Any:
    """torch's SummaryWriter on an empty log that begins with the settings. UsageError if it cannot be written."""
    package = require("torch.utils.tensorboard", EXTRA, "Logging to TensorBoard")
    summary = require("torch.utils.tensorboard.summary", EXTRA, "Logging to TensorBoard")
    folder = run.root / "tensorboard"
    try:
        for file in folder.glob("events.out.tfevents.*"):
            file.unlink()
        writer = package.SummaryWriter(str(folder))
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error}); make room, or leave tensorboard out of log") from error
    # add_hparams would make a second run of it and wants a result, which a run that begins has not.
    for part in summary.hparams(_flat(read_config(run)), {"validation_auroc": None}):
        writer.file_writer.add_summary(part)
    return writer


@contextmanager
def _mlflow(run: RunDir) -> Iterator[Metrics]:
    """One MLflow run for the run's life; mlflow.json remembers which."""
    package = require("mlflow", EXTRA, "Logging to MLflow")
    sender = _MlflowSender(package, run)
    status = "FAILED"
    try:
        yield sender.add
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        sender.close(status)


class _MlflowSender:
    """Rows on their way to MLflow, where its own settings say (MLFLOW_TRACKING_URI)."""

    def __init__(self, package: ModuleType, run: RunDir) -> None:
        self.package, self.run = package, run
        self.pending: list[Any] = []
        self.num_rows = 0
        try:
            self.client: Any = package.MlflowClient()
            self.run_id, self.logged = self._find() or self._create()
        except package.MlflowException as error:
            raise UsageError(
                f"MLflow cannot be used at {package.get_tracking_uri()} ({_first_line(error)}); set MLFLOW_TRACKING_URI"
                " to a server or sqlite:///FILE, or leave mlflow out of log"
            ) from error

    def add(self, step: int, figures: Mapping[str, float | None]) -> None:
        """Keep the figures that MLflow has not yet; send what is kept when it is enough."""
        now = int(1000 * time())
        new = {name: value for name, value in figures.items() if step > self.logged.get(name, -1)}
        self.pending += [self.package.entities.Metric(name, value, now, step) for name, value in new.items()]
        self.logged |= dict.fromkeys(new, step)
        self.num_rows += 1
        if self.num_rows % _NUM_SENT_AT_ONCE == 0:
            self._send()

    def close(self, status: str) -> None:
        """Send the rest, and how the run ended."""
        self._send()
        try:
            self.client.set_terminated(self.run_id, status)
        except self.package.MlflowException as error:
            logger.warning("MLflow was not told that run %s ended (%s)", self.run_id, _first_line(error))

    def _send(self) -> None:
        """Send what is kept. Training goes on where MLflow does not answer: the rows are kept for the next time."""
        try:
            while self.pending:
                self.client.log_batch(self.run_id, metrics=self.pending[:_MOST_IN_A_REQUEST])
                del self.pending[:_MOST_IN_A_REQUEST]
        except self.package.MlflowException as error:
            logger.warning(
                "MLflow did not take %d figures (%s); %s has them all",
                len(self.pending),
                _first_line(error),
                self.run.metrics,
            )

    @property
    def _note(self) -> Path:
        return self.run.root / "mlflow.json"

    def _find(self) -> tuple[str, dict[str, int]] | None:
        """MLflow's run of an earlier sitting and the last step of each figure in it; None where it is not there."""
        if not self._note.exists():
            return None
        run_id = _run_id(self._note)
        try:
            found = self.client.get_run(run_id)
        except self.package.MlflowException:
            return None
        self.client.update_run(run_id, status="RUNNING")
        histories = {name: self.client.get_metric_history(run_id, name) for name in found.data.metrics}
        return run_id, {name: max(one.step for one in history) for name, history in histories.items()}

    def _create(self) -> tuple[str, dict[str, int]]:
        """A new run of MLflow with the settings as its parameters."""
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        experiment_id = self.client.create_experiment(EXPERIMENT) if experiment is None else experiment.experiment_id
        run_id: str = self.client.create_run(experiment_id, run_name=str(self.run.root)).info.run_id
        settings = [
            self.package.entities.Param(name, str(value)[:_LONGEST_SETTING])
            for name, value in _flat(read_config(self.run)).items()
        ]
        for first in range(0, len(settings), _MOST_IN_A_REQUEST // 10):
            self.client.log_batch(run_id, params=settings[first : first + _MOST_IN_A_REQUEST // 10])
        write_atomically(self._note, json.dumps({"run_id": run_id}).encode())
        return run_id, {}


_LOGGERS: dict[LoggerName, Callable[[RunDir], AbstractContextManager[Metrics]]] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
}


def _run_id(note: Path) -> str:
    """What mlflow.json says. Raises UsageError where it is damaged."""
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["run_id"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{note} cannot be read ({error}); delete it, and the rows go to a new run of MLflow"
        ) from error


def _flat(settings: object, place: str = "") -> dict[str, str | float | bool]:
    """Settings by dotted name, as --set writes them; a list of plain values is one text."""
    match settings:
        case Mapping():
            inner = [(str(key), value) for key, value in settings.items()]
        case [Mapping(), *_]:
            inner = [(str(position), value) for position, value in enumerate(settings)]
        case list():
            return {place: ", ".join(map(str, settings))}
        case str() | float() | int():
            return {place: settings}
        case _:
            return {place: str(settings)}
    return {name: one for key, value in inner for name, one in _flat(value, f"{place}.{key}".lstrip(".")).items()}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
