"""Whoever computes batches, they are the same, in order; and no thread outlives its loop."""

import threading
import time
import traceback
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pocketcxr.data.batches import Batch, BatchConfig, batch_at
from pocketcxr.data.dataset import Cohort
from pocketcxr.data.loaders import LoaderConfig, batches_ahead, pick_workers

MakeCohort = Callable[[NDArray[np.float32]], Cohort]


def _numbered(step: int) -> Batch:
    return Batch(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1), torch.tensor([step]), view=0)


def _steps_of(batches: list[Batch]) -> list[int]:
    return [int(batch.indices) for batch in batches]


@settings(deadline=None, max_examples=25)
@given(first=st.integers(0, 9), num=st.integers(0, 20), workers=st.integers(0, 4), prefetch=st.integers(1, 3))
def test_batches_come_in_order_and_each_once(first: int, num: int, workers: int, prefetch: int) -> None:
    steps = range(first, first + num)
    with batches_ahead(_numbered, steps, workers, prefetch) as batches:
        assert _steps_of(list(batches)) == list(steps)


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_are_those_computed_in_place_bit_for_bit(make_cohort: MakeCohort, workers: int) -> None:
    cohort, config = make_cohort(np.zeros((10, 2), dtype=np.float32)), BatchConfig(batch_size=4, seed=5)
    with batches_ahead(lambda step: batch_at(cohort, config, step), range(9), workers, 2) as batches:
        for step, batch in enumerate(batches):
            expected = batch_at(cohort, config, step)
            assert torch.equal(batch.pixels, expected.pixels)
            assert torch.equal(batch.indices, expected.indices)
            assert batch.view == expected.view


@pytest.mark.parametrize(("workers", "prefetch"), [(1, 1), (1, 3), (3, 2)])
def test_no_more_batches_are_made_than_may_wait(workers: int, prefetch: int) -> None:
    made: list[int] = []

    def make(step: int) -> Batch:
        made.append(step)
        return _numbered(step)

    with batches_ahead(make, range(100), workers, prefetch) as batches:
        for taken in range(1, 20):
            next(batches)
            assert len(made) <= taken + workers * prefetch


def test_no_worker_computes_nothing_before_it_is_asked() -> None:
    made: list[int] = []

    def make(step: int) -> Batch:
        made.append(threading.get_ident())
        return _numbered(step)

    with batches_ahead(make, range(5), 0, 2) as batches:
        assert made == []
        next(batches)
    assert made == [threading.get_ident()]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_error_comes_where_its_batch_is_due_with_its_traceback(workers: int) -> None:
    def make(step: int) -> Batch:
        if step == 4:
            raise ValueError("step four")
        return _numbered(step)

    taken: list[Batch] = []
    with batches_ahead(make, range(10), workers, 3) as batches, pytest.raises(ValueError, match="step four") as caught:
        taken.extend(batches)
    assert _steps_of(taken) == [0, 1, 2, 3]
    assert 'raise ValueError("step four")' in "".join(traceback.format_tb(caught.value.__traceback__))


def _workers_alive() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_an_interrupted_loop_ends_its_threads_and_starts_no_further_batch() -> None:
    made: list[int] = []

    def make(step: int) -> Batch:
        made.append(step)
        time.sleep(0.01)
        return _numbered(step)

    def interrupted() -> None:
        with batches_ahead(make, range(10_000), 3, 4) as batches:
            next(batches)
            assert _workers_alive()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert _workers_alive() == []
    assert len(made) <= 1 + 3 * 4


def test_a_thousand_batches_leave_neither_threads_nor_batches_behind() -> None:
    alive: list[int] = []

    class Counted(torch.Tensor):
        def __del__(self) -> None:
            alive.remove(id(self))

    def make(step: int) -> Batch:
        pixels = torch.zeros(1, 1, 2, 2).as_subclass(Counted)
        alive.append(id(pixels))
        return Batch(pixels, torch.zeros(1, 1), torch.tensor([step]), view=0)

    with batches_ahead(make, range(1000), 2, 3) as batches:
        for _ in batches:
            assert len(alive) <= 2 + 2 * 3
            assert len(_workers_alive()) <= 2
    del _
    assert alive == []
    assert _workers_alive() == []


def test_the_number_of_workers_is_what_was_asked_for_else_by_device() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert pick_workers(LoaderConfig(num_workers=3), cpu) == 3
    assert pick_workers(LoaderConfig(num_workers=0), cuda) == 0
    assert pick_workers(LoaderConfig(), cpu) == 0
    assert 1 <= pick_workers(LoaderConfig(), cuda) <= 4
