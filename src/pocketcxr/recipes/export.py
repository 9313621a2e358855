"""run -> bundle: the best weights as ONNX, checked, with a card and golden vectors."""

import logging
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from pocketcxr._version import __version__
from pocketcxr.domain.errors import CheckpointError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.calibration_page import CalibrationContent, write_calibration
from pocketcxr.evaluate.ranking import RankingReport
from pocketcxr.export.build import NetToExport, build_files
from pocketcxr.export.pack import pack
from pocketcxr.models.complexity import complexity
from pocketcxr.recipes.card_calibration import CardFit, calibration_page
from pocketcxr.recipes.run_calibration import fit_on_validation, net_logits
from pocketcxr.recipes.runs import load_run
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.card import CardFacts, Metric
from pocketcxr.runtime.golden import verify_golden
from pocketcxr.runtime.session import open_engine

logger = logging.getLogger(__name__)


def export(root: Path, out: Path, progress: Progress = silent) -> Path:
    """`out`: the run's bundle, a zip when it ends in .zip, a folder otherwise.

    Calibration and operating points are fitted on the run's validation images where those can still be read; the page
    NAME.calibration.html beside the bundle shows them. The bundle is opened again and its golden vectors are run before
    this returns. Raises CheckpointError when the run has no weights, ParityError when the graphs do not do what the net
    does.
    """
    loaded = load_run(root)
    metrics = _metrics(loaded.run.report_json)
    fit = fit_on_validation(loaded, net_logits(loaded.net), progress=progress)
    cost = complexity(loaded.net, loaded.spec.size, 1)
    source = NetToExport(loaded.header.net.name, loaded.net, loaded.spec, loaded.findings, cost.macs)
    built = build_files(source, progress)
    facts = CardFacts(
        name=out.stem,
        created=datetime.now(UTC).replace(microsecond=0),
        made_by=f"pocketcxr {__version__}",
        is_simulated=loaded.header.training.is_simulated,
        findings=loaded.findings,
        unlearnt=loaded.header.unlearnt,
        preprocess=loaded.spec,
        net=built.net,
        builds=built.builds,
        calibration=None if fit is None else fit.calibration,
        operating_points=() if fit is None else fit.operating_points,
        training=loaded.header.training.model_dump(mode="json") | {"step": loaded.header.step},
        metrics=metrics,
    )
    pack(facts, built.files, out)
    if fit is not None:
        write_calibration(_calibration_page(facts, fit), calibration_page(out))
    verify_golden(open_engine(open_bundle(out), num_threads=1))
    logger.info("exported %s to %s; onnxruntime deviates from torch by %.2g", root, out, built.deviation)
    return out


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


class _Evaluation(BaseModel, extra="ignore"):
    """What is read of a run's report.json."""

    cohort: str
    ranking: RankingReport


def _metrics(report: Path) -> tuple[Metric, ...]:
    """The figures of the run's last evaluation; none where it was not evaluated."""
    if not report.exists():
        return ()
    try:
        evaluation = _Evaluation.model_validate_json(report.read_bytes())
    except (OSError, ValidationError) as error:
        raise CheckpointError(
            f"{report} cannot be read ({error}); run pocketcxr evaluate again, or delete it"
        ) from error
    ranking, cohort = evaluation.ranking, evaluation.cohort
    metrics = [_metric("auroc", None, cohort, ranking.mean_auroc), _metric("auprc", None, cohort, ranking.mean_auprc)]
    for row in ranking.findings:
        metrics += [_metric("auroc", row.finding, cohort, row.auroc), _metric("auprc", row.finding, cohort, row.auprc)]
    return tuple(metrics)


def _metric(name: str, finding: str | None, cohort: str, estimate: Estimate | None) -> Metric:
    if estimate is None:
        return Metric(name=name, finding=finding, cohort=cohort, value=None, low=None, high=None)
    return Metric(name=name, finding=finding, cohort=cohort, value=estimate.value, low=estimate.low, high=estimate.high)
