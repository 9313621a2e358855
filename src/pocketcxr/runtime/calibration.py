"""What a card's calibration and operating points make of the model's logits: plain numpy."""

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.prediction import Decision
from pocketcxr.runtime.card import Card


def calibrated_logits(card: Card, logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Logits [..., finding] whose sigmoid is the probability to tell; unchanged where a finding is not calibrated.

    NaN in the columns of findings that the model never learnt.
    """
    lines = [card.calibrated.get(finding) for finding in card.findings]
    slopes = np.array([1.0 if line is None else line.slope for line in lines])
    offsets = np.array([0.0 if line is None else line.offset for line in lines])
    offsets[[finding in card.unlearnt for finding in card.findings]] = np.nan
    values: NDArray[np.float64] = slopes * logits.astype(np.float64) + offsets
    return values


def decisions(card: Card, finding: str, probability: float) -> tuple[Decision, ...]:
    """The finding's decision at every operating point that the card has for it: positive from the threshold on."""
    return tuple(
        Decision(point.criterion, point.threshold, probability >= point.threshold)
        for point in card.operating_points
        if point.finding == finding
    )
