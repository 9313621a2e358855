"""Whether anything of the training part is seen again in validation or test: people, studies, pictures."""

from collections.abc import Sequence
from typing import Literal

import pandas as pd
from pydantic import BaseModel

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.manifest.near_duplicates import SimilarPair, fingerprint_files, similar_pairs
from pocketcxr.manifest.schema import Manifest

SCHEMA_VERSION = 1
_NUM_NAMED = 3


class LeakImage(BaseModel, frozen=True, extra="forbid"):
    """One image of a pair."""

    path: str
    patient_id: str
    split: str

    def __str__(self) -> str:
        return f"{self.path} (patient {self.patient_id}, {self.split})"


class LeakPair(BaseModel, frozen=True, extra="forbid"):
    """Two images of different patients, or of different splits, that show one exposure."""

    kind: Literal["same-file", "near-duplicate"]
    first: LeakImage
    second: LeakImage
    distance: int
    """Bits of 256 in which their perceptual hashes differ."""
    similarity: float
    """Correlation of their fine detail."""

    @property
    def crosses_splits(self) -> bool:
        """Whether one of them may be trained on while the other is scored."""
        return self.first.split != self.second.split

    def __str__(self) -> str:
        likeness = "the same file" if self.kind == "same-file" else f"{self.distance} of 256 bits differ"
        return f"{self.first} and {self.second}: {likeness}"


class LeakReport(BaseModel, frozen=True, extra="forbid"):
    """What was looked at and what was found."""

    schema_version: int = SCHEMA_VERSION
    num_images: int
    num_compared: int
    """Images whose pictures were compared; 0 where only the table was looked at."""
    patients: tuple[str, ...]
    """In two splits."""
    studies: tuple[str, ...]
    """In two splits."""
    pairs: tuple[LeakPair, ...]
    """Pairs of one patient in one split are ordinary follow-ups and not among them."""
    refused: tuple[Refusal, ...] = ()
    """Files that could not be compared."""

    @property
    def crossing(self) -> tuple[LeakPair, ...]:
        """The pairs that cross splits."""
        return tuple(pair for pair in self.pairs if pair.crosses_splits)

    @property
    def within(self) -> tuple[LeakPair, ...]:
        """The pairs of two patients inside one split: one person under two names, or one file listed twice."""
        return tuple(pair for pair in self.pairs if not pair.crosses_splits)

    @property
    def is_clean(self) -> bool:
        """Whether nothing crosses splits."""
        return not (self.patients or self.studies or self.crossing)


def check_leaks(manifest: Manifest, images: bool, progress: Progress = silent) -> LeakReport:
    """What crosses the splits of the manifest; with `images` every file is decoded and compared, else only the table.

    Unreadable files are listed, not compared. Nothing is raised: `refuse_leaks` does.
    """
    table = manifest.table
    pairs: tuple[LeakPair, ...] = ()
    refused: tuple[Refusal, ...] = ()
    num_compared = 0
    if images:
        files = [manifest.file_of(path) for path in table["path"]]
        fingerprints = fingerprint_files(files, progress)
        owners = (table["patient_id"] + " " + table["split"]).tolist()
        found = similar_pairs(files, owners, fingerprints, progress)
        pairs = tuple(_pair(table, one) for one in found)
        refused, num_compared = fingerprints.refused, len(fingerprints.rows)
    return LeakReport(
        num_images=len(table),
        num_compared=num_compared,
        patients=_torn(table, "patient_id"),
        studies=_torn(table, "study_id"),
        pairs=pairs,
        refused=refused,
    )


def refuse_leaks(report: LeakReport, where: str) -> None:
    """Nothing, when nothing crosses splits. Raises ManifestError with the counts, the first cases and the next step."""
    if report.patients or report.studies:
        kind, names = ("patients", report.patients) if report.patients else ("studies", report.studies)
        raise ManifestError(
            f"{where}: {len(names)} {kind} are in two splits (first: {names[0]!r}); scores of people seen in training "
            "mean nothing - assign splits by patient: --set split.method=patients"
        )
    if report.crossing:
        raise ManifestError(
            f"{where}: {len(report.crossing)} pairs of images that show the same exposure lie in different splits "
            f"(first: {_named(report.crossing)}); scores of pictures seen in training mean nothing - look at them, "
            "then remove one image of each, or give both patients the same patient_id and split again"
        )


def sentences(report: LeakReport) -> tuple[str, ...]:
    """What a user of the manifest should know of the check, for its notes and its card."""
    told = [
        f"{len(names)} {kind} are in two splits (first: {names[0]})."
        for kind, names in (("patients", report.patients), ("studies", report.studies))
        if names
    ]
    if report.num_compared:
        told.append(f"{report.num_compared:,} images were compared by content; {_verdict(report)}.")
    if report.within:
        told.append(
            f"{len(report.within)} pairs inside one split show the same exposure under two patients "
            f"(such as {report.within[0]}): the number of patients is overstated, and intervals are too narrow."
        )
    if report.refused:
        told.append(
            f"{len(report.refused)} files could not be compared (first: {report.refused[0].code.value}: "
            f"{report.refused[0].message})."
        )
    return tuple(told)


def _verdict(report: LeakReport) -> str:
    crossing = len(report.crossing)
    if not crossing:
        return "no copy lies in another split"
    return f"{crossing} pairs that show the same exposure lie in different splits (such as {report.crossing[0]})"


def _named(pairs: Sequence[LeakPair]) -> str:
    more = f"; and {len(pairs) - _NUM_NAMED} more" if len(pairs) > _NUM_NAMED else ""
    return "; ".join(str(pair) for pair in pairs[:_NUM_NAMED]) + more


def _torn(table: pd.DataFrame, key: str) -> tuple[str, ...]:
    """The values of the column that occur in more than one split, in order."""
    splits = table.groupby(key)["split"].nunique()
    return tuple(str(name) for name in splits.index[splits > 1])


def _pair(table: pd.DataFrame, found: SimilarPair) -> LeakPair:
    first, second = (
        LeakImage(path=row["path"], patient_id=row["patient_id"], split=row["split"])
        for row in (table.iloc[found.first], table.iloc[found.second])
    )
    return LeakPair(
        kind="same-file" if found.is_same_file else "near-duplicate",
        first=first,
        second=second,
        distance=found.distance,
        similarity=round(found.similarity, 4),
    )
