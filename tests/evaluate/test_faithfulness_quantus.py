"""The same metrics in Quantus, on the same tensors. Where it measures something else, the test says what."""

import numpy as np
import pytest
import torch
from torch import nn

from pocketcxr.evaluate.perturbing import (
    Probe,
    area,
    deletion_and_insertion,
    foretold,
    max_sensitivity,
    nearby_maps,
    observe,
    removal_effects,
)
from pocketcxr.evaluate.removal import imputed, removal_order

quantus = pytest.importorskip("quantus", reason="Quantus is not installed: pip install --no-deps quantus scikit-image")

SIDE, BATCH, STEP = 16, 3, 32
QUIET = {"disable_warnings": True, "display_progressbar": False}


class TinyNet(nn.Module):
    """Two answers of a one-channel image, probabilities already, as `Predict` gives them."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Parameter(torch.randn(8, SIDE * SIDE, generator=generator) / SIDE)
        self.second = nn.Parameter(torch.randn(2, 8, generator=generator))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(torch.relu(images.flatten(1) @ self.first.T) @ self.second.T)


NET = TinyNet().eval()
COLUMNS = np.array([0, 1, 1])


def predict(images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return NET(torch.from_numpy(images)).numpy()


def drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


IMAGES, MAPS = drawn(0, BATCH, 1, SIDE, SIDE), drawn(1, BATCH, 1, SIDE, SIDE)
NO_TIES = np.zeros((SIDE, SIDE))


def test_deletion_to_black_is_pixel_flipping() -> None:
    metric = quantus.PixelFlipping(features_in_step=STEP, perturb_baseline="black", normalise=False, **QUIET)
    # "black" is the darkest pixel of the image.
    theirs = np.array(metric(NET, IMAGES, COLUMNS, MAPS, channel_first=True, softmax=False))
    num_steps = SIDE * SIDE // STEP
    for row in range(BATCH):
        probe = Probe(predict, int(COLUMNS[row]))
        subject = observe(probe, IMAGES[row], np.full_like(IMAGES[row], IMAGES[row].min()))
        curves = deletion_and_insertion(probe, subject, [removal_order(MAPS[row, 0], NO_TIES)], num_steps)
        deletion = curves[0, 0]
        assert deletion[1:] == pytest.approx(theirs[row], abs=1e-6)
        # Their area starts after the first step and its steps are one wide; ours is over shares 0 to 1.
        tail = np.trapezoid(theirs[row]) / num_steps
        first = (subject.probability + theirs[row][0]) / 2 / num_steps
        assert area(deletion) == pytest.approx(tail + first, abs=1e-6)


def test_filling_in_is_quantus_noisy_linear_imputation_away_from_its_border_test() -> None:
    # Quantus takes height and width from (channel, height, width) of the array it is given: with c = 1 its border
    # test refuses neighbours that exist. With as many channels as rows both read the same shape.
    image = drawn(2, SIDE, SIDE, SIDE)
    removed = removal_order(drawn(3, 4, 4), NO_TIES)[:100]
    theirs = quantus.noisy_linear_imputation(image, removed, noise=0.0)
    assert imputed(image, removed, np.zeros_like(image)) == pytest.approx(theirs, abs=1e-3)


def test_unscaled_infidelity_is_quantus_infidelity_over_its_growing_masks() -> None:
    # Quantus never puts a block back before it takes the next one, so its masks grow: the same masks are given here.
    patch = 4
    metric = quantus.Infidelity(
        perturb_patch_sizes=[patch], n_perturb_samples=1, perturb_baseline="black", normalise=False, **QUIET
    )
    theirs = metric(NET, IMAGES[:1], COLUMNS[:1], MAPS[:1], channel_first=True, softmax=False)
    cells = SIDE // patch
    blocks = np.eye(cells * cells, dtype=bool).reshape(-1, cells, cells).repeat(patch, 1).repeat(patch, 2)
    masks = np.logical_or.accumulate(blocks, axis=0)
    probe, image = Probe(predict, 0), IMAGES[0]
    subject = observe(probe, image, np.full_like(image, image.min()))
    effects = removal_effects(probe, subject, masks)
    told = foretold((MAPS[0] * (image - subject.substitute))[0], masks)
    assert np.square(effects - told).mean() == pytest.approx(float(np.ravel(theirs)[0]), rel=1e-4)


def test_max_sensitivity_is_quantus() -> None:
    changes = drawn(4, 5, 1, SIDE, SIDE) * np.float32(0.1)
    remaining = iter(changes)

    def nudge(arr: np.ndarray, indices: np.ndarray, **_: object) -> np.ndarray:
        return arr + next(remaining).reshape(1, -1)

    def explain_theirs(model: nn.Module, inputs: np.ndarray, targets: np.ndarray, **_: object) -> np.ndarray:
        return np.asarray(inputs) ** 3

    metric = quantus.MaxSensitivity(nr_samples=5, perturb_func=nudge, normalise=False, **QUIET)
    theirs = metric(
        NET, IMAGES[:1], COLUMNS[:1], IMAGES[:1] ** 3, channel_first=True, explain_func=explain_theirs, softmax=False
    )
    ours = max_sensitivity(nearby_maps(lambda images, columns: images**3, 0, IMAGES[0], changes))
    assert ours == pytest.approx(float(np.ravel(theirs)[0]), rel=1e-5)
