"""Every failure a caller may treat differently.

PocketCxrError                      exit code 1: the work failed
|- UsageError                       exit code 2: the request itself is wrong
|  |- ConfigError                   a config file or --set value is wrong; names the key's path
|  |- UnknownNameError              a name (finding, student, teacher, source) that does not exist; lists those that do
|  `- MissingExtraError             an optional dependency is not installed; names the extra
|- ManifestError                    a data set or a manifest breaks its own rules
|- EmptyCohortError                 zero images are left after a filter
|- ImageRefusedError                one file cannot be scored; carries a RefusalCode
|- BundleError                      a bundle is damaged, changed or of another version
|- CheckpointError                  a checkpoint cannot be read, written or does not fit
`- ParityError                      two engines disagree by more than the tolerance

Every message says what, where and the next step.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum
from typing import Self


class RefusalCode(StrEnum):
    """Why one input was refused. The value is stable: programs may branch on it."""

    NOT_FOUND = "not-found"
    IS_A_DIRECTORY = "is-a-directory"
    EMPTY_FILE = "empty-file"
    NOT_AN_IMAGE = "not-an-image"
    UNSUPPORTED_FORMAT = "unsupported-format"
    CORRUPT = "corrupt"
    MULTI_FRAME = "multi-frame"
    TOO_LARGE = "too-large"
    TOO_SMALL = "too-small"
    CONSTANT = "constant"
    NO_PERMISSION = "no-permission"
    MISSING_CODEC = "missing-codec"
    OUTSIDE_ROOT = "outside-root"
    NOT_A_CHEST_RADIOGRAPH = "not-a-chest-radiograph"
    BAD_RECORD = "bad-record"
    TIMED_OUT = "timed-out"
    TOO_MUCH_MEMORY = "too-much-memory"
    DECODER_CRASHED = "decoder-crashed"
    LATERAL = "lateral"
    INVERTED = "inverted"
    ROTATED = "rotated"
    HEAVILY_CROPPED = "heavily-cropped"
    BLANK = "blank"
    OVER_EXPOSED = "over-exposed"
    CHILD = "child"
    UNSUPPORTED_MODALITY = "unsupported-modality"
    UNSUPPORTED_SOP_CLASS = "unsupported-sop-class"


class PocketCxrError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class UsageError(PocketCxrError):
    """The request itself is wrong."""

    exit_code = 2


class ConfigError(UsageError):
    """A config file or a --set value is wrong."""


class UnknownNameError(UsageError):
    """A name that does not exist; the message lists those that do."""

    @classmethod
    def of(cls, kind: str, name: str, available: Iterable[str]) -> Self:
        """The error for an unknown `name` of `kind`, with the nearest spellings and every name there is."""
        names = sorted(available)
        near = get_close_matches(name, names, n=3)
        hint = f" did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        return cls(f"{kind} {name!r} is unknown;{hint} available: {', '.join(names)}")


class MissingExtraError(UsageError):
    """An optional dependency is not installed."""


class ManifestError(PocketCxrError):
    """A data set or a manifest breaks its own rules."""


class EmptyCohortError(PocketCxrError):
    """Zero images are left after a filter."""


class ImageRefusedError(PocketCxrError):
    """One file cannot be scored; `code` says why, for programs."""

    def __init__(self, code: RefusalCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class BundleError(PocketCxrError):
    """A bundle is damaged, changed or of another version."""


class CheckpointError(PocketCxrError):
    """A checkpoint cannot be read or written, or does not fit the model."""


class ParityError(PocketCxrError):
    """Two engines disagree by more than the tolerance."""
