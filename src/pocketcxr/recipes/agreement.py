"""two runs or bundles + manifest -> agreement.json: do both look at the same places?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr._version import __version__
from pocketcxr.domain.errors import EmptyCohortError, UsageError
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import Split
from pocketcxr.evaluate import wording
from pocketcxr.evaluate.agreement import HeatmapSet, agreement_table
from pocketcxr.evaluate.agreement_report import AgreementGain, AgreementReport, agreement_gain, agreement_report
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES
from pocketcxr.explain.methods import Method
from pocketcxr.manifest.labels import LabelPolicy, label_matrix
from pocketcxr.manifest.schema import read_manifest, select
from pocketcxr.recipes.explain_cohort import open_cohort, read_batches
from pocketcxr.recipes.explaining import Explainer, Maps, open_explainer
from pocketcxr.train.atomic import write_atomically

SCHEMA_VERSION = 1
STAGE = "comparing heatmaps"


@dataclass(frozen=True)
class MapSource:
    """A run or bundle, and the method its heatmaps are made by."""

    source: Path
    method: Method = "one-pass"

    @property
    def named(self) -> str:
        """How reports name it."""
        return str(self.source) if self.method == "one-pass" else f"{self.source} by {self.method}"


@dataclass(frozen=True)
class AgreementOptions:
    """On which images."""

    manifest: Path
    """Its labels say where a finding is present: for phantoms give the manifest of the clean labels."""
    split: Split | None = Split.TEST
    """None takes all images."""
    num_resamples: int = NUM_RESAMPLES
    seed: int = 0
    """Of the bootstrap."""


class _Check(BaseModel, frozen=True, extra="forbid"):
    """What both files say of how they came about."""

    schema_version: int = SCHEMA_VERSION
    notice: str = wording.RESEARCH_ONLY
    made_by: str = f"pocketcxr {__version__}"
    first: str
    second: str
    manifest: str
    split: Split | None
    is_simulated: bool
    """Whether a model or the images are simulated."""
    seed: int
    refused: tuple[str, ...]
    """Why files were left out."""


class AgreementCheck(_Check, frozen=True):
    """What agreement.json holds."""

    present: AgreementReport | None
    """Of images whose finding is present by label; None where the manifest has none."""
    all_images: AgreementReport


class GainCheck(_Check, frozen=True):
    """What agreement-gain.json holds: how much better `first` agrees with `reference` than `second` does."""

    reference: str
    present: AgreementGain | None
    all_images: AgreementGain


def agreement(
    first: MapSource, second: MapSource, options: AgreementOptions, out: Path, progress: Progress = silent
) -> AgreementCheck:
    """Agreement of two models' heatmaps, written to the file `out`.

    Raises UsageError where a source is no model, the two share no finding or `out` cannot be made, EmptyCohortError
    where no image can be read, and what reading models and manifest raises.
    """
    seen = _look([first, second], options, progress)
    check = AgreementCheck(
        first=first.named,
        second=second.named,
        manifest=str(options.manifest),
        split=options.split,
        is_simulated=seen.is_simulated,
        seed=options.seed,
        refused=seen.refused,
        present=_report(seen.heatmaps, seen.is_present, options) if seen.is_present.any() else None,
        all_images=_report(seen.heatmaps, None, options),
    )
    _write(out, check)
    return check


@dataclass(frozen=True)
class Rivals:
    """Two models that are compared with a third: before and after distillation with their teacher, say."""

    first: MapSource
    second: MapSource
    reference: MapSource


def compare_agreements(rivals: Rivals, options: AgreementOptions, out: Path, progress: Progress = silent) -> GainCheck:
    """How much better the first agrees with the reference than the second does, image by image, written to `out`.

    Raises what `agreement` raises, and ManifestError where one rival's maps are coarser than the other's and the
    reference's.
    """
    seen = _look([rivals.first, rivals.second, rivals.reference], options, progress)
    check = GainCheck(
        reference=rivals.reference.named,
        first=rivals.first.named,
        second=rivals.second.named,
        manifest=str(options.manifest),
        split=options.split,
        is_simulated=seen.is_simulated,
        seed=options.seed,
        refused=seen.refused,
        present=_gain(seen.heatmaps, seen.is_present, options) if seen.is_present.any() else None,
        all_images=_gain(seen.heatmaps, None, options),
    )
    _write(out, check)
    return check


@dataclass(eq=False)
class _Seen:
    """The heatmaps of all models on the same images, of the findings all of them learnt."""

    heatmaps: list[HeatmapSet]
    is_present: NDArray[np.bool_]
    """[n, finding]: whether the label says so; False where it is unknown."""
    is_simulated: bool
    refused: tuple[str, ...]


def _look(sources: Sequence[MapSource], options: AgreementOptions, progress: Progress) -> _Seen:
    explainers = [open_explainer(one.source, one.method) for one in sources]
    findings = _shared_findings(sources, explainers)
    manifest = select(read_manifest(options.manifest), options.split)
    cohort = open_cohort(manifest, frozenset())  # where findings are is not asked
    numbers: list[int] = []
    parts: list[list[Maps]] = [[] for _ in explainers]
    for rows, radiographs in read_batches(cohort, manifest.table, progress, STAGE):
        numbers += [int(row.Index) for row in rows]
        for explainer, of_model in zip(explainers, parts, strict=True):
            outputs = [explainer.findings.index(finding) for finding in findings]
            of_model.append(explainer.maps(explainer.prepare(radiographs), outputs))
    if not numbers:
        raise EmptyCohortError(
            f"none of {manifest.num_images} files can be read: {next(iter(cohort.refused.values()))}"
        )
    read = manifest.table.iloc[numbers]
    image_ids, patient_ids = (tuple(read[column].astype(str)) for column in ("image_id", "patient_id"))
    return _Seen(
        [HeatmapSet(findings, image_ids, patient_ids, np.concatenate(of_model)) for of_model in parts],
        label_matrix(manifest, findings, LabelPolicy())[numbers] == 1,
        manifest.header.is_simulated or any(explainer.is_simulated for explainer in explainers),
        tuple(cohort.refused.values()),
    )


def _shared_findings(sources: Sequence[MapSource], explainers: Sequence[Explainer]) -> tuple[str, ...]:
    """The findings that every model learnt, in the first's order."""
    findings = tuple(
        finding for finding in explainers[0].findings if all(finding in explainer.learnt for explainer in explainers)
    )
    if not findings:
        names = ", ".join(str(one.source) for one in sources)
        raise UsageError(f"{names} learnt no finding in common; compare models of the same findings")
    return findings


def _report(
    heatmaps: Sequence[HeatmapSet], is_asked: NDArray[np.bool_] | None, options: AgreementOptions
) -> AgreementReport:
    first, second = heatmaps
    rng = np.random.default_rng(options.seed)
    return agreement_report(agreement_table(first, second, is_asked), rng, options.num_resamples)


def _gain(
    heatmaps: Sequence[HeatmapSet], is_asked: NDArray[np.bool_] | None, options: AgreementOptions
) -> AgreementGain:
    first, second, reference = heatmaps
    rng = np.random.default_rng(options.seed)
    ours, theirs = (agreement_table(one, reference, is_asked) for one in (first, second))
    return agreement_gain(ours, theirs, rng, options.num_resamples)


def _write(out: Path, check: AgreementCheck | GainCheck) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out.parent} cannot be made ({error.strerror or error}); choose another folder") from error
    write_atomically(out, (check.model_dump_json(indent=2) + "\n").encode())
