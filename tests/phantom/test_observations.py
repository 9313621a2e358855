"""CheXpert's observations: what covers what, no doubt at strength 0, and the published shares of it at strength 1."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.domain.errors import ConfigError, UnknownNameError
from pocketcxr.domain.findings import CHESTXRAY14, CHEXPERT
from pocketcxr.domain.study import LabelState
from pocketcxr.phantom.config import UNCERTAIN, UNMENTIONED, LabelNoise
from pocketcxr.phantom.devices import Device
from pocketcxr.phantom.layouts.chexpert import HEADER
from pocketcxr.phantom.observations import SHOWS, observe

NUM_REPORTS = 3000
PRESENT, ABSENT, UNCERTAIN_STATE = LabelState.PRESENT, LabelState.ABSENT, LabelState.UNCERTAIN

findings = st.sets(st.sampled_from(CHESTXRAY14))
devices = st.sets(st.sampled_from([device.value for device in Device]))
noises = st.builds(LabelNoise, strength=st.floats(0, 1))
seeds = st.integers(0, 2**32)
laws = settings(deadline=None, max_examples=60)


def true_states(labelled: set[str], over_the_chest: set[str] | None = None) -> set[str]:
    """The observations that are present when nobody doubts."""
    states = observe(labelled, over_the_chest or set(), LabelNoise(), np.random.default_rng(0))
    return {name for name, state in states.items() if state is PRESENT}


@laws
@given(findings, devices, seeds)
def test_without_noise_every_observation_is_present_or_absent(labelled: set[str], over: set[str], seed: int) -> None:
    states = observe(labelled, over, LabelNoise(), np.random.default_rng(seed))
    assert tuple(states) == CHEXPERT
    assert set(states.values()) <= {PRESENT, ABSENT}


@pytest.mark.parametrize(
    ("finding", "observations"),
    [
        ("Atelectasis", {"Atelectasis", "Lung_Opacity"}),
        ("Cardiomegaly", {"Cardiomegaly", "Enlarged_Cardiomediastinum"}),
        ("Effusion", {"Effusion"}),
        ("Infiltration", {"Lung_Opacity"}),
        ("Mass", {"Lung_Lesion", "Lung_Opacity"}),
        ("Nodule", {"Lung_Lesion", "Lung_Opacity"}),
        ("Pneumonia", {"Pneumonia", "Lung_Opacity"}),
        ("Pneumothorax", {"Pneumothorax"}),
        ("Consolidation", {"Consolidation", "Lung_Opacity"}),
        ("Edema", {"Edema", "Lung_Opacity"}),
        ("Emphysema", set()),
        ("Fibrosis", {"Lung_Opacity"}),
        ("Pleural_Thickening", {"Pleural_Other"}),
        ("Hernia", set()),
    ],
)
def test_a_finding_shows_as_its_observation_and_all_that_cover_it(finding: str, observations: set[str]) -> None:
    assert true_states({finding}) == observations
    assert set(SHOWS) == set(CHESTXRAY14)


def test_wires_of_the_sternum_support_nothing_and_devices_leave_no_finding_as_it_is() -> None:
    assert true_states(set()) == {"No_Finding"}
    assert true_states(set(), {"sternal-wires"}) == {"No_Finding"}
    assert true_states(set(), {"sternal-wires", "pacemaker"}) == {"No_Finding", "Support_Devices"}
    assert true_states({"Hernia"}, {"ecg-leads"}) == {"Support_Devices"}


@laws
@given(findings, devices, noises, seeds)
def test_what_is_covered_is_never_surer_than_what_covers_it(
    labelled: set[str], over: set[str], noise: LabelNoise, seed: int
) -> None:
    states = observe(labelled, over, noise, np.random.default_rng(seed))
    order = (PRESENT, UNCERTAIN_STATE, ABSENT, LabelState.UNMENTIONED)
    for covered in ("Edema", "Consolidation", "Pneumonia", "Lung_Lesion", "Atelectasis"):
        if states[covered] in (PRESENT, UNCERTAIN_STATE):
            assert order.index(states["Lung_Opacity"]) <= order.index(states[covered])
    if states["Cardiomegaly"] in (PRESENT, UNCERTAIN_STATE):
        assert states["Enlarged_Cardiomediastinum"] is states["Cardiomegaly"]
    pathologies = [name for name in CHEXPERT if name not in ("No_Finding", "Support_Devices")]
    if states["No_Finding"] is PRESENT:
        assert not {states[name] for name in pathologies} & {PRESENT, UNCERTAIN_STATE}


@laws
@given(findings, devices, st.floats(0, 1), seeds)
def test_a_stronger_noise_keeps_the_doubts_and_silences_of_a_weaker_one(
    labelled: set[str], over: set[str], strength: float, seed: int
) -> None:
    weak = observe(labelled, over, LabelNoise(strength=strength / 2), np.random.default_rng(seed))
    strong = observe(labelled, over, LabelNoise(strength=strength), np.random.default_rng(seed))
    for name in CHEXPERT:
        if weak[name] in (UNCERTAIN_STATE, LabelState.UNMENTIONED):
            assert strong[name] is weak[name]


@pytest.mark.parametrize("strength", [0.4, 1.0])
def test_doubts_and_silences_come_as_often_as_configured(strength: float) -> None:
    noise = LabelNoise(strength=strength)
    rng = np.random.default_rng(0)
    none = [observe(set(), set(), noise, rng) for _ in range(NUM_REPORTS)]
    for name in CHEXPERT[1:]:
        share = np.mean([states[name] is LabelState.UNMENTIONED for states in none])
        assert share == pytest.approx(strength * UNMENTIONED[name], abs=0.045)
    for finding in ("Atelectasis", "Cardiomegaly", "Effusion", "Pneumonia", "Mass", "Edema", "Pleural_Thickening"):
        named = SHOWS[finding]
        assert named is not None
        states = [observe({finding}, set(), noise, rng)[named] for _ in range(NUM_REPORTS)]
        share = np.mean([state is UNCERTAIN_STATE for state in states])
        assert share == pytest.approx(strength * UNCERTAIN[named], abs=0.045)


@pytest.mark.skipif(find_spec("torchxrayvision") is None, reason="the official table comes with torchxrayvision")
def test_the_shares_are_those_of_the_official_table() -> None:
    spec = find_spec("torchxrayvision")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0]) / "data" / "chexpert_train.csv.gz"
    table = pd.read_csv(path, usecols=["Frontal/Lateral", *HEADER[5:-1]])
    table = table[table["Frontal/Lateral"] == "Frontal"]
    assert len(table) == 191_027
    for column, name in zip(HEADER[5:-1], CHEXPERT, strict=True):
        present, absent, uncertain = ((table[column] == value).sum() for value in (1, 0, -1))
        silent = table[column].isna().sum()
        assert UNCERTAIN[name] == pytest.approx(uncertain / (uncertain + present), abs=0.0006)
        assert UNMENTIONED[name] == pytest.approx(silent / (silent + absent), abs=0.0006)


def test_rates_of_states_name_every_observation_and_nothing_else() -> None:
    with pytest.raises(ConfigError, match=r"no rate for Support_Devices; give each of the 14"):
        LabelNoise(uncertain=dict.fromkeys(CHEXPERT[:-1], 0.1))
    with pytest.raises(UnknownNameError, match="Hernia"):
        LabelNoise(unmentioned=UNMENTIONED | {"Hernia": 0.1})
