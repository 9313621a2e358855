"""Parting patients by seed: a person's images stay together, and the findings are spread about evenly."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.errors import ManifestError, UsageError


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
