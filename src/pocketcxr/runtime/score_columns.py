"""The scores of one file as cells of a table: the columns that `predict --csv` writes and `calibrate` reads."""

from collections.abc import Sequence

from pocketcxr.domain.prediction import FindingScore
from pocketcxr.runtime.card import Card


def score_columns(card: Card) -> list[str]:
    """Every finding's probability <finding>, then logit.<finding>, is_calibrated.<finding>, <criterion>.<finding>."""
    kinds = [f"{kind}.{finding}" for kind in ("logit", "is_calibrated") for finding in card.findings]
    decided = [f"{criterion}.{finding}" for criterion in card.criteria for finding in card.findings]
    return [*card.findings, *kinds, *decided]


def score_cells(card: Card, scores: Sequence[FindingScore]) -> list[str]:
    """The cells of `score_columns`: numbers, 1 for yes and 0 for no, nothing for what is not known.

    Logits have the nine digits that give a float32 back.
    """
    cells = [_digits(score.probability, 6) for score in scores]
    cells += [_digits(score.logit, 9) for score in scores]
    cells += ["" if score.probability is None else f"{score.is_calibrated:d}" for score in scores]
    decided = [score.decision(criterion) for criterion in card.criteria for score in scores]
    return cells + ["" if decision is None else f"{decision.is_positive:d}" for decision in decided]


def _digits(value: float | None, num: int) -> str:
    return "" if value is None else f"{value:.{num}g}"
