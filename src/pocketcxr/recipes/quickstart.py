"""The main job, whole: simulate, prepare, train a teacher, distil, evaluate, explain, export, predict, report."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from pocketcxr._version import __version__
from pocketcxr.domain.prediction import Prediction
from pocketcxr.domain.progress import NO_FIGURES, Progress, silent
from pocketcxr.evaluate.differences import DifferenceReport, compare
from pocketcxr.evaluate.report import write_report
from pocketcxr.manifest.schema import read_manifest
from pocketcxr.manifest.sources.chestxray14 import Chestxray14Config
from pocketcxr.manifest.splits import SplitConfig
from pocketcxr.recipes.distill import distill
from pocketcxr.recipes.evaluate import EvaluateOptions, EvaluationResult, evaluate
from pocketcxr.recipes.explain import ExplainOptions, Explanation, explain
from pocketcxr.recipes.export import ExportOptions, export
from pocketcxr.recipes.export_gate import GateOptions
from pocketcxr.recipes.prepare import prepare
from pocketcxr.recipes.quickstart_config import (
    QuickstartConfig,
    alone_config,
    distilled_config,
    phantom_config,
    teacher_config,
)
from pocketcxr.recipes.quickstart_report import QuickstartFacts, report_content
from pocketcxr.recipes.simulate import simulate
from pocketcxr.recipes.train import train
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.card_gate import ExportGate, GateLimits
from pocketcxr.runtime.predict import Scored, predict_files
from pocketcxr.runtime.session import open_engine
from pocketcxr.train.atomic import write_atomically

TEACHER, ALONE, DISTILLED = "teacher", "alone", "distilled"
CLEAN_TABLE = "Data_Entry_2017_v2020_clean.csv"


@dataclass(frozen=True)
class Places:
    """What lies where in the folder of a quickstart."""

    root: Path

    @property
    def data(self) -> Path:
        """The simulated data set, in the layout of ChestX-ray14."""
        return self.root / "data"

    @property
    def manifest(self) -> Path:
        """Labels as a report miner would give them: what is trained on."""
        return self.root / "manifest.parquet"

    @property
    def truth(self) -> Path:
        """The same images with the clean truth: what is tested on."""
        return self.root / "truth.parquet"

    @property
    def bundle(self) -> Path:
        """The deployable student."""
        return self.root / "bundle.zip"

    @property
    def report(self) -> Path:
        """The page."""
        return self.root / "report.html"

    @property
    def summary(self) -> Path:
        """The figures, for programs."""
        return self.root / "summary.json"

    def run(self, name: str) -> Path:
        """The run of one model."""
        return self.root / name


class QuickstartSummary(BaseModel, frozen=True, extra="forbid"):
    """What summary.json holds."""

    config: QuickstartConfig
    evaluations: dict[str, float | None]
    """Mean AUROC of each model on the clean test truth."""
    distilled_minus_alone: DifferenceReport
    distilled_minus_teacher: DifferenceReport
    builds: ExportGate | None
    """What each build of the bundle costs and keeps; None where none was judged, the log then says why."""
    seconds: dict[str, float]
    """Wall clock of each stage in this call; a stage that was done before takes next to nothing."""


@dataclass(frozen=True, eq=False)
class QuickstartResult:
    """All that a person is told at the end."""

    places: Places
    evaluations: Mapping[str, EvaluationResult]
    summary: QuickstartSummary
    sample: Path
    """A test image to try the bundle on."""
    prediction: Prediction


class _Stopwatch:
    """Seconds of each stage by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.seconds[stage] = round(now - self._started, 1)
        self._started = now


def quickstart(config: QuickstartConfig, out: Path, progress: Progress = silent) -> QuickstartResult:
    """The whole job in `out`. The same call again goes on where it stopped: finished data and runs are kept.

    Raises UsageError or ConfigError where `out` holds a quickstart with other settings.
    """
    places, watch = Places(out), _Stopwatch()
    simulate(phantom_config(config), places.data, os.cpu_count() or 1, progress)
    watch.lap("simulate")
    source = Chestxray14Config(split=SplitConfig(seed=config.seed))
    prepare(source, places.data, places.manifest)
    prepare(source.model_copy(update={"label_table": CLEAN_TABLE}), places.data, places.truth)
    watch.lap("prepare")
    _train(config, places, watch, progress)
    evaluations = {
        name: evaluate(
            places.run(name),
            EvaluateOptions(places.truth, num_resamples=config.num_resamples, seed=config.seed),
            progress=_named(name, progress),
        )
        for name in (TEACHER, ALONE, DISTILLED)
    }
    differences = _differences(config, evaluations)
    watch.lap("evaluate")
    explained = _explain(config, places, progress)
    watch.lap("explain")
    builds = _export(config, places, progress)
    watch.lap("export")
    sample, prediction = _predict(places)
    watch.lap("predict")
    facts = QuickstartFacts(
        config, __version__, datetime.now(UTC), evaluations, differences, explained, places.bundle, builds, sample
    )
    write_report(report_content(facts), places.report)
    watch.lap("report")
    summary = QuickstartSummary(
        config=config,
        evaluations={name: _mean(result) for name, result in evaluations.items()},
        distilled_minus_alone=differences[ALONE],
        distilled_minus_teacher=differences[TEACHER],
        builds=builds,
        seconds=watch.seconds,
    )
    write_atomically(places.summary, (summary.model_dump_json(indent=2) + "\n").encode())
    return QuickstartResult(places, evaluations, summary, sample, prediction)


def _train(config: QuickstartConfig, places: Places, watch: _Stopwatch, progress: Progress) -> None:
    train(teacher_config(config, places.manifest), places.run(TEACHER), _named(TEACHER, progress))
    watch.lap(TEACHER)
    train(alone_config(config, places.manifest), places.run(ALONE), _named(ALONE, progress))
    watch.lap(ALONE)
    teacher = places.run(TEACHER)
    distill(distilled_config(config, places.manifest, teacher), places.run(DISTILLED), _named(DISTILLED, progress))
    watch.lap(DISTILLED)


def _named(name: str, progress: Progress) -> Progress:
    """`progress` with the model's name before each stage, so that three trainings are three bars."""

    def listen(stage: str, done: int, total: int, figures: Mapping[str, float] = NO_FIGURES) -> None:
        progress(f"{name}: {stage}", done, total, figures)

    return listen


def _differences(config: QuickstartConfig, evaluations: Mapping[str, EvaluationResult]) -> dict[str, DifferenceReport]:
    """Distilled minus each of the others."""
    distilled = evaluations[DISTILLED].scores
    return {
        other: compare(distilled, evaluations[other].scores, np.random.default_rng(config.seed), config.num_resamples)
        for other in (ALONE, TEACHER)
    }


def _explain(config: QuickstartConfig, places: Places, progress: Progress) -> dict[str, Explanation]:
    options = ExplainOptions(
        places.truth, num_overlays=config.gallery, num_resamples=config.num_resamples, seed=config.seed
    )
    return {
        name: explain(places.run(name), options, places.run(name) / "explanation", _named(name, progress))
        for name in (TEACHER, ALONE, DISTILLED)
    }


def _export(config: QuickstartConfig, places: Places, progress: Progress) -> ExportGate | None:
    """What the bundle's builds cost and keep."""
    # Without another training: a minute or two of it would be a large part of this whole job.
    limits = GateLimits(auroc_loss=config.gate_auroc_loss)
    gate = GateOptions(num_images=config.gate_images, limits=limits, seed=config.seed, is_retrained=False)
    export(places.run(DISTILLED), places.bundle, progress, ExportOptions(gate=gate))
    return open_bundle(places.bundle).card.gate


def _predict(places: Places) -> tuple[Path, Prediction]:
    """One test image with something to see, scored from its file as `pocketcxr predict` does it."""
    truth = read_manifest(places.truth)
    test = truth.table[truth.table["split"] == "test"]
    is_marked = test["image_id"].isin(truth.regions["image_id"])
    files = [truth.file_of(path) for path in (*test[is_marked]["path"], *test[~is_marked]["path"])]
    # The input gate lets a phantom in some hundreds down: the first that passes is shown.
    answers = zip(files, predict_files(open_engine(open_bundle(places.bundle)), files), strict=True)
    return next((file, answer.prediction) for file, answer in answers if isinstance(answer, Scored))


def _mean(result: EvaluationResult) -> float | None:
    estimate = result.ranking.mean_auroc
    return None if estimate is None else estimate.value
