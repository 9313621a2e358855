"""Small score tables for the tests of this room."""

from collections.abc import Callable

import numpy as np
import pytest

from pocketcxr.evaluate.scores import ScoreTable

FINDINGS = ("Cardiomegaly", "Effusion", "Hernia")


def _score_table(
    seed: int = 0, num_images: int = 120, images_a_patient: int = 3, skill: float = 1.0, truth_seed: int = 0
) -> ScoreTable:
    labels = (np.random.default_rng(truth_seed).random((num_images, 3)) < [0.3, 0.4, 0.2]).astype(np.float32)
    noise = np.random.default_rng(1000 + seed).normal(size=labels.shape)
    return ScoreTable(
        findings=FINDINGS,
        image_ids=tuple(f"{i:04d}.png" for i in range(num_images)),
        patient_ids=tuple(f"patient-{i // images_a_patient}" for i in range(num_images)),
        labels=labels,
        probabilities=(1 / (1 + np.exp(-(skill * labels + noise)))).astype(np.float32),
    )


@pytest.fixture(scope="session")
def score_table() -> Callable[..., ScoreTable]:
    """Makes a table of three findings; one `truth_seed` gives the same labels whatever the `seed` of the scores."""
    return _score_table
