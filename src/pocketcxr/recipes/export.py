"""run -> bundle: the best weights as ONNX, in the build that the gate lets through, with card and golden vectors."""

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketcxr._version import __version__
from pocketcxr.domain.errors import EmptyCohortError, ManifestError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import ViewPosition
from pocketcxr.evaluate.calibration_page import CalibrationContent, write_calibration
from pocketcxr.export.build import BuiltFiles, NetToExport, build_files
from pocketcxr.export.graph import open_session
from pocketcxr.export.pack import pack
from pocketcxr.models.complexity import complexity
from pocketcxr.recipes.card_calibration import CardFit, calibration_page
from pocketcxr.recipes.card_metrics import card_metrics
from pocketcxr.recipes.export_gate import Gated, GateOptions, pass_gate
from pocketcxr.recipes.export_page import builds_page, write_builds
from pocketcxr.recipes.run_calibration import Logits, fit_on_validation, net_logits
from pocketcxr.recipes.runs import LoadedRun, load_run
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.card import CardFacts
from pocketcxr.runtime.golden import verify_golden
from pocketcxr.runtime.input_gate import GATE, open_gate, packaged_gate
from pocketcxr.runtime.session import open_engine

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportOptions:
    """What an export takes beside the run."""

    manifest: Path | None = None
    """Whose validation images it is calibrated and judged on, and whose training images INT8's ranges come from; None:
    the run's own."""
    gate: GateOptions | None = None
    """None: the float32 build, without a comparison."""
    has_input_gate: bool = True
    """Whether the bundle asks of every file first if it is a frontal chest X-ray."""


def export(
    root: Path,
    out: Path,
    progress: Progress = silent,
    options: ExportOptions = ExportOptions(),  # noqa: B008 - frozen
) -> Path:
    """`out`: the run's bundle, a zip when it ends in .zip, a folder otherwise.

    Builds are judged, and calibration and operating points of the shipped one fitted, on validation images where those
    can still be read; the pages NAME.builds.html and NAME.calibration.html beside the bundle show both. The input gate
    is packed with them, unless it would refuse what the net learnt from. The bundle is opened again and its golden
    vectors are run before this returns. Raises CheckpointError when the run has no weights,
    ParityError when the graphs do not do what the net does.
    """
    loaded = _reading(load_run(root), options.manifest)
    fit = fit_on_validation(loaded, net_logits(loaded.net), progress=progress)
    cost = complexity(loaded.net, loaded.spec.size, 1)
    source = NetToExport(loaded.header.net.name, loaded.net, loaded.spec, loaded.findings, cost.macs)
    built = build_files(source, progress)
    gated = _pass_gate(loaded, built, fit, options.gate, progress)
    if gated is not None and gated.builds.shipped != "fp32":
        fit = fit_on_validation(loaded, _graph_logits(gated.shipped), progress=progress)
    facts = _facts(out.stem, loaded, _Made(built, gated, fit))
    builds = {} if gated is None else gated.files
    pack(facts, {**built.files, **builds, **_input_gate(loaded, options.has_input_gate)}, out)
    _write_pages(facts, fit, out)
    verify_golden(open_engine(open_bundle(out), num_threads=1))
    logger.info("exported %s to %s; onnxruntime deviates from torch by %.2g", root, out, built.deviation)
    return out


@dataclass(frozen=True, eq=False)
class _Made:
    """What was made of the run; `fit` is the shipped build's."""

    built: BuiltFiles
    gated: Gated | None
    fit: CardFit | None


def _facts(name: str, loaded: LoadedRun, made: _Made) -> CardFacts:
    gated, fit, header = made.gated, made.fit, loaded.header
    metrics, groups = card_metrics(loaded.run.report_json)
    return CardFacts(
        name=name,
        created=datetime.now(UTC).replace(microsecond=0),
        made_by=f"pocketcxr {__version__}",
        is_simulated=header.training.is_simulated,
        findings=loaded.findings,
        unlearnt=header.unlearnt,
        preprocess=loaded.spec,
        net=made.built.net,
        builds=made.built.builds if gated is None else gated.builds,
        calibration=None if fit is None else fit.calibration,
        operating_points=() if fit is None else fit.operating_points,
        gate=None if gated is None else gated.gate,
        training=header.training.model_dump(mode="json")
        | {
            "step": header.step,
            "num_reference_images": header.num_reference_images,
            "labels": loaded.config.labels.model_dump(mode="json"),
        },
        metrics=metrics,
        groups=groups,
    )


def _reading(loaded: LoadedRun, manifest: Path | None) -> LoadedRun:
    """The run as if it had been trained on `manifest`; None: as it was."""
    if manifest is None:
        return loaded
    return replace(loaded, config=loaded.config.model_copy(update={"manifest": manifest}))


def _pass_gate(
    loaded: LoadedRun, built: BuiltFiles, fit: CardFit | None, options: GateOptions | None, progress: Progress
) -> Gated | None:
    """The gate's result; None without a gate, and, with a warning in the log, without images."""
    if options is None:
        return None
    if fit is None:
        logger.warning("only the float32 build: there are no validation images to judge others on")
        return None
    try:
        return pass_gate(loaded, built, fit, options, progress)
    except (ManifestError, EmptyCohortError) as error:
        logger.warning("only the float32 build: %s", error)
        return None


def _input_gate(loaded: LoadedRun, is_wanted: bool) -> dict[str, bytes]:
    """The input gate's file; none where it is not wanted, or, with a warning in the log, where it would refuse images
    like those the net learnt from."""
    if not is_wanted:
        return {}
    data, views = packaged_gate(), loaded.config.cohort.view_positions
    least = open_gate(data, "this program").facts.min_side_px
    if loaded.spec.size < least:
        why = f"the net sees {loaded.spec.size} pixels a side, and the gate refuses images with fewer than {least}"
    elif views is not None and ViewPosition.LATERAL in views:
        why = "the net learnt from lateral views, which the gate refuses"
    else:
        return {GATE: data}
    logger.warning("no input gate: %s; nothing will check what a file shows", why)
    return {}


def _graph_logits(model: bytes) -> Logits:
    """The build as a function of model inputs."""
    session = open_session(model)

    def answer(images: NDArray[np.float32]) -> NDArray[np.float32]:
        (logits,) = session.run(["logits"], {"images": images})
        said: NDArray[np.float32] = logits
        return said

    return answer


def _write_pages(facts: CardFacts, fit: CardFit | None, out: Path) -> None:
    if fit is not None:
        write_calibration(_calibration_page(facts, fit), calibration_page(out))
    if facts.gate is not None:
        write_builds(facts, facts.gate, builds_page(out))


def _calibration_page(facts: CardFacts, fit: CardFit) -> CalibrationContent:
    return CalibrationContent(
        title=f"Calibration of {facts.name}",
        created=f"{facts.created:%Y-%m-%d %H:%M} UTC",
        version=__version__,
        is_simulated=facts.is_simulated,
        report=fit.report,
        before="the plain sigmoid of the logit",
        kept=fit.calibration.not_calibrated,
    )
