"""From raw states to 1, 0 and NaN."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pocketcxr.domain.errors import UnknownNameError
from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.labels import LabelPolicy, label_matrix
from pocketcxr.manifest.schema import Manifest

Make = Callable[..., Manifest]
STATES = st.lists(st.sampled_from([state.value for state in LabelState]), min_size=1, max_size=12)
READINGS = st.sampled_from(["unknown", "positive", "negative", 0.3, 0.7])
EVERY_STATE = ["present", "absent", "uncertain", "unmentioned", "not-labelled"]
EXPLAINED = Path(__file__).parents[2] / "docs" / "explanation" / "labels.md"


def test_present_is_one_absent_is_zero_and_the_rest_is_unknown(make_manifest: Make) -> None:
    labels = label_matrix(make_manifest({"Mass": EVERY_STATE}), ["Mass"], LabelPolicy())
    assert labels.dtype == np.float32
    assert np.array_equal(labels[:, 0], [1, 0, np.nan, np.nan, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (LabelPolicy(uncertain="positive"), [1, 0, 1, np.nan, np.nan]),
        (LabelPolicy(uncertain="negative", unmentioned="negative"), [1, 0, 0, 0, np.nan]),
        (LabelPolicy(unmentioned="positive"), [1, 0, np.nan, 1, np.nan]),
        (LabelPolicy(uncertain=0.75, unmentioned=0.25), [1, 0, 0.75, 0.25, np.nan]),
    ],
)
def test_the_policy_reads_the_doubtful_states(policy: LabelPolicy, expected: list[float], make_manifest: Make) -> None:
    labels = label_matrix(make_manifest({"Mass": EVERY_STATE}), ["Mass"], policy)
    assert np.array_equal(labels[:, 0], expected, equal_nan=True)


@given(states=STATES, uncertain=READINGS, unmentioned=READINGS)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_policy_touches_what_is_certain_or_what_nobody_looked_for(
    states: list[str], uncertain: str | float, unmentioned: str | float, make_manifest: Make
) -> None:
    policy = LabelPolicy.model_validate({"uncertain": uncertain, "unmentioned": unmentioned})
    labels = label_matrix(make_manifest({"Mass": states}), ["Mass"], policy)[:, 0]
    given_states = np.array(states)
    assert (labels[given_states == "present"] == 1).all()
    assert (labels[given_states == "absent"] == 0).all()
    assert np.isnan(labels[given_states == "not-labelled"]).all()
    hard = label_matrix(make_manifest({"Mass": states}), ["Mass"], policy.hard())[:, 0]
    assert np.isin(hard[~np.isnan(hard)], [0, 1]).all()
    is_hard = np.isin(labels, [0, 1])
    assert np.array_equal(hard[is_hard], labels[is_hard])
    assert np.isnan(hard[~is_hard]).all()


def test_a_finding_may_be_read_in_its_own_way_and_hard_reaches_it(make_manifest: Make) -> None:
    policy = LabelPolicy.model_validate(
        {"uncertain": "negative", "by_finding": {"Mass": {"uncertain": 0.6}, "Hernia": {"unmentioned": "negative"}}}
    )
    states = {finding: ["uncertain", "unmentioned"] for finding in ("Mass", "Nodule", "Hernia")}
    labels = label_matrix(make_manifest(states), list(states), policy)
    assert np.allclose(labels, [[0.6, 0, 0], [np.nan, np.nan, 0]], equal_nan=True)
    hard = label_matrix(make_manifest(states), list(states), policy.hard())
    assert np.array_equal(hard, [[np.nan, 0, 0], [np.nan, np.nan, 0]], equal_nan=True)


def test_a_policy_for_a_finding_that_does_not_exist_is_refused(make_manifest: Make) -> None:
    policy = LabelPolicy.model_validate({"by_finding": {"Mas": {"uncertain": "positive"}}})
    with pytest.raises(UnknownNameError, match=r"label policy 'Mas' is unknown; did you mean 'Mass'"):
        label_matrix(make_manifest({"Mass": EVERY_STATE}), ["Mass"], policy)


@given(nodules=STATES, uncertain=READINGS)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_kind_that_is_present_implies_the_broader_finding_and_nothing_else_does(
    nodules: list[str], uncertain: str | float, make_manifest: Make
) -> None:
    policy = LabelPolicy.model_validate({"uncertain": uncertain})
    labels = label_matrix(make_manifest({"Nodule": nodules}), ["Lung_Lesion", "Lung_Opacity", "Hernia"], policy)
    expected = np.where(np.array(nodules) == "present", 1, np.nan)
    assert np.array_equal(labels[:, 0], expected, equal_nan=True)
    assert np.array_equal(labels[:, 1], expected, equal_nan=True)
    assert np.isnan(labels[:, 2]).all()


def test_what_a_source_says_of_the_broader_finding_stands(make_manifest: Make) -> None:
    manifest = make_manifest({"Nodule": ["present"] * 5, "Lung_Lesion": EVERY_STATE})
    labels = label_matrix(manifest, ["Lung_Lesion"], LabelPolicy())[:, 0]
    assert np.array_equal(labels, [1, 0, np.nan, np.nan, 1], equal_nan=True)
    unimplied = label_matrix(manifest, ["Lung_Lesion"], LabelPolicy(implied="unknown"))[:, 0]
    assert np.array_equal(unimplied, [1, 0, np.nan, np.nan, np.nan], equal_nan=True)


def test_a_broader_finding_that_is_present_says_nothing_of_its_kinds(make_manifest: Make) -> None:
    labels = label_matrix(make_manifest({"Lung_Lesion": ["present", "absent"]}), ["Nodule"], LabelPolicy())
    assert np.isnan(labels).all()


@pytest.mark.parametrize("value", ["half", 0, 1, 1.0, -0.2, 1.5, True])
def test_a_reading_is_a_word_or_lies_between_no_and_yes(value: object) -> None:
    with pytest.raises(ValidationError):
        LabelPolicy.model_validate({"uncertain": value})


def test_the_policies_that_the_documentation_shows_are_policies() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", EXPLAINED.read_text(encoding="utf-8"), flags=re.DOTALL)
    policies = [LabelPolicy.model_validate(yaml.safe_load(block)["labels"]) for block in blocks]
    assert len(policies) >= 5
    assert len({policy.model_dump_json() for policy in policies}) == len(policies)
