"""run -> the builds of its bundle: each made, measured and judged, the fastest that keeps the numbers shipped."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import onnx
from numpy.typing import NDArray

from pocketcxr.data.dataset import Cohort, CohortRequest, open_cohort
from pocketcxr.domain.errors import EmptyCohortError, PocketCxrError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import Split
from pocketcxr.export.build import BuiltFiles
from pocketcxr.export.candidates import Candidate, Retrained, Retraining, candidates
from pocketcxr.export.gate import GateCohort, Kept, failures, kept, shipped
from pocketcxr.export.golden import golden_images
from pocketcxr.export.graph import GraphAnswers, answers, operators, opset
from pocketcxr.export.measure import Speed, added_memory_mb, speeds
from pocketcxr.export.onnx import net_model
from pocketcxr.export.parity import MODEL_TOLERANCE
from pocketcxr.imaging.preprocess import normalise, square
from pocketcxr.manifest.schema import read_manifest, select
from pocketcxr.recipes.card_calibration import CardFit
from pocketcxr.recipes.qat import QatOptions, fine_tune
from pocketcxr.recipes.run_calibration import open_validation
from pocketcxr.recipes.runs import LoadedRun
from pocketcxr.runtime.bench import processor_name
from pocketcxr.runtime.card import MODEL, Build, Builds
from pocketcxr.runtime.card_gate import PRECISIONS, BuildMeasurement, ExportGate, GateLimits, Precision

logger = logging.getLogger(__name__)

STAGE = "builds"
SLACK = 2.0
"""A shipped build may deviate on another machine this many times as far from the golden vectors as on this one."""


@dataclass(frozen=True)
class GateOptions:
    """Which builds are tried and what they must keep."""

    builds: tuple[Precision, ...] = tuple(PRECISIONS.values())
    num_images: int = 400
    """Validation images to judge on, at most."""
    num_calibration_images: int = 64
    """Training images that INT8's ranges come from, at most."""
    limits: GateLimits = GateLimits()  # noqa: RUF009 - frozen
    seed: int = 0
    """Of the images and of the bootstrap."""
    is_retrained: bool | None = None
    """Whether quantisation-aware training is tried for INT8; None: where INT8 passes with no share of float layers."""
    qat: QatOptions = QatOptions()  # noqa: RUF009 - frozen


@dataclass(frozen=True, eq=False)
class Gated:
    """What the gate let through: the record for the card, the shipped build and the files that hold all of them."""

    gate: ExportGate
    builds: Builds
    files: dict[str, bytes]
    """The float32 file, the shipped one where it is another, and float16 where that passed: half the download."""

    @property
    def shipped(self) -> bytes:
        """The shipped build's file."""
        return self.files[self.builds.to_run.file]


def pass_gate(
    loaded: LoadedRun, built: BuiltFiles, fit: CardFit, options: GateOptions, progress: Progress = silent
) -> Gated:
    """Every build of the run judged on its validation images, and the one to ship.

    `fit` is the float32 build's calibration. Raises ManifestError or EmptyCohortError where there are no images.
    """
    cohort, words = _gate_cohort(loaded, fit, options, progress)
    ranges = calibration_inputs(loaded, options, progress)
    retraining = _retraining(loaded, options, progress)
    tried = _try(_Trial(onnx.load_from_string(built.files[MODEL]), cohort, ranges, options, retraining), progress)
    costs = speeds([one.data for one, _ in tried], cohort.inputs)
    rows = tuple(
        _row(candidate, found, cost, options.limits) for (candidate, found), cost in zip(tried, costs, strict=True)
    )
    gate = ExportGate(
        cohort=words,
        num_images=len(cohort.image_ids),
        num_patients=len(set(cohort.patient_ids)),
        num_calibration_images=len(ranges),
        processor=processor_name(),
        num_processors=os.cpu_count() or 1,
        engine=f"onnxruntime {version('onnxruntime')}",
        limits=options.limits,
        builds=rows,
        shipped=shipped(rows),
    )
    return _gated(gate, [candidate for candidate, _ in tried], built, loaded)


@dataclass(frozen=True, eq=False)
class _Trial:
    model: onnx.ModelProto
    cohort: GateCohort
    ranges: NDArray[np.float32]
    options: GateOptions
    retraining: Retraining | None


def _try(trial: _Trial, progress: Progress) -> list[tuple[Candidate, Kept]]:
    """Every candidate beside what it keeps."""
    tried: list[tuple[Candidate, Kept]] = []
    reference: GraphAnswers | None = None

    def has_passed() -> bool:
        return not failures(tried[-1][1], trial.options.limits)

    for candidate in candidates(trial.model, trial.options.builds, trial.ranges, has_passed, trial.retraining):
        told = answers(candidate.data, trial.cohort.inputs)
        reference = told if reference is None else reference
        tried.append((candidate, kept(trial.cohort, told, reference, trial.options.seed)))
        progress(STAGE, len(tried), max(len(tried), len(trial.options.builds)))
    return tried


def _retraining(loaded: LoadedRun, options: GateOptions, progress: Progress) -> Retraining | None:
    """How INT8 gets other weights; None where that is not wanted."""
    if options.is_retrained is False:
        return None

    def train() -> Retrained | None:
        try:
            found = fine_tune(loaded, options.qat, progress)
        except PocketCxrError as error:
            logger.warning("%s", error)
            return None
        return net_model(found.net, loaded.spec, loaded.findings), found.facts

    return Retraining(train, is_wanted=options.is_retrained is True)


def _row(candidate: Candidate, found: Kept, cost: Speed, limits: GateLimits) -> BuildMeasurement:
    return BuildMeasurement(
        precision=candidate.precision,
        num_float_layers=candidate.num_float_layers,
        num_layers=candidate.num_layers,
        # Float32 is what the others are judged by, even where its heatmaps are constant or no finding has a figure.
        failures=() if candidate.precision == "fp32" else failures(found, limits),
        file_bytes=len(candidate.data),
        latencies=cost.latencies,
        compute_ms=cost.compute_ms,
        memory_mb=added_memory_mb(candidate.data),
        auroc_difference=found.auroc_difference,
        largest_probability_change=found.largest_probability_change,
        flipped_decisions=found.flipped_decisions,
        heatmap_agreement=found.heatmap_agreement,
        heatmap_iou=found.heatmap_iou,
        ece=found.ece,
        opset=opset(candidate.model),
        operators=operators(candidate.model),
        fine_tuning=candidate.fine_tuning,
    )


def _gated(gate: ExportGate, tried: Sequence[Candidate], built: BuiltFiles, loaded: LoadedRun) -> Gated:
    files, builds = {MODEL: built.files[MODEL]}, built.builds.model_dump()
    for place, candidate in enumerate(tried):
        is_light = candidate.precision == "fp16" and gate.builds[place].passes
        if candidate.precision == "fp32" or not (place == gate.shipped or is_light):
            continue
        name = f"model.{candidate.precision}.onnx"
        builds[candidate.precision] = Build(file=name, tolerance=_tolerance(candidate, built, loaded))
        files[name] = candidate.data
    builds["shipped"] = tried[gate.shipped].precision
    return Gated(gate, Builds.model_validate(builds), files)


def _tolerance(chosen: Candidate, built: BuiltFiles, loaded: LoadedRun) -> float:
    """How far the build may deviate from the golden vectors: SLACK times as far as here, rounded up."""
    spec = loaded.spec
    pixels = np.stack([square(image, spec) for image in golden_images(spec).values()])
    inputs = normalise(pixels, spec)[:, None]
    pairs = zip(answers(built.files[MODEL], inputs), answers(chosen.data, inputs), strict=True)
    worst = max(_deviation(expected, actual) for expected, actual in pairs)
    return max(MODEL_TOLERANCE, float(f"{SLACK * worst:.1e}"))


def _deviation(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
    """The largest of any image, relative to max(1, its largest value), as golden vectors are compared."""
    per_image = [
        np.abs(one - other).max() / max(1.0, np.abs(one).max()) for one, other in zip(expected, actual, strict=True)
    ]
    return float(max(per_image))


def _gate_cohort(loaded: LoadedRun, fit: CardFit, options: GateOptions, progress: Progress) -> tuple[GateCohort, str]:
    """At most `num_images` validation images, and the cohort in words."""
    validation = open_validation(loaded, progress)
    if validation is None:
        raise EmptyCohortError(f"{loaded.config.manifest}: no validation images to judge builds on; use --no-gate")
    chosen = validation.take(_some(len(validation), options.num_images, options.seed))
    cohort = GateCohort(
        findings=loaded.findings,
        unlearnt=loaded.header.unlearnt,
        image_ids=chosen.image_ids,
        patient_ids=chosen.patient_ids,
        inputs=_inputs(chosen),
        labels=chosen.labels,
        calibration=fit.calibration,
        operating_points=fit.operating_points,
    )
    simulated = " (simulated)" if loaded.header.training.is_simulated else ""
    count = (
        f"{len(chosen):,} of {len(validation):,} images" if len(chosen) < len(validation) else f"{len(chosen):,} images"
    )
    return cohort, f"{loaded.config.manifest.name}, split validation: {count}{simulated}"


def calibration_inputs(loaded: LoadedRun, options: GateOptions, progress: Progress) -> NDArray[np.float32]:
    """Model inputs of at most `num_calibration_images` training images, whether they have labels or not."""
    config = loaded.config
    training = select(read_manifest(config.manifest), Split.TRAIN, config.cohort.view_positions)
    rows = _some(len(training.table), options.num_calibration_images, options.seed)
    few = replace(training, table=training.table.iloc[rows].reset_index(drop=True))
    folder = config.cohort.cache_folder or loaded.run.root.parent / "cache"
    request = CohortRequest(config.findings, config.preprocess, config.labels, folder)
    return _inputs(open_cohort(few, request, progress))


def _some(num: int, at_most: int, seed: int) -> NDArray[np.int64]:
    """Rows by chance, ascending; all where there are not more."""
    return np.sort(np.random.default_rng(seed).permutation(num)[:at_most]).astype(np.int64)


def _inputs(cohort: Cohort) -> NDArray[np.float32]:
    return normalise(cohort.pixels(slice(None)), cohort.spec)[:, None]
