"""Laws of attenuation, noise and display."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.phantom.physics import Exposure, detect, display, draw_exposure, transmitted

PLAIN = Exposure(dose=1.0, scatter=0.0, darkest=0.3, brightest=0.1, gamma=1.0, toe=0.3)


@given(first=st.floats(0, 8), second=st.floats(0, 8))
def test_nepers_add_where_transmissions_multiply(first: float, second: float) -> None:
    one, two = np.full((1, 1), first, np.float32), np.full((1, 1), second, np.float32)
    np.testing.assert_allclose(transmitted(one + two), transmitted(one) * transmitted(two), rtol=1e-5)


def test_nothing_in_the_beam_lets_all_of_it_through() -> None:
    assert transmitted(np.zeros((2, 2), np.float32)).tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_without_scatter_and_with_endless_dose_the_detector_reads_nepers() -> None:
    nepers = np.linspace(0, 5, 64, dtype=np.float32).reshape(8, 8)
    endless = Exposure(dose=1e12, scatter=0.0, darkest=0.3, brightest=0.1, gamma=1.0, toe=0.3)
    read = detect(nepers, endless, pixel_mm=1.0, rng=np.random.default_rng(0))
    np.testing.assert_allclose(read, nepers, atol=1e-3)


def test_noise_halves_when_the_dose_is_four_times() -> None:
    nepers = np.full((128, 128), 3.0, np.float32)
    spread = []
    for dose in (1.0, 4.0):
        exposure = Exposure(dose=dose, scatter=0.0, darkest=0.3, brightest=0.1, gamma=1.0, toe=0.3)
        spread.append(float(detect(nepers, exposure, 1.0, np.random.default_rng(1)).std()))
    assert 1.9 < spread[0] / spread[1] < 2.1


def test_scatter_flattens_contrast() -> None:
    nepers = np.repeat(np.float32([[1.0, 4.0]]), 64, axis=0).repeat(32, axis=1)
    contrast = []
    for scatter in (0.0, 0.3):
        exposure = Exposure(dose=1e9, scatter=scatter, darkest=0.3, brightest=0.1, gamma=1.0, toe=0.3)
        read = detect(nepers, exposure, 1.0, np.random.default_rng(2))
        contrast.append(float(read.max() - read.min()))
    assert contrast[1] < 0.8 * contrast[0]


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), is_ap=st.booleans())
def test_more_attenuation_never_looks_darker(seed: int, is_ap: bool) -> None:
    exposure = draw_exposure(is_ap, np.random.default_rng(seed))
    shown = display(np.linspace(0, 6, 64 * 64, dtype=np.float32).reshape(64, 64), exposure).ravel()
    assert np.all(np.diff(shown) >= -1e-3)
    assert shown.min() >= 0
    assert shown.max() <= 255


def test_the_same_generator_gives_the_same_noise() -> None:
    nepers = np.full((16, 16), 2.0, np.float32)
    once = detect(nepers, PLAIN, 1.0, np.random.default_rng(7))
    assert np.array_equal(once, detect(nepers, PLAIN, 1.0, np.random.default_rng(7)))
