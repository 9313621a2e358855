"""From raw states to 1, 0 and NaN."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pocketcxr.domain.study import LabelState
from pocketcxr.manifest.labels import LabelPolicy, label_matrix
from pocketcxr.manifest.schema import Manifest

Make = Callable[..., Manifest]
STATES = st.lists(st.sampled_from([state.value for state in LabelState]), min_size=1, max_size=12)
READINGS = st.sampled_from(["unknown", "positive", "negative"])
EVERY_STATE = ["present", "absent", "uncertain", "unmentioned"]


def test_present_is_one_absent_is_zero_and_the_rest_is_unknown(make_manifest: Make) -> None:
    labels = label_matrix(make_manifest({"Mass": EVERY_STATE}), ["Mass"], LabelPolicy())
    assert labels.dtype == np.float32
    assert np.array_equal(labels[:, 0], [1, 0, np.nan, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (LabelPolicy(uncertain="positive"), [1, 0, 1, np.nan]),
        (LabelPolicy(uncertain="negative", unmentioned="negative"), [1, 0, 0, 0]),
        (LabelPolicy(unmentioned="positive"), [1, 0, np.nan, 1]),
    ],
)
def test_the_policy_reads_the_doubtful_states(policy: LabelPolicy, expected: list[float], make_manifest: Make) -> None:
    labels = label_matrix(make_manifest({"Mass": EVERY_STATE}), ["Mass"], policy)
    assert np.array_equal(labels[:, 0], expected, equal_nan=True)


@given(states=STATES, uncertain=READINGS, unmentioned=READINGS)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_policy_touches_what_is_certain(
    states: list[str], uncertain: str, unmentioned: str, make_manifest: Make
) -> None:
    policy = LabelPolicy.model_validate({"uncertain": uncertain, "unmentioned": unmentioned})
    labels = label_matrix(make_manifest({"Mass": states}), ["Mass"], policy)[:, 0]
    given_states = np.array(states)
    assert (labels[given_states == "present"] == 1).all()
    assert (labels[given_states == "absent"] == 0).all()
    assert np.isin(labels[~np.isnan(labels)], [0, 1]).all()


def test_a_finding_the_manifest_lacks_is_unknown_everywhere(make_manifest: Make) -> None:
    labels = label_matrix(make_manifest({"Mass": EVERY_STATE}), ["Hernia", "Mass"], LabelPolicy())
    assert np.isnan(labels[:, 0]).all()
    assert labels[0, 1] == 1


@given(order=st.permutations(["Mass", "Nodule", "Hernia"]))
@settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_columns_follow_the_findings_asked_for(order: list[str], make_manifest: Make) -> None:
    manifest = make_manifest({"Mass": ["present"], "Nodule": ["absent"], "Hernia": ["uncertain"]})
    expected = {"Mass": 1.0, "Nodule": 0.0, "Hernia": np.nan}
    labels = label_matrix(manifest, order, LabelPolicy())
    assert np.array_equal(labels[0], [expected[finding] for finding in order], equal_nan=True)


def test_an_unknown_reading_is_refused() -> None:
    with pytest.raises(ValidationError):
        LabelPolicy.model_validate({"uncertain": "half"})
