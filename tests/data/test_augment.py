"""Augmentation: the identity is exact, an image's change is its own, nothing impossible happens."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from pocketcxr.data.augment import NO_AUGMENTATION, AugmentConfig, augment

CONFIGS = (AugmentConfig(), AugmentConfig(noise=0.05, horizontal_flip=True), AugmentConfig(translate=0, zoom=0))


def _pixels(num: int, size: int = 32) -> Tensor:
    return torch.from_numpy(np.random.default_rng(2).integers(0, 256, (num, size, size), dtype=np.uint8))


def _smooth(size: int = 64) -> Tensor:
    """One image of a bright blob in the upper left quarter."""
    place = torch.arange(size)
    blob = torch.exp(-((place - size / 4) ** 2) / (size / 8) ** 2)
    return (blob[:, None] * blob[None, :] * 255).round().to(torch.uint8)[None]


def test_without_augmentation_pixels_are_divided_by_255_exactly() -> None:
    pixels = _pixels(5)
    assert torch.equal(augment(pixels, torch.arange(5), 0, 0, NO_AUGMENTATION)[:, 0], pixels / 255)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("size", [32, 45])
def test_an_image_is_changed_alike_in_every_batch(config: AugmentConfig, size: int) -> None:
    pixels, indices = _pixels(6, size), torch.tensor([4, 10, 11, 3, 900_000, 0])
    whole = augment(pixels, indices, 7, 1, config)
    order = torch.tensor([5, 2, 0])
    assert torch.equal(augment(pixels[order], indices[order], 7, 1, config), whole[order])


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**63 - 1), view=st.integers(0, 2**40), index=st.integers(0, 2**40))
def test_pixels_stay_between_0_and_1_and_are_reproducible(seed: int, view: int, index: int) -> None:
    pixels, indices = _pixels(1), torch.tensor([index])
    strong = AugmentConfig(rotation_degrees=45, translate=0.5, zoom=0.9, brightness=0.9, contrast=0.9, noise=0.5)
    first = augment(pixels, indices, view, seed, strong)
    assert first.shape == (1, 1, 32, 32)
    assert first.dtype == torch.float32
    assert first.min() >= 0
    assert first.max() <= 1
    assert torch.equal(first, augment(pixels, indices, view, seed, strong))


def test_image_view_and_seed_each_change_the_result() -> None:
    pixels, config = _smooth(), AugmentConfig()
    results = [
        augment(pixels, torch.tensor([index]), view, seed, config)
        for index, view, seed in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    ]
    assert all(not torch.equal(a, b) for i, a in enumerate(results) for b in results[:i])


def _mass_centre(image: Tensor) -> tuple[float, float]:
    """(row, column) of the mean place of brightness, as shares of the side."""
    weights, places = image / image.sum(), torch.linspace(0, 1, image.shape[-1])
    return float((weights.sum(1) * places).sum()), float((weights.sum(0) * places).sum())


def test_by_default_up_stays_up_and_left_stays_left() -> None:
    """Top left evidence is top left in every view: no vertical and, unless asked for, no horizontal flip."""
    pixels = _smooth().expand(64, -1, -1)
    for image in augment(pixels, torch.arange(64), 0, 0, AugmentConfig()):
        row, column = _mass_centre(image[0])
        assert row < 0.5
        assert column < 0.5


def test_a_horizontal_flip_that_was_asked_for_mirrors_about_half_and_never_upends() -> None:
    config = NO_AUGMENTATION.model_copy(update={"horizontal_flip": True})
    pixels = _smooth().expand(200, -1, -1)
    flipped = augment(pixels, torch.arange(200), 0, 0, config)
    mirrored = torch.flip(pixels[:1].float() / 255, dims=[2])
    is_mirrored = [torch.allclose(image, mirrored, atol=1e-5) for image in flipped]
    is_same = [torch.allclose(image, pixels[:1].float() / 255, atol=1e-5) for image in flipped]
    assert all(a != b for a, b in zip(is_mirrored, is_same, strict=True))
    assert 60 < sum(is_mirrored) < 140


def test_brightness_reaches_the_area_beyond_the_edge_too() -> None:
    """A black image stays uniform: what is moved in from outside is as bright as black has become."""
    pixels = torch.zeros(8, 32, 32, dtype=torch.uint8)
    brightened = augment(pixels, torch.arange(8), 0, 0, AugmentConfig(brightness=0.5, translate=0.3))
    assert (brightened.flatten(1).std(dim=1) == 0).all()
    assert brightened.max() > 0


def test_the_largest_shift_is_the_configured_share_of_the_side() -> None:
    config = NO_AUGMENTATION.model_copy(update={"translate": 0.1})
    before = _mass_centre(_smooth()[0].float())
    moved = augment(_smooth().expand(100, -1, -1), torch.arange(100), 0, 0, config)
    shifts = np.array([np.subtract(_mass_centre(image[0]), before) for image in moved])
    assert 0.08 < np.abs(shifts).max() < 0.11


@pytest.mark.parametrize("key", [{"vertical_flip": True}, {"zoom": 1.0}, {"num_views": 0}, {"rotation_degrees": -1}])
def test_impossible_settings_are_refused(key: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(key))):
        AugmentConfig.model_validate(key)
