"""What a run or a bundle says of the images of a manifest, as one table of scores, and what one image costs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pocketcxr.data.batches import normalise_tensor, plain_pixels
from pocketcxr.data.dataset import Cohort, CohortRequest, open_cohort
from pocketcxr.domain.errors import EmptyCohortError, UsageError
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.evaluate.scores import ScoreTable
from pocketcxr.manifest.labels import LabelPolicy, label_matrix
from pocketcxr.manifest.schema import Manifest
from pocketcxr.models.complexity import complexity
from pocketcxr.models.outputs import Net, evaluating
from pocketcxr.recipes.runs import load_run
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.runtime.card import CARD
from pocketcxr.runtime.predict import predict_files, sigmoid
from pocketcxr.runtime.session import Engine, open_engine
from pocketcxr.train.devices import flushing_denormals, pick_device
from pocketcxr.train.run_dir import RunDir

STAGE = "scoring images"
NUM_WARM_UPS, NUM_TIMED = 3, 20


@dataclass(frozen=True)
class ModelFacts:
    """Who was scored and what one image costs it."""

    name: str
    """The net's name."""
    engine: str
    """What computed the milliseconds, in words."""
    parameters: int
    macs: int | None
    milliseconds: float
    """Median for one image, heatmaps included, without decoding and preprocessing."""
    is_simulated: bool
    """Whether it was trained on simulated radiographs."""


@dataclass(frozen=True, eq=False)
class ScoredCohort:
    """The scores of every readable image, in the manifest's order."""

    model: ModelFacts
    scores: ScoreTable
    refused: tuple[Refusal, ...]
    """Files that could not be read and therefore have no row."""


def is_run(source: Path) -> bool:
    """Whether `source` is a run and not a bundle. Raises UsageError where it is neither."""
    if RunDir(source).config.is_file():
        return True
    if source.suffix == ".zip" or (source / CARD).is_file():
        return False
    raise UsageError(
        f"{source} is neither a run (no config.yaml) nor a bundle (no {CARD}, no .zip);"
        " give the --out of pocketcxr train, distill or export"
    )


def result_folder(source: Path, out: Path | None, inside: str, beside: str) -> Path:
    """Where results of the run or bundle at `source` go, made: `out`, else `inside` the run, else NAME.`beside`.

    Raises UsageError where `source` is neither or the folder cannot be made.
    """
    if out is None:
        out = source / inside if is_run(source) else source.with_name(f"{source.stem}.{beside}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out} cannot be made ({error.strerror or error}); choose another folder") from error
    return out


def score_run(root: Path, manifest: Manifest, batch_size: int = 64, progress: Progress = silent) -> ScoredCohort:
    """The scores of the run's best weights, with the run's own preprocessing, label policy and image cache."""
    loaded = load_run(root)
    config = loaded.config
    findings = _all_findings(loaded.findings, manifest)
    folder = config.cohort.cache_folder or root.parent / "cache"
    cohort = open_cohort(manifest, CohortRequest(findings, loaded.spec, config.labels.hard(), folder), progress)
    cost = complexity(loaded.net, loaded.spec.size, 1)
    facts = ModelFacts(
        name=loaded.header.net.name,
        engine=f"PyTorch on the CPU, threads: {torch.get_num_threads()}",
        parameters=cost.parameters,
        macs=cost.macs,
        milliseconds=time_net(loaded.net, loaded.spec.size),
        is_simulated=loaded.header.training.is_simulated,
    )
    learnt = [finding for finding in loaded.findings if finding not in loaded.header.unlearnt]
    logits = _logits_of(loaded.net.to(pick_device(config.device)), cohort, batch_size, progress)
    scores = ScoreTable(
        findings=findings,
        image_ids=cohort.image_ids,
        patient_ids=cohort.patient_ids,
        labels=cohort.labels,
        probabilities=_columns(sigmoid(logits), loaded.findings, learnt, findings),
    )
    return ScoredCohort(facts, scores, cohort.refused)


def score_bundle(path: Path, manifest: Manifest, progress: Progress = silent) -> ScoredCohort:
    """The scores of the bundle, file by file as `pocketcxr predict` gives them.

    Raises BundleError where it is damaged, EmptyCohortError where no file can be read.
    """
    engine = open_engine(open_bundle(path))
    card = engine.bundle.card
    files = [manifest.file_of(file) for file in manifest.table["path"]]
    rows, refused, probabilities = [], [], []
    for row, answer in enumerate(predict_files(engine, files, checks_input=False)):
        progress(STAGE, row + 1, len(files))
        if isinstance(answer, Refusal):
            refused.append(answer)
            continue
        rows.append(row)
        # None is a finding the model never learnt.
        scored = answer.prediction.scores
        probabilities.append([np.nan if score.probability is None else score.probability for score in scored])
    if not rows:
        raise EmptyCohortError(f"none of {len(files)} files can be read (first: {refused[0].message})")
    findings = _all_findings(card.findings, manifest)
    table = manifest.table.iloc[rows]
    scores = ScoreTable(
        findings=findings,
        image_ids=tuple(table["image_id"].astype(str)),
        patient_ids=tuple(table["patient_id"].astype(str)),
        labels=label_matrix(manifest, findings, LabelPolicy())[rows],
        probabilities=_columns(np.array(probabilities), card.findings, list(card.findings), findings),
    )
    facts = ModelFacts(
        name=card.net.name,
        engine="onnxruntime on the CPU, threads: 1",
        parameters=card.net.num_parameters,
        macs=card.net.num_macs,
        milliseconds=time_engine(open_engine(engine.bundle, num_threads=1)),
        is_simulated=card.is_simulated,
    )
    return ScoredCohort(facts, scores, tuple(refused))


def time_net(net: Net, size: int) -> float:
    """Median milliseconds of the net for one image on the CPU, where it lies."""
    image = torch.zeros(1, 1, size, size)
    with evaluating(net), torch.inference_mode(), flushing_denormals():
        return _median_milliseconds(lambda: net(image))


def time_engine(engine: Engine) -> float:
    """Median milliseconds of the bundle's model for one image."""
    size = engine.bundle.card.preprocess.size
    image = engine.prepare(np.zeros((size, size), np.uint8))
    return _median_milliseconds(lambda: engine.run(image))


def _median_milliseconds(run: Callable[[], object]) -> float:
    durations = []
    for _ in range(NUM_WARM_UPS + NUM_TIMED):
        start = time.perf_counter()
        run()
        durations.append(1000 * (time.perf_counter() - start))
    return float(np.median(durations[NUM_WARM_UPS:]))


def _logits_of(net: Net, cohort: Cohort, batch_size: int, progress: Progress) -> NDArray[np.float32]:
    device = next(net.parameters()).device
    parts = []
    with evaluating(net), torch.inference_mode(), flushing_denormals():
        for start in range(0, len(cohort), batch_size):
            pixels = plain_pixels(cohort, slice(start, start + batch_size)).to(device)
            parts.append(net(normalise_tensor(pixels, cohort.spec)).logits.float().cpu().numpy())
            progress(STAGE, min(start + batch_size, len(cohort)), len(cohort))
    return np.concatenate(parts)


def _all_findings(of_model: tuple[str, ...], manifest: Manifest) -> tuple[str, ...]:
    """The model's findings in its order, then what else the manifest has labels of."""
    return (*of_model, *(finding for finding in manifest.findings if finding not in of_model))


def _columns(
    probabilities: NDArray[np.float64], of_model: tuple[str, ...], learnt: list[str], findings: tuple[str, ...]
) -> NDArray[np.float32]:
    """The model's columns [n, of_model] put in the order of `findings`; NaN where it never learnt one."""
    table = np.full((len(probabilities), len(findings)), np.nan, np.float32)
    for column, finding in enumerate(of_model):
        if finding in learnt:
            table[:, findings.index(finding)] = probabilities[:, column]
    return table
