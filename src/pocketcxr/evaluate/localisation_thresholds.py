"""At which share of its largest value a heatmap is cut into an outline: chosen by finding, on validation images only.

CheXlocalize (Saporta et al., Nature Machine Intelligence 2022, doi 10.1038/s42256-022-00536-x) does the same: the
threshold with the largest mean intersection over union on its validation set, finding by finding.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pocketcxr.domain.errors import EmptyCohortError, ManifestError
from pocketcxr.evaluate.heatmaps import LocalisationSample
from pocketcxr.evaluate.localisation_baselines import HeatmapScore, Observed, mean_heatmap_scores, observe
from pocketcxr.evaluate.localisation_curves import LEVELS


@dataclass(frozen=True)
class Threshold:
    """Where the heatmaps of one finding are cut."""

    level: int
    """Index into LEVELS."""
    mean_heatmap_level: int | None
    """The same for the mean heatmap, chosen alike; None where there was one patient only."""
    num_images: int
    """Validation images it was chosen on."""


@dataclass(frozen=True)
class Thresholds:
    """The thresholds by finding, and whom they were chosen on."""

    by_finding: Mapping[str, Threshold]
    image_ids: frozenset[str]
    patient_ids: frozenset[str]


def choose_thresholds(samples: Iterable[LocalisationSample]) -> Thresholds:
    """For every finding among `samples` the level with the largest mean IoU; of equally good ones the lowest.

    samples: of validation patients, of whom none is scored later; may be a generator, no heatmap is kept. Raises
    EmptyCohortError where there is none.
    """
    by_finding = defaultdict[str, list[Observed]](list)
    image_ids, patient_ids = set[str](), set[str]()
    for one in map(observe, samples):
        by_finding[one.finding].append(one)
        image_ids.add(one.image_id)
        patient_ids.add(one.patient_id)
    if not by_finding:
        raise EmptyCohortError(
            "localisation: no validation image with a marked finding to choose thresholds on; leave IoU out"
        )
    return Thresholds(
        {finding: _choose(observed) for finding, observed in by_finding.items()},
        frozenset(image_ids),
        frozenset(patient_ids),
    )


def refuse_chosen_on(thresholds: Thresholds, observed: Sequence[Observed]) -> None:
    """Nothing, when the thresholds were chosen on other images of other patients. Raises ManifestError."""
    chosen_on = [
        one.image_id
        for one in observed
        if one.image_id in thresholds.image_ids or one.patient_id in thresholds.patient_ids
    ]
    if chosen_on:
        raise ManifestError(
            f"localisation: {len(chosen_on)} of {len(observed)} samples are of images or patients that the thresholds "
            f"were chosen on (first: {chosen_on[0]}); choose thresholds on validation patients and score others"
        )


def _choose(observed: Sequence[Observed]) -> Threshold:
    of_mean = [score for score in mean_heatmap_scores(observed) if score is not None]
    return Threshold(
        level=_best_level([one.score for one in observed]),
        mean_heatmap_level=_best_level(of_mean) if of_mean else None,
        num_images=len(observed),
    )


def _best_level(scores: Sequence[HeatmapScore]) -> int:
    mean = np.mean([score.ious for score in scores], axis=0)
    assert mean.shape == (len(LEVELS),)
    return int(mean.argmax())
