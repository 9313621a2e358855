"""Words about a study: who, how it was taken, which part of the data it belongs to, what is known of its findings."""

from dataclasses import dataclass
from enum import StrEnum


class ViewPosition(StrEnum):
    """How the X-ray beam crossed the chest (DICOM View Position, 0018,5101)."""

    PA = "PA"
    AP = "AP"
    LATERAL = "LATERAL"
    UNKNOWN = "UNKNOWN"


class Sex(StrEnum):
    """Patient's Sex (DICOM 0010,0040); UNKNOWN where it is not given."""

    FEMALE = "F"
    MALE = "M"
    OTHER = "O"
    UNKNOWN = "UNKNOWN"


class Split(StrEnum):
    """The part of a cohort an image is used in; a patient is in one split only."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class LabelState(StrEnum):
    """What a source says about one finding in one image, before any policy turns it into 1, 0 or NaN."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    UNMENTIONED = "unmentioned"
    """A report was read, and it does not speak of the finding."""
    NOT_LABELLED = "not-labelled"
    """Nobody looked for the finding in this image: unknown under every policy."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels; (x, y) is the upper left corner, sides may be fractional."""

    x: float
    y: float
    w: float
    h: float

    def contains(self, x: float, y: float) -> bool:
        """Whether the point lies inside (upper left edges included, lower right ones not)."""
        return self.x <= x < self.x + self.w and self.y <= y < self.y + self.h
