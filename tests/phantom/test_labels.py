"""The label noise: no noise is the truth, rates are those asked for, look-alikes only are swapped."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from pocketcxr.domain.errors import ConfigError, UnknownNameError
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.phantom.config import FALSE_NEGATIVE, FALSE_POSITIVE, LOOK_ALIKES, LabelNoise
from pocketcxr.phantom.labels import error_rates, report

Flags = NDArray[np.bool_]
PREVALENCE = np.full(14, 0.1)
NONE = np.zeros(14, dtype=bool)
NO_RATE = dict.fromkeys(CHESTXRAY14, 0.0)
NUM_REPORTS = 4000

flags = st.lists(st.booleans(), min_size=14, max_size=14).map(np.array)
seeds = st.integers(0, 2**32)
strengths = st.floats(0, 1)


def share_labelled(noise: LabelNoise, present: Flags, before: Flags = NONE) -> NDArray[np.float64]:
    """How often each finding is labelled in many reports of the same truth, [finding]."""
    rates = error_rates(noise, PREVALENCE)
    rng = np.random.default_rng(0)
    return np.mean([report(present, before, rates, rng) for _ in range(NUM_REPORTS)], axis=0)


def within(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> bool:
    """Whether shares of NUM_REPORTS agree within sampling error."""
    return bool((np.abs(found - wanted) <= 4.5 * np.sqrt(wanted * (1 - wanted) / NUM_REPORTS)).all())


@settings(deadline=None, max_examples=50)
@given(flags, flags, seeds)
def test_strength_nought_labels_the_truth(present: Flags, before: Flags, seed: int) -> None:
    rates = error_rates(LabelNoise(strength=0), PREVALENCE)
    assert (report(present, before, rates, np.random.default_rng(seed)) == present).all()


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_findings_are_missed_at_their_rates_times_the_strength(strength: float) -> None:
    noise = LabelNoise(strength=strength, confusion=0)
    wanted = 1 - strength * np.array([FALSE_NEGATIVE[finding] for finding in CHESTXRAY14])
    assert within(share_labelled(noise, ~NONE), wanted)


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_false_labels_are_the_asked_share_of_the_prevalence(strength: float) -> None:
    share_of_images = share_labelled(LabelNoise(strength=strength), NONE) * (1 - PREVALENCE)
    wanted = strength * np.array([FALSE_POSITIVE[finding] for finding in CHESTXRAY14]) * PREVALENCE
    assert within(share_of_images, wanted)


def test_only_findings_of_the_image_before_are_carried_over() -> None:
    noise = LabelNoise(strength=0.5, carried_over=0.4, false_positive=NO_RATE)
    before = np.arange(14) % 2 == 0
    assert within(share_labelled(noise, NONE, before), np.where(before, 0.2, 0.0))


@pytest.mark.parametrize("finding", CHESTXRAY14)
def test_a_finding_is_only_ever_named_as_a_look_alike(finding: str) -> None:
    noise = LabelNoise(strength=1, confusion=0.5, false_negative=NO_RATE, false_positive=NO_RATE)
    group = {other for group in LOOK_ALIKES if finding in group for other in group} | {finding}
    present = np.array([name == finding for name in CHESTXRAY14])
    share = dict(zip(CHESTXRAY14, share_labelled(noise, present), strict=True))
    assert {name for name, value in share.items() if value > 0} == group
    assert sum(share.values()) == pytest.approx(1)
    assert share[finding] == pytest.approx(0.5 if len(group) > 1 else 1.0, abs=0.05)


@settings(deadline=None, max_examples=100)
@given(flags, flags, seeds, strengths, strengths)
def test_a_stronger_noise_misses_and_misreads_all_that_a_weaker_one_does(
    present: Flags, before: Flags, seed: int, one: float, other: float
) -> None:
    weak, strong = (
        report(
            present, before, error_rates(LabelNoise(strength=s, confusion=0), PREVALENCE), np.random.default_rng(seed)
        )
        for s in sorted((one, other))
    )
    assert ((weak != present) <= (strong != present)).all()


def test_an_unknown_finding_among_the_rates_is_refused_by_name() -> None:
    with pytest.raises(UnknownNameError, match="Nodules"):
        LabelNoise(false_negative={**FALSE_NEGATIVE, "Nodules": 0.1})


def test_a_rate_left_out_is_refused_not_guessed() -> None:
    with pytest.raises(ConfigError, match="Hernia"):
        LabelNoise(false_positive={finding: 0.1 for finding in CHESTXRAY14 if finding != "Hernia"})


def test_a_rate_above_one_is_refused() -> None:
    with pytest.raises(ValidationError):
        LabelNoise(strength=1.5)
