"""A card's calibration and thresholds are applied to the logits as they stand, and to nothing that was never learnt."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from pocketcxr.imaging.load import load
from pocketcxr.runtime.bundle import Bundle
from pocketcxr.runtime.card import Card
from pocketcxr.runtime.card_calibration import Calibration
from pocketcxr.runtime.golden import verify_golden
from pocketcxr.runtime.predict import finding_scores, probabilities_of, score
from pocketcxr.runtime.score_columns import score_cells, score_columns
from pocketcxr.runtime.session import open_engine

from .test_card import line, point


@pytest.fixture(scope="session")
def card(bundle: Bundle) -> Card:
    """Effusion is calibrated and has two thresholds, Mass has neither, Nodule was never learnt."""
    calibration = Calibration(findings=(line("Effusion", 0.5, -1.0),), not_calibrated={"Mass": "too few"})
    points = (point("Effusion", "sensitivity-90", 0.2), point("Effusion", "youden", 0.4))
    return bundle.card.model_copy(update={"calibration": calibration, "operating_points": points})


@settings(max_examples=50)
@given(st.floats(-50, 50, width=32), st.floats(-50, 50, width=32))
def test_probabilities_are_the_sigmoid_of_the_line(card: Card, effusion: float, mass: float) -> None:
    logits = np.array([effusion, 3.0, mass], np.float32)
    probabilities = probabilities_of(card, logits)
    assert probabilities[0] == pytest.approx(expit(0.5 * float(logits[0]) - 1.0), abs=1e-12)
    assert probabilities[2] == pytest.approx(expit(float(logits[2])), abs=1e-12)
    assert np.isnan(probabilities[1])


@settings(max_examples=50)
@given(st.floats(-50, 50, width=32), st.floats(-50, 50, width=32))
def test_calibration_never_changes_the_order(card: Card, one: float, other: float) -> None:
    low, high = np.sort(np.array([one, other], np.float32))
    told = probabilities_of(card, np.array([[low, 0, low], [high, 0, high]], np.float32))
    assert (told[0, [0, 2]] <= told[1, [0, 2]]).all()


def test_scores_say_whether_they_are_calibrated_and_what_was_decided(card: Card) -> None:
    effusion, nodule, mass = finding_scores(card, np.array([0.5, 9.0, 0.0], np.float32))
    assert effusion.is_calibrated
    assert effusion.logit == 0.5
    assert effusion.probability == pytest.approx(expit(-0.75))
    assert [(d.operating_point, d.threshold, d.is_positive) for d in effusion.decisions] == [
        ("sensitivity-90", 0.2, True),
        ("youden", 0.4, False),
    ]
    assert effusion.decision("youden") == effusion.decisions[1]
    assert (nodule.logit, nodule.probability, nodule.is_calibrated, nodule.decisions) == (None, None, False, ())
    assert (mass.probability, mass.is_calibrated, mass.decisions) == (0.5, False, ())
    assert mass.decision("youden") is None


def test_a_probability_at_the_threshold_is_positive(card: Card) -> None:
    at = card.model_copy(update={"operating_points": (point("Mass", "youden", 0.5),)})
    assert finding_scores(at, np.zeros(3, np.float32))[2].decisions[0].is_positive


def test_golden_vectors_are_logits_and_hold_whatever_the_calibration(bundle: Bundle, card: Card) -> None:
    assert verify_golden(open_engine(replace(bundle, card=card), 1)) <= 1e-4


def test_files_are_scored_with_the_cards_calibration(bundle: Bundle, card: Card, xrays: list[Path]) -> None:
    plain = score(open_engine(bundle, 1), load(xrays[0])).prediction.scores
    told = score(open_engine(replace(bundle, card=card), 1), load(xrays[0])).prediction.scores
    assert [one.logit for one in plain] == [one.logit for one in told]
    assert plain[0].probability != told[0].probability
    assert plain[2] == told[2]


def test_cells_stand_under_their_columns_and_give_the_logit_back(card: Card) -> None:
    logits = np.random.default_rng(0).normal(size=3).astype(np.float32)
    scores = finding_scores(card, logits)
    columns, cells = score_columns(card), score_cells(card, scores)
    row = dict(zip(columns, cells, strict=True))
    assert columns[:3] == ["Effusion", "Nodule", "Mass"]
    assert np.float32(row["logit.Effusion"]) == logits[0]
    assert float(row["Mass"]) == pytest.approx(scores[2].probability, rel=1e-5)
    assert (row["is_calibrated.Effusion"], row["is_calibrated.Mass"]) == ("1", "0")
    assert row["youden.Effusion"] == f"{scores[0].decisions[1].is_positive:d}"
    assert row["youden.Mass"] == ""
    assert {row[name] for name in columns if name.endswith("Nodule")} == {""}
