"""Objectives are a closed union: a wrong kind or key is refused and named."""

from typing import Any

import pytest
from pydantic import ValidationError

from pocketcxr.distill.config import OBJECTIVES, HintTerm, L2dTerm, ObjectiveConfig, RkdTerm, SoftBceTerm, XkdTerm


@pytest.mark.parametrize(
    ("terms", "named"),
    [
        ([{"kind": "mdl"}], "mdl.*'bce', 'focal-bce', 'xkd', 'xkd-sigmoid', 'mld', 'soft-bce', .*'class-map', 'hint'"),
        ([{"kind": "xkd", "heat": 2}], r"terms\.0\.xkd\.heat"),
        ([{"kind": "hint", "stride": 12}], r"terms\.0\.hint\.stride"),
        ([{"kind": "bce", "weight": 0}], r"terms\.0\.bce\.weight"),
        ([{"kind": "mld", "temperature": 2}], r"terms\.0\.mld\.temperature"),
        ([{"weight": 1}], "kind"),
        ([], "terms"),
        ([{"kind": "mld"}, {"kind": "bce"}, {"kind": "mld"}], "mld is given more than once"),
        ([{"kind": "hint"}, {"kind": "rkd", "stride": 8}], "one stride, .*hint 16, rkd 8.*give all the same"),
        ([{"kind": "rkd", "angle": -1}], r"terms\.0\.rkd\.angle"),
    ],
)
def test_what_is_wrong_is_named(terms: list[dict[str, Any]], named: str) -> None:
    with pytest.raises(ValidationError, match=f"(?s){named}"):
        ObjectiveConfig.model_validate({"terms": terms})


def test_terms_on_features_share_a_stride() -> None:
    assert ObjectiveConfig(terms=(RkdTerm(stride=8), L2dTerm(stride=8), SoftBceTerm()))


def test_yaml_texts_are_read_as_the_right_term() -> None:
    objective = ObjectiveConfig.model_validate({"terms": [{"kind": "xkd", "weight": "5e-1"}, {"kind": "hint"}]})
    assert objective.terms == (XkdTerm(weight=0.5), HintTerm())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_ready_objective_survives_json(name: str) -> None:
    text = OBJECTIVES[name].model_dump_json()
    assert ObjectiveConfig.model_validate_json(text) == OBJECTIVES[name]


def test_the_papers_objective_has_the_papers_numbers() -> None:
    assert OBJECTIVES["paper"].model_dump() == {
        "terms": (
            {"kind": "focal-bce", "weight": 0.5, "gamma": 2.0, "imbalance": "none"},
            {"kind": "xkd", "weight": 0.5, "temperature": 2.0},
        )
    }
