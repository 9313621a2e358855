"""What a labeller of reports says of each of CheXpert's 14 observations: present, absent, uncertain, unmentioned.

The rules are those of CheXpert's labeller (Irvin et al. 2019, arXiv 1901.07031, figure 1 and section 3;
github.com/stanfordmlgroup/chexpert-labeler).
"""

from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.findings import CHEXPERT, broader
from pocketcxr.domain.study import LabelState
from pocketcxr.phantom.config import LabelNoise
from pocketcxr.phantom.devices import Device

SHOWS: dict[str, str | None] = {
    "Atelectasis": "Atelectasis",
    "Cardiomegaly": "Cardiomegaly",
    "Effusion": "Effusion",
    "Infiltration": "Lung_Opacity",
    "Mass": "Lung_Lesion",
    "Nodule": "Lung_Lesion",
    "Pneumonia": "Pneumonia",
    "Pneumothorax": "Pneumothorax",
    "Consolidation": "Consolidation",
    "Edema": "Edema",
    "Emphysema": None,
    "Fibrosis": "Lung_Opacity",
    "Pleural_Thickening": "Pleural_Other",
    "Hernia": None,
}
"""Finding that is drawn -> the observation that speaks of it; broader observations follow from domain.findings.

Emphysema and hernias are no observation, but the labeller knows their words: a report with one is not No Finding.
"""
SUPPORTING: frozenset[str] = frozenset(device.value for device in Device) - {Device.STERNAL_WIRES.value}
"""Devices that are Support Devices: the labeller's words for these have lines, tubes and pacers, but no wires."""

Mentions = dict[str, LabelState]


def observe(
    labelled: Collection[str], devices: Collection[str], noise: LabelNoise, rng: np.random.Generator
) -> Mentions:
    """The state of each observation, in the order of CHEXPERT.

    labelled: the findings that the report names, rightly or not; devices: those over the chest, never missed. Of what
    is named a share of `noise.uncertain` is hedged, of what is not named a share of `noise.unmentioned` is passed over,
    both times its strength: at strength 0 every state is present or absent. As many numbers are drawn at any strength.
    """
    hedge_rolls, silence_rolls = rng.random((2, len(CHEXPERT)))
    is_hedged = _below(hedge_rolls, noise.uncertain, noise.strength)
    is_silent = _below(silence_rolls, noise.unmentioned, noise.strength)
    named = _named(labelled, devices)
    sure = _with_broader(name for name in named if not is_hedged[name])
    perhaps = _with_broader(named) - sure
    states = {name: LabelState.UNMENTIONED if is_silent[name] else LabelState.ABSENT for name in CHEXPERT}
    states |= dict.fromkeys(perhaps, LabelState.UNCERTAIN)
    return states | dict.fromkeys(sure, LabelState.PRESENT)


def _named(labelled: Collection[str], devices: Collection[str]) -> set[str]:
    """The observations that the report has words for."""
    named = {observation for finding in labelled if (observation := SHOWS[finding]) is not None}
    if SUPPORTING & set(devices):
        named.add("Support_Devices")
    if not labelled:
        named.add("No_Finding")
    return named


def _with_broader(observations: Iterable[str]) -> set[str]:
    return {name for observation in observations for name in (observation, *broader(observation)) if name in CHEXPERT}


def _below(rolls: NDArray[np.float64], rates: dict[str, float], strength: float) -> dict[str, bool]:
    return {name: bool(roll < strength * rates[name]) for name, roll in zip(CHEXPERT, rolls, strict=True)}
