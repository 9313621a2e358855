"""The one preprocessing: pad, resize, normalise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pocketcxr.imaging.preprocess import PreprocessSpec, normalise, prepare, square


def _noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width), dtype=np.uint8)


@given(st.integers(16, 90), st.integers(16, 90), st.integers(16, 64))
@settings(deadline=None, max_examples=40)
def test_every_image_becomes_a_square_of_the_size_asked_for(height: int, width: int, size: int) -> None:
    pixels = square(_noise(height, width), PreprocessSpec(size=size))
    assert pixels.shape == (size, size)
    assert pixels.dtype == np.uint8


def test_a_square_of_the_right_size_is_left_alone() -> None:
    image = _noise(64, 64)
    assert np.array_equal(square(image, PreprocessSpec(size=64)), image)


def test_padding_is_black_and_on_both_sides() -> None:
    image = np.full((60, 30), 200, dtype=np.uint8)
    pixels = square(image, PreprocessSpec(size=60))
    assert (pixels[:, :15] == 0).all()
    assert (pixels[:, 45:] == 0).all()
    assert np.array_equal(pixels[:, 15:45], image)


@given(st.integers(20, 80), st.integers(20, 80))
@settings(deadline=None, max_examples=30)
def test_a_mirrored_image_gives_the_mirrored_input(height: int, width: int) -> None:
    side = 2 * max(height, width)  # an even difference pads both sides alike
    image = _noise(side, 2 * width)
    spec = PreprocessSpec(size=32)
    # Pillow sums its taps in the order of the pixels, in fixed point: a step of 1/255 may come of it.
    difference = square(image[:, ::-1], spec).astype(int) - square(image, spec)[:, ::-1]
    assert abs(difference).max() <= 1


def test_normalising_is_the_formula() -> None:
    spec = PreprocessSpec(mean=0.4, std=0.2)
    pixels = np.arange(256, dtype=np.uint8)
    assert np.allclose(normalise(pixels, spec), (pixels / 255 - 0.4) / 0.2, atol=1e-6)
    assert normalise(pixels, spec).dtype == np.float32


def test_prepare_is_square_then_normalise_with_a_channel() -> None:
    spec = PreprocessSpec(size=40)
    image = _noise(50, 70)
    assert np.array_equal(prepare(image, spec)[0], normalise(square(image, spec), spec))


@pytest.mark.parametrize("field", [{"size": 8}, {"std": 0.0}, {"padding": "left"}, {"size_px": 224}])
def test_a_spec_outside_its_limits_is_refused(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PreprocessSpec.model_validate(field)
