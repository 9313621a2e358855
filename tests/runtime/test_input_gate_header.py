"""What a header rules out, and that what it does not say is no reason."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketcxr.domain.errors import RefusalCode
from pocketcxr.domain.study import ViewPosition
from pocketcxr.imaging.dicom_facts import NOTHING_KNOWN, SourceFacts
from pocketcxr.runtime.input_gate_header import CHEST_PARTS, MODALITIES, OTHER_PARTS, SOP_CLASSES, header_refusal

CHEST = SourceFacts("DX", "1.2.840.10008.5.1.4.1.1.1.1", "DX", "CHEST", ViewPosition.PA, 58.0)


def test_a_file_that_says_nothing_is_not_refused() -> None:
    assert header_refusal("a.png", NOTHING_KNOWN) is None


@given(st.sampled_from(sorted(MODALITIES)), st.sampled_from(sorted(SOP_CLASSES)), st.sampled_from(sorted(CHEST_PARTS)))
def test_adult_frontal_chests_pass(modality: str, sop_class: str, part: str) -> None:
    facts = replace(CHEST, modality=modality, sop_class=sop_class, body_part=part)
    for view in (ViewPosition.PA, ViewPosition.AP, ViewPosition.UNKNOWN):
        assert header_refusal("a.dcm", replace(facts, view_position=view)) is None


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (replace(CHEST, modality="CT"), RefusalCode.UNSUPPORTED_MODALITY),
        (replace(CHEST, modality="MG"), RefusalCode.UNSUPPORTED_MODALITY),
        (replace(CHEST, sop_class="1.2.840.10008.5.1.4.1.1.2"), RefusalCode.UNSUPPORTED_SOP_CLASS),
        (replace(CHEST, body_part="HAND"), RefusalCode.NOT_A_CHEST_RADIOGRAPH),
        (replace(CHEST, view_position=ViewPosition.LATERAL), RefusalCode.LATERAL),
        (replace(CHEST, age_years=17.9), RefusalCode.CHILD),
    ],
)
def test_what_the_header_rules_out_is_refused_by_its_code(facts: SourceFacts, code: RefusalCode) -> None:
    refusal = header_refusal("a.dcm", facts)
    assert refusal is not None
    assert (refusal.path, refusal.code) == ("a.dcm", code)
    assert refusal.message.startswith("a.dcm: ")


@given(st.text(min_size=1, max_size=12).map(str.upper).filter(lambda part: part not in OTHER_PARTS))
def test_a_hospitals_own_word_for_a_body_part_is_no_reason(part: str) -> None:
    assert header_refusal("a.dcm", replace(CHEST, body_part=part)) is None
