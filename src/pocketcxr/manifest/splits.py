"""Parting patients by seed: a person's images stay together, and the findings are spread about evenly."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from pocketcxr.domain.errors import ConfigError, ManifestError, UsageError
from pocketcxr.domain.study import Split
from pocketcxr.manifest.csv_tables import column, read_csv, refuse_rows

Fraction = Annotated[float, Field(ge=0, lt=1)]


class SplitConfig(BaseModel, frozen=True, extra="forbid"):
    """How patients are parted."""

    method: Literal["official", "patients", "external-test"] = "official"
    """official: as the source published it. patients: all patients anew by seed; the defaults give the 70/10/20 parts
    of CheXNet (Rajpurkar et al. 2017, arXiv 1711.05225). external-test: every image is a test image."""
    validation_fraction: Fraction = 0.125
    """Of the patients that are not test patients, where the source has no validation part of its own."""
    test_fraction: Fraction = 0.2
    """Of all patients; for method patients."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    file: Path | None = None
    """A split file that an earlier prepare wrote: patients keep the split they have there; method is not asked."""


@dataclass(frozen=True)
class People:
    """Whose images they are and what is seen in them, row by row, for a fair share of each finding in each part.

    patient_ids: one an image. is_present: bool [image, finding].
    official: the published Split of each image, or None where the source has none.
    """

    patient_ids: NDArray[np.str_]
    is_present: NDArray[np.bool_]
    official: NDArray[np.str_] | None = None


def assign_splits(people: People, config: SplitConfig, where: str) -> NDArray[np.str_]:
    """The Split of every image; a patient is in one only.

    Raises ManifestError where published parts share a patient or the split file lacks one, ConfigError where the source
    has published no split and `official` is asked for.
    """
    if config.file is not None:
        return _from_file(people.patient_ids, config.file, where)
    match config.method:
        case "external-test":
            return np.full(len(people.patient_ids), Split.TEST.value)
        case "patients":
            is_test = choose_patients(people.patient_ids.tolist(), people.is_present, config.test_fraction, config.seed)
            official = np.where(is_test, Split.TEST.value, Split.TRAIN.value)
        case "official":
            if people.official is None:
                raise ConfigError(
                    f"{where}: this source has no official split; give split.method=patients or external-test"
                )
            official = people.official
            parts = {part: people.patient_ids[official == part].tolist() for part in np.unique(official).tolist()}
            check_apart(parts, where)
    if (official == Split.VALIDATION.value).any():
        return official
    return _with_validation(people, official, config)


def _with_validation(people: People, parts: NDArray[np.str_], config: SplitConfig) -> NDArray[np.str_]:
    """The parts with some of the training patients moved to validation."""
    is_train = parts == Split.TRAIN.value
    is_validation = np.zeros(len(parts), dtype=np.bool_)
    is_validation[is_train] = choose_patients(
        people.patient_ids[is_train].tolist(), people.is_present[is_train], config.validation_fraction, config.seed
    )
    split: NDArray[np.str_] = np.select([is_validation], [Split.VALIDATION.value], parts)
    return split


def split_table(table: pd.DataFrame) -> bytes:
    """The split file of a manifest's table: patient_id,split in the order of the patients, as CSV."""
    patients = table[["patient_id", "split"]].drop_duplicates().sort_values("patient_id")
    return patients.to_csv(index=False, lineterminator="\n").encode()


def split_digest(table: pd.DataFrame) -> str:
    """SHA-256 of `split_table`: equal for equal splits of equal patients only."""
    return hashlib.sha256(split_table(table)).hexdigest()


def _from_file(patient_ids: NDArray[np.str_], path: Path, where: str) -> NDArray[np.str_]:
    patients = read_csv(path)
    ids, parts = column(patients, ("patient_id",), path), column(patients, ("split",), path)
    refuse_rows(~parts.isin([part.value for part in Split]), path, "name no split", "write train, validation or test")
    refuse_rows(ids.duplicated(), path, "name a patient twice", "keep one row a patient")
    found = pd.Series(patient_ids).map(dict(zip(ids, parts, strict=True)))
    if found.isna().any():
        first = patient_ids[int(found.isna().to_numpy().argmax())]
        raise ManifestError(
            f"{where}: {int(found.isna().sum())} images are of patients that {path} does not name "
            f"(first: {first!r}) - add them, or take the split file of this data set"
        )
    return found.to_numpy(dtype=np.str_)


def choose_patients(
    patient_ids: Sequence[str], is_present: NDArray[np.bool_], fraction: float, seed: int
) -> NDArray[np.bool_]:
    """Which images belong to the chosen patients, bool [image]: about `fraction` of the patients, by seed.

    patient_ids: one an image; is_present [image, finding]. Stratified by each patient's rarest finding: in the order of
    these strata every 1/fraction-th patient is chosen, so that each stratum gives its share to within one patient. The
    order of the images does not matter.
    """
    if not 0 <= fraction < 1:
        raise UsageError(f"a fraction of {fraction} of the patients cannot be chosen; give 0 <= fraction < 1")
    patients, row_of = np.unique(np.asarray(patient_ids, dtype=np.str_), return_inverse=True)
    has_finding = np.zeros((len(patients), is_present.shape[1]), dtype=np.bool_)
    np.logical_or.at(has_finding, row_of, is_present)
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(patients)), _rarest(has_finding)))
    steps = np.floor(np.arange(len(patients) + 1) * fraction + rng.random()).astype(np.int64)
    is_chosen = np.zeros(len(patients), dtype=np.bool_)
    is_chosen[order] = np.diff(steps) > 0
    chosen: NDArray[np.bool_] = is_chosen[row_of]
    return chosen


def check_apart(named: dict[str, Sequence[str]], where: str) -> None:
    """Nothing, when no patient is under two of the names (a name -> its images' patients). Raises ManifestError."""
    home: dict[str, str] = {}
    torn: dict[str, tuple[str, str]] = {}
    for name, patients in named.items():
        for patient in set(patients):
            if home.setdefault(patient, name) != name:
                torn[patient] = (home[patient], name)
    if torn:
        first = min(torn)
        raise ManifestError(
            f"{where}: {len(torn)} patients are in both {' and '.join(torn[first])} (first: patient {first!r}); "
            "scores of people seen in training mean nothing - take all images of a patient into one list"
        )


def _rarest(has_finding: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The stratum of each patient: the rank of the rarest finding they have, or one more for none of them."""
    rarest_first = np.argsort(has_finding.sum(axis=0), kind="stable")
    ranked = np.column_stack((has_finding[:, rarest_first], np.ones(len(has_finding), dtype=np.bool_)))
    stratum: NDArray[np.int64] = ranked.argmax(axis=1).astype(np.int64)
    return stratum
