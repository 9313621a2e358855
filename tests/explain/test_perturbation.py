"""Occlusion and RISE on black boxes: laws, and captum's occlusion as a peer."""

import numpy as np
import pytest
import torch
from captum.attr import Occlusion
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pocketcxr.domain.errors import UnknownNameError
from pocketcxr.explain.options import MethodOptions
from pocketcxr.explain.perturbation import RISE_SHOWN, occlusion, rise, rise_masks

Images = NDArray[np.float32]
SIDE = 32


@pytest.fixture
def images() -> Images:
    return np.random.default_rng(0).normal(size=(2, 1, SIDE, SIDE)).astype(np.float32)


def constant(images: Images) -> Images:
    return np.full((len(images), 2), [0.25, 0.75], dtype=np.float32)


def weights() -> Images:
    return np.random.default_rng(1).normal(size=(2, SIDE, SIDE)).astype(np.float32)


def linear(images: Images) -> Images:
    """A sum of pixels with weights; not a probability, but nothing here asks for one."""
    return np.einsum("bchw,fhw->bf", images, weights())


def bent(images: Images) -> Images:
    return 1 / (1 + np.exp(-linear(images) / SIDE))


def half_seen(images: Images) -> Images:
    """The mean of the upper left quarter; the second column is a finding that was never learnt."""
    seen = images[:, 0, : SIDE // 2, : SIDE // 2].mean(axis=(1, 2))
    return np.stack([seen, np.full_like(seen, np.nan)], axis=1)


def test_occlusion_of_a_model_that_does_not_look_is_zero(images: Images) -> None:
    np.testing.assert_array_equal(occlusion(constant, images, [0, 1]), 0)


@given(masks=st.integers(20, 60), seed=st.integers(0, 9))
@settings(max_examples=10, deadline=None)
def test_rise_of_a_model_that_does_not_look_is_flat_with_any_number_of_masks(masks: int, seed: int) -> None:
    given_images = np.zeros((1, 1, SIDE, SIDE), dtype=np.float32)
    maps = rise(constant, given_images, [1, 0], MethodOptions(masks=masks, seed=seed))
    np.testing.assert_allclose(maps[0, 0], 0.75, rtol=1e-5)
    np.testing.assert_allclose(maps[0, 1], 0.25, rtol=1e-5)


@pytest.mark.parametrize("window_share", [0.125, 0.25, 0.5, 1.0])
def test_occlusion_is_captums(window_share: float, images: Images) -> None:
    window = round(SIDE * window_share)
    peer = Occlusion(lambda batch: torch.from_numpy(bent(batch.numpy())))
    maps = occlusion(bent, images, [1, 0], MethodOptions(window_share=window_share, batch_size=7))
    for column, finding in enumerate((1, 0)):
        expected = peer.attribute(
            torch.from_numpy(images),
            sliding_window_shapes=(1, window, window),
            strides=(1, window // 2, window // 2),
            baselines=0,
            target=finding,
        )
        np.testing.assert_allclose(maps[:, column], expected[:, 0].numpy(), atol=1e-6)


@given(side=st.integers(5, 40), window_share=st.floats(0.05, 1))
@settings(max_examples=25, deadline=None)
def test_occlusion_covers_every_pixel_of_any_size_of_image(side: int, window_share: float) -> None:
    """Of a model that adds all pixels of ones, each covered window takes its area away."""
    maps = occlusion(
        lambda batch: batch.sum(axis=(1, 2, 3))[:, None],
        np.ones((1, 1, side, side), dtype=np.float32),
        [0],
        MethodOptions(window_share=window_share),
    )
    window = max(1, round(side * window_share))
    np.testing.assert_allclose(maps, window**2, rtol=1e-4)


def test_what_the_model_does_not_see_has_no_occlusion(images: Images) -> None:
    maps = occlusion(half_seen, images, [0], MethodOptions(window_share=0.25))
    np.testing.assert_array_equal(maps[:, :, SIDE // 2 + 4 :, :], 0)
    assert np.abs(maps[:, :, : SIDE // 2, : SIDE // 2]).min() > 0


def test_rise_expects_what_its_definition_says(images: Images) -> None:
    """For a linear model: the sum over pixels of weight x pixel x E[mask x mask here] / E[mask here]."""
    options = MethodOptions(masks=4000, seed=3)
    maps = rise(linear, images, [0], options)
    rng = np.random.default_rng(99)
    cells = (rng.random((20_000, 7, 7)) < RISE_SHOWN).astype(np.float32)
    masks = rise_masks(cells, rng.integers(0, 5, (20_000, 2)), SIDE).reshape(20_000, -1).astype(np.float64)
    together = masks.T @ masks / len(masks)
    terms = (images[:, 0] * weights()[0]).reshape(2, -1).astype(np.float64)
    expected = (terms @ together / masks.mean(axis=0)).reshape(2, SIDE, SIDE)
    spread = float(np.abs(expected - expected.mean()).max())
    assert np.abs(maps[:, 0] - expected).max() < 0.35 * spread
    for ours, law in zip(maps[:, 0], expected, strict=True):
        assert np.corrcoef(ours.ravel(), law.ravel())[0, 1] > 0.97


def test_rise_is_hot_where_the_model_looks() -> None:
    maps = rise(half_seen, np.ones((1, 1, SIDE, SIDE), dtype=np.float32), [0], MethodOptions(masks=300))[0, 0]
    seen, unseen = maps[: SIDE // 2, : SIDE // 2], maps[SIDE // 2 :, SIDE // 2 :]
    assert seen.mean() > unseen.mean() + 0.02


@pytest.mark.parametrize("side", [7, 16, 32, 65])
def test_masks_are_shares_and_show_half(side: int) -> None:
    rng = np.random.default_rng(5)
    cells = (rng.random((2000, 7, 7)) < RISE_SHOWN).astype(np.float32)
    masks = rise_masks(cells, rng.integers(0, -(-side // 7), (2000, 2)), side)
    assert masks.shape == (2000, side, side)
    assert masks.min() >= 0
    assert masks.max() <= 1 + 1e-6
    np.testing.assert_allclose(masks.mean(axis=0), RISE_SHOWN, atol=0.06)


@pytest.mark.parametrize("method", [occlusion, rise])
def test_a_finding_the_model_never_learnt_stays_unknown(method, images: Images) -> None:
    maps = method(half_seen, images, [0, 1], MethodOptions(masks=40))
    assert np.isfinite(maps[:, 0]).all()
    assert np.isnan(maps[:, 1]).all()
    with pytest.raises(UnknownNameError, match="finding number 2 is unknown; this model has 0 to 1"):
        method(half_seen, images, [2], MethodOptions(masks=40))


def test_a_pixel_that_no_mask_shows_has_no_value() -> None:
    maps = rise(constant, np.zeros((1, 1, 64, 64), dtype=np.float32), [0], MethodOptions(masks=1, seed=1))
    assert np.isnan(maps).any()
    np.testing.assert_allclose(maps[np.isfinite(maps)], 0.25, rtol=1e-5)


@pytest.mark.parametrize("method", [occlusion, rise])
def test_the_images_are_left_as_given(method, images: Images) -> None:
    before = images.copy()
    method(bent, images, [0], MethodOptions(masks=10))
    np.testing.assert_array_equal(images, before)
