"""Which images a model, its teacher and the teacher's teachers learnt from: they must not be scored."""

from dataclasses import dataclass, replace
from pathlib import Path

from pocketcxr.distill.self_teacher import SelfTeacher
from pocketcxr.domain.errors import EmptyCohortError, ManifestError, UsageError
from pocketcxr.domain.study import Split
from pocketcxr.manifest.identity import identified
from pocketcxr.manifest.schema import Manifest, read_manifest, select
from pocketcxr.manifest.trained_on import doubts, refuse_trained_on
from pocketcxr.recipes.config import load_config
from pocketcxr.recipes.run_config import CohortConfig, RunConfig
from pocketcxr.recipes.scoring import is_run
from pocketcxr.recipes.teacher_config import AnyTeacher, BundleTeacher, EnsembleTeacher, NetTeacher, RunTeacher
from pocketcxr.runtime.bundle import open_bundle
from pocketcxr.train.run_dir import existing_run


@dataclass(frozen=True, eq=False)
class Lineage:
    """What is known of the images a model learnt from."""

    trained: tuple[Manifest, ...] = ()
    """Rows it learnt from, directly or through a teacher."""
    unknown: tuple[str, ...] = ()
    """What cannot be looked up, in sentences."""
    card: tuple[str, str] | None = None
    """Of a bundle: the source of its training manifest and the digest of its splits ("" where it does not tell)."""


def lineage(source: Path) -> Lineage:
    """Of the run or bundle at `source`. Raises UsageError where it is neither."""
    return _of_run(source) if is_run(source) else _of_bundle(source)


def refuse_seen(scored: Manifest, of: Lineage, where: str) -> str:
    """A sentence for the report: that none of the images is of a trained patient, or that it cannot be known.

    Raises ManifestError where one is.
    """
    refuse_trained_on(scored, of.trained, where)
    unsure = [*of.unknown]
    if of.card is not None and (doubt := doubts(scored, *of.card)) is not None:
        unsure.append(doubt)
    if unsure:
        return " ".join(unsure)
    return "None of these images is of a patient that the model, or a teacher of it, was trained on."


def without_seen(scored: Manifest, of: Lineage) -> Manifest:
    """The manifest without the images of patients that were trained on; it may be left empty."""
    patients = {name for manifest in of.trained for name in identified(manifest)["patient_id"]}
    table = scored.table[~identified(scored)["patient_id"].isin(patients).to_numpy()].reset_index(drop=True)
    regions = scored.regions[scored.regions["image_id"].isin(table["image_id"])].reset_index(drop=True)
    return replace(scored, table=table, regions=regions)


def _of_bundle(source: Path) -> Lineage:
    training = open_bundle(source).card.training
    return Lineage(card=(str(training.get("source", "")), str(training.get("splits_sha256", ""))))


def _of_run(root: Path) -> Lineage:
    try:
        config = load_config(RunConfig, existing_run(root).config)
    except UsageError as error:
        return Lineage(unknown=(f"What taught it cannot be looked up ({error}).",))
    parts = [_of_manifest(root, config.manifest, config.cohort, Split.TRAIN)]
    every = None if config.cohort.unlabelled_splits == "all" else Split.TRAIN
    parts += [_of_manifest(root, path, config.cohort, every) for path in config.cohort.unlabelled]
    if config.teacher is not None:
        parts.append(_of_teacher(root, config.teacher))
    return _joined(parts)


def _of_teacher(root: Path, teacher: AnyTeacher) -> Lineage:
    match teacher:
        case RunTeacher():
            return _of_run(_found(root, teacher.run))
        case EnsembleTeacher():
            return _joined([_of_teacher(root, member) for member in teacher.members])
        case BundleTeacher():
            return Lineage(unknown=(f"Its teacher is the bundle {teacher.bundle}, which names no patients.",))
        case NetTeacher():
            return Lineage(unknown=(f"What its teacher {teacher.net.name} was trained on is not recorded here.",))
        case SelfTeacher():
            return Lineage()


def _of_manifest(root: Path, path: Path, cohort: CohortConfig, split: Split | None) -> Lineage:
    try:
        manifest = read_manifest(_found(root, path))
    except ManifestError as error:
        return Lineage(unknown=(f"Whether images were trained on cannot be told: {error}.",))
    try:
        return Lineage(trained=(select(manifest, split, cohort.view_positions),))
    except EmptyCohortError:
        return Lineage()


def _found(root: Path, path: Path) -> Path:
    """A path of the run's config: from here or, where that is nothing, from a folder above the run.

    Such paths are relative to the folder in which the training was started, which mostly lies above the run.
    """
    if path.is_absolute() or path.exists():
        return path
    above = (folder / path for folder in root.absolute().parents)
    return next((place for place in above if place.exists()), path)


def _joined(parts: list[Lineage]) -> Lineage:
    return Lineage(
        trained=tuple(manifest for part in parts for manifest in part.trained),
        unknown=tuple(dict.fromkeys(sentence for part in parts for sentence in part.unknown)),
    )
