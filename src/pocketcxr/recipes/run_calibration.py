"""run -> calibration and operating points of its bundle, fitted on the run's own validation images."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import torch
from numpy.typing import NDArray

from pocketcxr.data.dataset import Cohort
from pocketcxr.domain.errors import EmptyCohortError, ManifestError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import Split
from pocketcxr.evaluate.calibration_report import CalibrationOptions
from pocketcxr.evaluate.labelled_logits import LabelledLogits
from pocketcxr.imaging.preprocess import normalise
from pocketcxr.models.outputs import Net, evaluating
from pocketcxr.recipes.card_calibration import CardFit, fit_card_facts
from pocketcxr.recipes.runs import LoadedRun
from pocketcxr.recipes.train import open_split, read_manifests
from pocketcxr.train.devices import flushing_denormals

logger = logging.getLogger(__name__)

Logits = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Model inputs [b, 1, s, s] -> logits [b, finding], by whatever engine."""

STAGE = "calibrating"
BATCH_SIZE = 64


def fit_on_validation(
    loaded: LoadedRun,
    logits: Logits,
    options: CalibrationOptions = CalibrationOptions(),  # noqa: B008 - frozen
    progress: Progress = silent,
) -> CardFit | None:
    """Calibration and operating points of the run's findings on its validation split; None where that is not to be had.

    The log says why. The images are those that chose the run's best weights, with the run's own label policy.
    """
    cohort = open_validation(loaded, progress)
    if cohort is None:
        return None
    header = loaded.header
    simulated = " (simulated)" if header.training.is_simulated else ""
    words = (
        f"{loaded.config.manifest.name}, split validation: {len(cohort):,} images of"
        f" {len(set(cohort.patient_ids)):,} patients{simulated}"
    )
    data = labelled_logits(cohort, logits, header.unlearnt, progress)
    return fit_card_facts(data, words, datetime.now(UTC).replace(microsecond=0), options)


def open_validation(loaded: LoadedRun, progress: Progress = silent) -> Cohort | None:
    """The run's validation images with their labels; None, and a warning in the log, where they are not to be had."""
    config = loaded.config
    folder = config.cohort.cache_folder or loaded.run.root.parent / "cache"
    try:
        cohort = open_split(config, read_manifests(config), Split.VALIDATION, folder, progress)
    except (ManifestError, EmptyCohortError) as error:
        logger.warning("not calibrated, without operating points: %s", error)
        return None
    if cohort.num_labelled == 0:
        logger.warning("not calibrated, without operating points: no validation image has a label")
        return None
    return cohort


def labelled_logits(
    cohort: Cohort, logits: Logits, unlearnt: tuple[str, ...], progress: Progress = silent
) -> LabelledLogits:
    """What `logits` says of every image of the cohort, beside its labels; NaN for findings never learnt."""
    parts = []
    for start in range(0, len(cohort), BATCH_SIZE):
        pixels = cohort.pixels(slice(start, start + BATCH_SIZE))
        parts.append(logits(normalise(pixels, cohort.spec)[:, None]))
        progress(STAGE, min(start + BATCH_SIZE, len(cohort)), len(cohort))
    values = np.concatenate(parts).astype(np.float64)
    values[:, [finding in unlearnt for finding in cohort.findings]] = np.nan
    return LabelledLogits(cohort.findings, cohort.patient_ids, values, cohort.labels)


def net_logits(net: Net) -> Logits:
    """The net as a function of model inputs, on the CPU."""

    def answer(images: NDArray[np.float32]) -> NDArray[np.float32]:
        with evaluating(net), torch.inference_mode(), flushing_denormals():
            logits: NDArray[np.float32] = net(torch.from_numpy(images)).logits.numpy()
        return logits

    return answer
