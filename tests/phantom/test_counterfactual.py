"""Counterfactual pairs: nothing but the one thing tells the two pictures apart."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.domain.errors import ConfigError, UnknownNameError, UsageError
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.counterfactual import ABSENT, Pair, base_requests, device_pair, finding_pair, pinned
from pocketcxr.phantom.devices import Device
from pocketcxr.phantom.drawing import request_of
from pocketcxr.phantom.plan import plan
from pocketcxr.phantom.render import Rendered, RenderRequest, render

SIZE, SEED = 64, 21
laws = settings(deadline=None, max_examples=25)
things = st.sampled_from([*CHESTXRAY14, *Device])


@lru_cache(maxsize=1)
def sick() -> tuple[RenderRequest, ...]:
    """Forty patients with many findings and devices, as a data set draws them."""
    config = PhantomConfig(images=40, size=SIZE, seed=SEED, prevalence_scale=5, max_images_per_patient=1)
    return tuple(request_of(config, image) for image in plan(config))


patients = st.integers(0, 39)


def pair_of(request: RenderRequest, thing: str, severity: float = 0.75) -> Pair:
    return device_pair(request, thing) if isinstance(thing, Device) else finding_pair(request, thing, severity)


def assert_same(one: Rendered, other: Rendered) -> None:
    assert np.array_equal(one.gray, other.gray)
    assert np.array_equal(one.nepers, other.nepers)
    assert (one.boxes, set(one.devices)) == (other.boxes, set(other.devices))


@laws
@given(patients)
def test_naming_the_devices_changes_no_pixel(patient: int) -> None:
    assert_same(render(pinned(sick()[patient])), render(sick()[patient]))


@laws
@given(patients, things)
def test_one_picture_of_a_pair_is_the_unedited_one(patient: int, thing: str) -> None:
    request = sick()[patient]
    original = render(request)
    is_there = thing in original.devices if isinstance(thing, Device) else thing in original.boxes
    severity = request.present.get(thing, 0.75)
    pair = pair_of(request, thing, severity)
    assert_same(pair.with_thing if is_there else pair.without, original)


@laws
@given(patients, things)
def test_a_pair_differs_in_its_thing_alone(patient: int, thing: str) -> None:
    pair = pair_of(sick()[patient], thing)
    without, with_thing = pair.without, pair.with_thing
    assert (set(with_thing.boxes) | set(with_thing.devices)) - (set(without.boxes) | set(without.devices)) == {thing}
    assert set(without.boxes) <= set(with_thing.boxes)
    assert set(without.devices) <= set(with_thing.devices)
    assert (without.sex, without.age_years) == (with_thing.sex, with_thing.age_years)


@laws
@given(patients, things)
def test_the_region_was_touched_and_shows_the_change(patient: int, thing: str) -> None:
    pair = pair_of(sick()[patient], thing)
    assert not (pair.region & ~pair.touched).any()
    moved = np.abs(pair.with_thing.gray - pair.without.gray)
    assert pair.region.any()
    assert moved[pair.region].min() > 0.25 * moved[pair.touched].max() - 1e-3
    assert pair.boxes


@laws
@given(patients, st.sampled_from(["Nodule", Device.CENTRAL_LINE, Device.TRACHEAL_TUBE]))
def test_beside_a_small_change_the_picture_stays_within_two_gray_levels(patient: int, thing: str) -> None:
    pair = pair_of(sick()[patient], thing)
    assert np.abs(pair.with_thing.gray - pair.without.gray)[~pair.touched].max() < 2


@laws
@given(patients, st.sampled_from(["Nodule", "Mass", *Device]))
def test_beside_the_change_the_picture_is_redisplayed_not_redrawn(patient: int, thing: str) -> None:
    """Scatter and automatic exposure act on all pixels alike: gray values keep their order up to noise."""
    pair = pair_of(sick()[patient], thing)
    is_beside = ~pair.touched & (pair.without.gray > 0) & (pair.without.gray < 255)
    before, after = pair.without.gray[is_beside], pair.with_thing.gray[is_beside]
    assert np.corrcoef(before, after)[0, 1] > 0.999


@pytest.mark.parametrize("finding", ["Nodule", "Mass", "Pneumonia", "Consolidation", "Hernia", "Effusion"])
def test_the_visible_change_of_a_focal_finding_lies_in_its_boxes(finding: str) -> None:
    shares = []
    for request in base_requests(8, SIZE, SEED):
        pair = finding_pair(request, finding, 0.6)
        rows, columns = np.nonzero(pair.region)
        shares.append(
            np.mean(
                [any(box.contains(x + 0.5, y + 0.5) for box in pair.boxes) for x, y in zip(columns, rows, strict=True)]
            )
        )
    assert np.mean(shares) > 0.85


def test_a_second_device_leaves_the_first_where_it_was() -> None:
    request = pinned(base_requests(1, SIZE, SEED)[0])
    both = replace(request, devices=(Device.ECG_LEADS, Device.PACEMAKER))
    pair = device_pair(both, Device.ECG_LEADS)
    without = device_pair(replace(request, devices=(Device.PACEMAKER,)), Device.PACEMAKER).with_thing
    # Hidden leads take their random numbers, so the pacemaker stays; alone it lies where its own first numbers say.
    assert pair.without.devices == (Device.PACEMAKER,)
    pacemaker = device_pair(both, Device.PACEMAKER)
    assert np.array_equal(pacemaker.with_thing.gray, pair.with_thing.gray)
    assert not np.array_equal(pair.without.gray, without.gray)


def test_base_requests_are_the_same_people_for_a_seed_and_absent_means_absent() -> None:
    assert base_requests(5, SIZE, SEED) == base_requests(7, SIZE, SEED)[:5]
    assert len({request.patient for request in base_requests(5, SIZE, SEED)}) == 5
    assert all(severity == ABSENT or 0 <= severity <= 1 for request in sick() for severity in request.severities)


def test_wrong_wishes_are_refused() -> None:
    (request,) = base_requests(1, SIZE, SEED)
    with pytest.raises(UnknownNameError, match="Nodule"):
        finding_pair(request, "Nodul", 0.5)
    with pytest.raises(UsageError, match="0 to 1"):
        finding_pair(request, "Nodule", 1.5)
    with pytest.raises(ConfigError, match="images is 0"):
        base_requests(0, SIZE, SEED)
    with pytest.raises(ConfigError, match="size is 8"):
        base_requests(1, 8, SEED)
