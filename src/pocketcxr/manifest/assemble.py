"""From what a reader found in its source's tables to a manifest: files measured, boxes scaled, patients parted."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pocketcxr.domain.errors import ConfigError, EmptyCohortError, ManifestError
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.image_files import ImagesConfig, measure_images
from pocketcxr.manifest.rules import REGION_COLUMNS, label_column, no_regions, table_columns
from pocketcxr.manifest.schema import Manifest, ManifestHeader, validate
from pocketcxr.manifest.splits import People, SplitConfig, assign_splits

SIMULATED = "SIMULATED.txt"
FRAME_COLUMNS = ("frame_height", "frame_width")
_SIZES = ["height", "width"]
_TEXTS = ("image_id", "path", "patient_id", "study_id", "view_position", "sex")


@dataclass(frozen=True, eq=False)
class Draft:
    """What a source's tables say; row i of `table`, `states` and `official` is the same image.

    table: image_id, path (relative to the root), patient_id, study_id, view_position, sex, age_years (NaN unknown), and
    height, width where the tables tell them (asked for under labels_only, and of use nowhere else).
    states: one column a finding, named by it, of LabelState texts.
    regions: rules.REGION_COLUMNS; with frame_height and frame_width beside them, boxes are given in pixels of an image
    of that size and are scaled to the file's own.
    official: the published Split of each image; None where the source has none.
    refused: records that the reader itself left out.
    """

    source: str
    table: pd.DataFrame
    states: pd.DataFrame
    regions: pd.DataFrame
    official: NDArray[np.str_] | None = None
    notes: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()


def require_simulated(root: Path, named: Path) -> None:
    """Nothing, when `root` holds a simulated data set, which alone has true labels. Raises ConfigError on `named`."""
    if not (root / SIMULATED).is_file():
        raise ConfigError(f"{named}: is not simulated, so it has no true labels; leave out clean=true")


def assemble(
    root: Path, draft: Draft, split: SplitConfig, images: ImagesConfig, progress: Progress = silent
) -> Manifest:
    """The manifest of the draft, validated; its order is the draft's.

    Raises ManifestError where a file is broken (and that is refused) or the tables break the rules, EmptyCohortError
    where no image is left, ConfigError where the split asked for does not exist.
    """
    if draft.table["image_id"].duplicated().any():
        raise ManifestError(_repeated(root, draft.table))
    refused, notes = draft.refused, list(draft.notes)
    if images.labels_only:
        draft = _with_told_sizes(draft)
        notes.append("Labels only, no image was looked at: height and width are what the tables tell, or 0.")
    else:
        measured = measure_images(root, draft.table["path"].tolist(), images, progress)
        refused += measured.refused
        draft = _rows(draft, measured.is_usable, measured.sizes)
    if draft.table.empty:
        raise EmptyCohortError(f"{root}: no image of {len(refused)} is left - see the first: {_first(refused)}")
    if refused:
        notes.append(f"{len(refused)} files or records were left out (first: {_first(refused)}).")
    people = People(
        draft.table["patient_id"].to_numpy(dtype=np.str_),
        (draft.states == LabelState.PRESENT.value).to_numpy(dtype=np.bool_),
        draft.official,
    )
    table = draft.table.assign(source=draft.source, split=assign_splits(people, split, str(root)))
    findings = tuple(str(name) for name in draft.states.columns)
    labels = draft.states.rename(columns=label_column).astype("str")
    table = pd.concat([table, labels], axis=1)[list(table_columns(findings))]
    header = ManifestHeader(
        source=draft.source,
        root=str(root.resolve()),
        findings=findings,
        is_simulated=(root / SIMULATED).is_file(),
        is_labels_only=images.labels_only,
        notes=(*notes, _told(split)),
    )
    types = dict.fromkeys((*_TEXTS, "source", "split"), "str") | {"age_years": "float64"}
    manifest = Manifest(table.astype(types), _on_images(draft), header, refused)
    validate(manifest, str(root))
    return manifest


def _with_told_sizes(draft: Draft) -> Draft:
    """The draft with height and width as its tables tell; 0, unknown, where they do not."""
    told = draft.table.reindex(columns=_SIZES).apply(pd.to_numeric, errors="coerce")
    return replace(draft, table=draft.table.assign(**told.fillna(0).astype("int64")))


def _rows(draft: Draft, is_kept: NDArray[np.bool_], sizes: NDArray[np.int64]) -> Draft:
    """The kept rows of the draft, with the sizes of their files."""
    table = draft.table.assign(height=sizes[:, 0], width=sizes[:, 1])[is_kept].reset_index(drop=True)
    return replace(
        draft,
        table=table,
        states=draft.states[is_kept].reset_index(drop=True),
        regions=draft.regions[draft.regions["image_id"].isin(table["image_id"])].reset_index(drop=True),
        official=None if draft.official is None else draft.official[is_kept],
    )


def _on_images(draft: Draft) -> pd.DataFrame:
    """The regions in pixels of their images."""
    regions = draft.regions[draft.regions["image_id"].isin(draft.table["image_id"])].reset_index(drop=True)
    if regions.empty:
        return no_regions()
    if set(FRAME_COLUMNS) <= set(regions.columns):
        sizes = draft.table.set_index("image_id")[_SIZES].loc[regions["image_id"]].to_numpy(dtype=np.float64)
        frames = regions[list(FRAME_COLUMNS)].to_numpy(dtype=np.float64)
        # An unknown size of the file or of the frame: the box stays as the source gives it.
        is_known = (sizes > 0) & ~np.isnan(frames)
        scale = np.divide(sizes, frames, out=np.ones_like(sizes), where=is_known)
        for side, axis in (("x", 1), ("y", 0), ("w", 1), ("h", 0)):
            regions[side] = regions[side] * scale[:, axis]
    types = dict.fromkeys(REGION_COLUMNS[:2], "str") | dict.fromkeys(REGION_COLUMNS[2:], "float64")
    return regions[list(REGION_COLUMNS)].astype(types)


def _repeated(root: Path, table: pd.DataFrame) -> str:
    repeated = table["image_id"][table["image_id"].duplicated()]
    return f"{root}: {len(repeated)} rows repeat an image (first: {repeated.iloc[0]}) - keep one row an image"


def _first(refused: tuple[Refusal, ...]) -> str:
    return f"{refused[0].path}, {refused[0].code.value}" if refused else "the tables hold no row"


def _told(split: SplitConfig) -> str:
    """How patients were parted, in a sentence."""
    if split.file is not None:
        return f"Splits from {split.file}."
    match split.method:
        case "external-test":
            return "Splits: an external test set, every image is a test image."
        case "patients":
            return (
                f"Splits: by patient, {split.test_fraction:g} of them for test, {split.validation_fraction:g} of the "
                f"others for validation, seed {split.seed}."
            )
        case "official":
            return (
                f"Splits: the published ones; without a published validation part {split.validation_fraction:g} of "
                f"the training patients, seed {split.seed}."
            )
