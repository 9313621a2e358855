"""Batches are a pure function of (seed, step), and an epoch visits each row once."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pocketcxr.data.augment import NO_AUGMENTATION, AugmentConfig
from pocketcxr.data.batches import (
    BatchConfig,
    batch_at,
    batch_indices,
    normalise_tensor,
    pixels_at,
    plain_pixels,
)
from pocketcxr.data.dataset import Cohort
from pocketcxr.data.images import in_memory
from pocketcxr.imaging.preprocess import PreprocessSpec, normalise

MakeCohort = Callable[[NDArray[np.float32]], Cohort]


def _labels(num: int, num_labelled: int) -> NDArray[np.float32]:
    """The first rows labelled, the others unknown."""
    labels = np.full((num, 2), np.nan, dtype=np.float32)
    labels[:num_labelled, 0] = np.arange(num_labelled) % 2
    return labels


@settings(deadline=None, max_examples=50)
@given(num=st.integers(1, 40), batch_size=st.integers(1, 50), seed=st.integers(0, 2**63 - 1))
def test_each_epoch_visits_each_row_once(num: int, batch_size: int, seed: int) -> None:
    num_steps = -(-3 * num // batch_size)
    rows = np.concatenate([batch_indices(num, batch_size, seed, step) for step in range(num_steps)])
    for epoch in range(3):
        assert sorted(rows[epoch * num : (epoch + 1) * num]) == list(range(num))


@given(step=st.integers(0, 10**9), num=st.integers(1, 1000))
def test_a_batch_does_not_depend_on_what_was_asked_before(step: int, num: int) -> None:
    first = batch_indices(num, 8, 3, step)
    batch_indices(num, 8, 3, 0)
    assert (batch_indices(num, 8, 3, step) == first).all()
    assert len(first) == 8


def test_seeds_and_epochs_have_different_orders() -> None:
    orders = [tuple(batch_indices(30, 30, seed, step)) for seed, step in [(0, 0), (0, 1), (1, 0), (1, 1)]]
    assert len(set(orders)) == 4


def test_a_batch_holds_the_rows_its_indices_say(make_cohort: MakeCohort) -> None:
    cohort = make_cohort(_labels(10, 10))
    batch = batch_at(cohort, BatchConfig(batch_size=4, augment=NO_AUGMENTATION), step=1)
    rows = batch.indices.numpy()
    assert torch.equal(batch.pixels, plain_pixels(cohort, rows))
    np.testing.assert_array_equal(batch.labels.numpy(), cohort.labels[rows])
    assert batch.pixels.shape == (4, 1, 32, 32)


def test_two_calls_give_the_same_batch_bit_for_bit(make_cohort: MakeCohort) -> None:
    cohort, config = make_cohort(_labels(10, 4)), BatchConfig(batch_size=6, labelled_share=0.5)
    first, second = batch_at(cohort, config, 5), batch_at(cohort, config, 5)
    assert torch.equal(first.pixels, second.pixels)
    assert torch.equal(first.indices, second.indices)
    assert first.view == second.view


@settings(deadline=None, max_examples=30)
@given(
    num_labelled=st.integers(1, 9), share=st.floats(0.01, 1), batch_size=st.integers(1, 12), step=st.integers(0, 500)
)
def test_every_batch_has_the_labelled_share_to_the_row(
    num_labelled: int, share: float, batch_size: int, step: int
) -> None:
    cohort = Cohort(
        images=in_memory(np.zeros((10, 16, 16), dtype=np.uint8)),
        labels=_labels(10, num_labelled),
        image_ids=tuple("abcdefghij"),
        patient_ids=tuple("abcdefghij"),
        findings=("Effusion", "Nodule"),
        spec=PreprocessSpec(size=16),
    )
    batch = batch_at(cohort, BatchConfig(batch_size=batch_size, labelled_share=share, augment=NO_AUGMENTATION), step)
    assert len(batch.indices) == batch_size
    assert int((batch.indices < num_labelled).sum()) == max(1, round(share * batch_size))


def test_each_pass_over_the_unlabelled_rows_visits_each_once(make_cohort: MakeCohort) -> None:
    cohort, config = make_cohort(_labels(12, 2)), BatchConfig(batch_size=4, labelled_share=0.5, augment=NO_AUGMENTATION)
    seen = torch.cat([batch_at(cohort, config, step).indices for step in range(5)])
    assert sorted(seen[seen >= 2].tolist()) == list(range(2, 12))


@pytest.mark.parametrize("num_labelled", [0, 10])
def test_where_all_rows_are_alike_the_share_changes_nothing(make_cohort: MakeCohort, num_labelled: int) -> None:
    cohort = make_cohort(_labels(10, num_labelled))
    shared = batch_at(cohort, BatchConfig(batch_size=4, labelled_share=0.5), 3)
    uniform = batch_at(cohort, BatchConfig(batch_size=4), 3)
    assert torch.equal(shared.indices, uniform.indices)


def test_the_view_is_the_epoch_or_cycles_through_the_configured_number(make_cohort: MakeCohort) -> None:
    cohort = make_cohort(_labels(8, 8))
    fresh = [batch_at(cohort, BatchConfig(batch_size=4), step).view for step in range(8)]
    cycled = [
        batch_at(cohort, BatchConfig(batch_size=4, augment=AugmentConfig(num_views=3)), step).view for step in range(8)
    ]
    assert fresh == [0, 0, 1, 1, 2, 2, 3, 3]
    assert cycled == [0, 0, 1, 1, 2, 2, 0, 0]


def test_any_view_of_any_rows_can_be_asked_for_again(make_cohort: MakeCohort) -> None:
    """What a teacher cache needs: the batch's pixels come back from (indices, view) alone."""
    cohort, config = make_cohort(_labels(9, 9)), BatchConfig(batch_size=5)
    batch = batch_at(cohort, config, 7)
    order = torch.tensor([3, 0, 4])
    assert torch.equal(pixels_at(cohort, config, batch.indices[order], batch.view), batch.pixels[order])


def test_tensors_are_normalised_as_arrays_are(make_cohort: MakeCohort) -> None:
    cohort, spec = make_cohort(_labels(2, 2)), PreprocessSpec(size=32, mean=0.45, std=0.22)
    expected = normalise(cohort.pixels(slice(None)), spec)
    actual = normalise_tensor(plain_pixels(cohort, slice(0, 2)), spec)[:, 0].numpy()
    np.testing.assert_allclose(actual, expected, atol=1e-6)
