"""What a file says besides its gray pixels about being a frontal chest X-ray. What is absent stays unknown."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pocketcxr.domain.study import ViewPosition

if TYPE_CHECKING:
    from pydicom import Dataset

_YEARS_A_UNIT = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
"""PS3.5 table 6.2-1, value representation AS."""


@dataclass(frozen=True)
class SourceFacts:
    """What is known of an image besides its pixels; None where the file does not say."""

    modality: str | None = None
    sop_class: str | None = None
    """SOP Class UID."""
    sop_class_name: str | None = None
    body_part: str | None = None
    """Body Part Examined, in capitals."""
    view_position: ViewPosition = ViewPosition.UNKNOWN
    age_years: float | None = None
    coloured_share: float | None = None
    """Of the pixels of a PNG or JPEG file, those of a strong colour."""


NOTHING_KNOWN = SourceFacts()
"""Of files without a header, such as PNG and JPEG."""


def facts_of(header: "Dataset", view_position: ViewPosition) -> SourceFacts:
    """What a header says."""
    sop_class = _text(header, "SOPClassUID")
    return SourceFacts(
        modality=_text(header, "Modality"),
        sop_class=sop_class,
        sop_class_name=None if sop_class is None else str(header.SOPClassUID.name),
        body_part=_text(header, "BodyPartExamined"),
        view_position=view_position,
        age_years=_age_years(_text(header, "PatientAge")),
    )


def _text(header: "Dataset", keyword: str) -> str | None:
    """The first value in capitals; None where there is none."""
    value = header.get(keyword) or ""
    first = value if isinstance(value, str) else next(iter(value), "")
    return str(first).strip().upper() or None


def _age_years(text: str | None) -> float | None:
    """Years from an age string such as 058Y or 006M; None where it is not one."""
    if text is None or len(text) != 4 or not text[:3].isdecimal():
        return None
    unit = _YEARS_A_UNIT.get(text[3])
    return None if unit is None else int(text[:3]) * unit
