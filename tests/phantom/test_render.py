"""Laws of the rendered radiograph: determinism, sameness of the patient, plausibility of the picture."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.study import ViewPosition
from pocketcxr.phantom.render import RenderRequest, render

NONE = (-1.0,) * len(CHESTXRAY14)
severity = st.one_of(st.just(-1.0), st.floats(0, 1))
requests = st.builds(
    RenderRequest,
    size=st.sampled_from([32, 64, 96]),
    seed=st.integers(0, 2**40),
    patient=st.integers(0, 100_000),
    study=st.integers(0, 150),
    view=st.sampled_from([ViewPosition.PA, ViewPosition.AP]),
    severities=st.tuples(*[severity] * len(CHESTXRAY14)),
)


def normal(size: int, patient: int, study: int = 0) -> RenderRequest:
    return RenderRequest(size, 3, patient, study, ViewPosition.PA, NONE)


@settings(deadline=None, max_examples=15)
@given(request=requests)
def test_the_same_request_gives_the_same_image_whatever_was_drawn_between(request: RenderRequest) -> None:
    once = render(request)
    render(replace(request, patient=request.patient + 1))
    again = render(request)
    assert np.array_equal(once.pixels, again.pixels)
    assert once.boxes == again.boxes
    assert once.devices == again.devices


@settings(deadline=None, max_examples=40)
@given(request=requests)
def test_every_finding_present_has_boxes_and_every_box_lies_in_the_image(request: RenderRequest) -> None:
    rendered = render(request)
    assert rendered.pixels.shape == (request.size, request.size)
    assert rendered.pixels.dtype == np.uint8
    assert set(rendered.boxes) == set(request.present)
    for boxes in rendered.boxes.values():
        assert boxes
        for box in boxes:
            assert box.w > 0
            assert box.h > 0
            assert box.x >= 0
            assert box.y >= 0
            assert box.x + box.w <= request.size
            assert box.y + box.h <= request.size


def test_a_seed_a_patient_and_a_study_each_change_the_image() -> None:
    base = normal(64, 5)
    pixels = render(base).pixels
    for other in (replace(base, seed=4), replace(base, patient=6), replace(base, study=1)):
        assert not np.array_equal(pixels, render(other).pixels)


def test_a_person_stays_the_same_person() -> None:
    first, second = render(normal(64, 9, 0)), render(normal(64, 9, 7))
    assert (first.sex, first.age_years) == (second.sex, second.age_years)


@pytest.mark.parametrize("patient", [0, 1, 2, 3])
def test_a_small_image_shows_the_same_patient_as_a_large_one(patient: int) -> None:
    large = render(normal(256, patient)).pixels.astype(float).reshape(64, 4, 64, 4).mean(axis=(1, 3))
    small = render(normal(64, patient)).pixels.astype(float)
    assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.98
    assert np.abs(small - large).mean() < 8


def test_two_films_of_one_person_are_more_alike_than_films_of_two() -> None:
    def film(patient: int, study: int) -> np.ndarray:
        return render(normal(64, patient, study)).pixels.astype(float).ravel()

    own = [np.corrcoef(film(p, 0), film(p, 1))[0, 1] for p in range(12)]
    other = [np.corrcoef(film(p, 0), film(p + 1, 0))[0, 1] for p in range(12)]
    assert np.mean(own) > np.mean(other)


def test_lungs_are_dark_between_bright_mediastinum_and_abdomen() -> None:
    mean = np.mean([render(normal(64, patient)).pixels for patient in range(40)], axis=0)
    right_lung, left_lung = mean[22:36, 14:22].mean(), mean[22:36, 42:50].mean()
    mediastinum, abdomen = mean[30:44, 30:36].mean(), mean[56:62, 16:48].mean()
    assert max(right_lung, left_lung) < 0.6 * min(mediastinum, abdomen)
    assert min(right_lung, left_lung) > 40


def test_images_use_the_gray_scale_without_drowning_in_white_or_black() -> None:
    for patient in range(12):
        pixels = render(normal(64, patient)).pixels
        assert 70 < pixels.mean() < 190
        assert pixels.std() > 35
        assert (pixels == 255).mean() < 0.15


def test_sizes_that_do_not_divide_evenly_are_drawn_too() -> None:
    assert render(normal(101, 0)).pixels.shape == (101, 101)


def test_a_severity_for_every_finding_is_required() -> None:
    with pytest.raises(ValueError, match="shorter"):
        render(replace(normal(32, 0), severities=(-1.0,)))
