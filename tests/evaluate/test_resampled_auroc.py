"""The fast AUROC of many resamples: the same numbers as the plain one, to the last bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketcxr.domain.errors import UsageError
from pocketcxr.evaluate.bootstrap import patient_weights
from pocketcxr.evaluate.curves import areas, by_score
from pocketcxr.evaluate.resampled_auroc import draw_counts, resampled_auroc


@given(seed=st.integers(0, 10_000), num_levels=st.sampled_from([2, 5, 1000]), num_resamples=st.sampled_from([1, 300]))
def test_it_equals_the_plain_areas_with_ties_and_unknown_labels(seed: int, num_levels: int, num_resamples: int) -> None:
    rng = np.random.default_rng(seed)
    num_images = int(rng.integers(4, 60))
    labels = rng.choice([0, 0, 1, np.nan], num_images).astype(np.float32)
    labels[:2] = 0, 1
    scores = (rng.integers(num_levels, size=num_images) / num_levels).astype(np.float32)
    patients = [str(row // 3) for row in range(num_images)]
    ranked = by_score(labels, scores)
    assert ranked is not None
    (weights,) = patient_weights(patients, np.random.default_rng(seed), num_resamples)
    counts = draw_counts(patients, np.random.default_rng(seed), num_resamples)
    fast = resampled_auroc(labels, scores, counts)
    assert fast is not None
    assert np.array_equal(fast, areas(ranked, weights).auroc, equal_nan=True)


@pytest.mark.parametrize(
    ("labels", "scores"),
    [([1, 1], [0.1, 0.2]), ([0, np.nan], [0.1, 0.2]), ([1, 0], [0.1, np.nan]), ([np.nan, np.nan], [0.1, 0.2])],
    ids=["no negative", "no positive", "never learnt", "no label"],
)
def test_what_cannot_be_ranked_has_no_figure(labels: list[float], scores: list[float]) -> None:
    counts = draw_counts(["a", "b"], np.random.default_rng(0), 3)
    assert resampled_auroc(np.array(labels), np.array(scores), counts) is None


def test_counts_take_few_bytes_and_every_resample_draws_as_many_patients_as_there_are() -> None:
    counts = draw_counts(["a", "a", "b", "c"], np.random.default_rng(0), 50)
    assert (counts.shape, counts.dtype) == ((4, 50), np.uint16)
    assert np.array_equal(counts[0], counts[1])
    assert np.array_equal(counts[1:].sum(axis=0), np.full(50, 3))


def test_zero_resamples_are_refused() -> None:
    with pytest.raises(UsageError, match="0 resamples"):
        draw_counts(["a"], np.random.default_rng(0), 0)
