"""Likeness of heatmaps: identity, sign, flat maps, and the noise that is the floor."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import nn

from pocketcxr.domain.errors import ManifestError
from pocketcxr.explain.map_similarity import alike, beyond_noise, noise_floor, noise_like, similarity_of


def smooth(seed: int, count: int = 40) -> np.ndarray:
    noise = torch.randn(count, 1, 12, 12, generator=torch.Generator().manual_seed(seed))
    return nn.functional.avg_pool2d(noise, 5, stride=1).repeat(1, 2, 1, 1).numpy()


def test_noise_is_as_smooth_as_the_map_but_elsewhere() -> None:
    maps = smooth(0)[:, 0]
    noise = noise_like(maps, np.random.default_rng(1))
    np.testing.assert_allclose(np.abs(np.fft.rfft2(noise)), np.abs(np.fft.rfft2(maps)), rtol=1e-3, atol=1e-4)
    correlations = [spearmanr(ours.ravel(), theirs.ravel()).statistic for ours, theirs in zip(maps, noise, strict=True)]
    assert abs(np.mean(correlations)) < 0.15
    # Smooth noise resembles a smooth map by luck far more than white noise would (0.1 on as many cells).
    assert np.abs(correlations).mean() > 0.15


@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(-5, 5))
@settings(max_examples=20, deadline=None)
def test_maps_are_alike_up_to_unit_and_zero_and_never_more_than_themselves(seed: int, unit: float, zero: float) -> None:
    maps = smooth(seed, count=6)
    same = similarity_of(alike(maps, (maps * unit + zero).astype(np.float32)))
    floor = noise_floor(maps, np.random.default_rng(0))
    assert same.rank_correlation == pytest.approx(1, abs=1e-3)
    assert beyond_noise(same, floor) == pytest.approx(1, abs=0.05)
    assert beyond_noise(floor, floor) == 0


def test_a_flat_map_is_counted_and_left_out() -> None:
    maps = smooth(1, count=3)
    other = maps.copy()
    other[0] = 1.0
    found = similarity_of(alike(maps, other))
    assert (found.num_maps, found.num_flat) == (6, 2)
    assert found.rank_correlation == pytest.approx(1)


def test_maps_of_other_images_are_refused() -> None:
    with pytest.raises(ManifestError, match="explain the same ones"):
        alike(smooth(1, count=3), smooth(1, count=4))
