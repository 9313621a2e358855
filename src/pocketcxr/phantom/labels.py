"""What a label mined from a report says of what is there: missed, swapped, misread and carried-over findings."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.phantom.config import LOOK_ALIKES, LabelNoise

Flags = NDArray[np.bool_]
Rates = NDArray[np.float64]


@dataclass(frozen=True)
class ErrorRates:
    """Chances of each kind of error, float64 [finding] in the order of CHESTXRAY14.

    missed: of what is there. swapped: of what is there and mentioned. misread: of what is not there.
    carried_over: of what is not there but was in the patient's image before.
    look_alikes: the others of the finding's group, as places in CHESTXRAY14.
    """

    missed: Rates
    swapped: Rates
    misread: Rates
    carried_over: Rates
    look_alikes: tuple[tuple[int, ...], ...]


def error_rates(noise: LabelNoise, prevalence: Rates) -> ErrorRates:
    """The rates of `noise` at its strength; prevalence: float64 [finding], share of images with it (below 1)."""
    look_alikes = tuple(_look_alikes(finding) for finding in CHESTXRAY14)
    false_positive = np.array([noise.false_positive[finding] for finding in CHESTXRAY14])
    has_look_alike = np.array([len(others) > 0 for others in look_alikes])
    return ErrorRates(
        missed=noise.strength * np.array([noise.false_negative[finding] for finding in CHESTXRAY14]),
        swapped=noise.strength * noise.confusion * has_look_alike,
        # Given as a share of the prevalence, so that rare findings do not drown; needed per image without the finding.
        misread=np.minimum(noise.strength * false_positive * prevalence / (1 - prevalence), 1.0),
        carried_over=np.full(len(CHESTXRAY14), noise.strength * noise.carried_over),
        look_alikes=look_alikes,
    )


def report(present: Flags, before: Flags, rates: ErrorRates, rng: np.random.Generator) -> Flags:
    """The findings as labelled, bool [finding].

    present: what is there; before: what was there in the patient's image before (all False in the first).
    As many numbers are drawn whatever the rates, so a stronger noise misses and misreads all that a weaker one does.
    """
    missed, swapped, partner, misread, carried_over = rng.random((5, len(present)))
    is_mentioned = present & (missed >= rates.missed)
    is_swapped = is_mentioned & (swapped < rates.swapped)
    labelled: Flags = is_mentioned & ~is_swapped
    for index in np.flatnonzero(is_swapped):
        others = rates.look_alikes[index]
        labelled[others[int(partner[index] * len(others))]] = True
    labelled |= ~present & (misread < rates.misread)
    labelled |= ~present & before & (carried_over < rates.carried_over)
    return labelled


def _look_alikes(finding: str) -> tuple[int, ...]:
    return tuple(
        CHESTXRAY14.index(other) for group in LOOK_ALIKES if finding in group for other in group if other != finding
    )
