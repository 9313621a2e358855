"""MethodOptions: what the methods need besides a net, images and findings; and what they all refuse."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from pocketcxr.domain.errors import UnknownNameError, UsageError

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1)]


class MethodOptions(BaseModel, frozen=True, extra="forbid"):
    """How much a method computes. Each field says which methods read it."""

    layer: int | str | None = None
    """The CAM family: a stride in pixels (16), a module's path ("trunk.layer3"), or None: what the head pools."""
    batch_size: Count = 16
    """Images in one forward pass, changed copies of one image included. Results do not depend on it."""
    steps: Count = 32
    """Integrated gradients: points on the way from gray to the image."""
    noise_samples: Count = 16
    """SmoothGrad: noisy copies of an image."""
    noise_share: Share = 0.15
    """SmoothGrad: standard deviation of the noise, as a share of the image's own range."""
    window_share: Share = 0.125
    """Occlusion: side of the covered window, as a share of the image's; windows overlap by half."""
    masks: Count = 1000
    """RISE: random masks, the same for every image."""
    seed: int = 0
    """RISE and SmoothGrad: what their randomness is drawn from."""


DEFAULTS = MethodOptions()


def check_findings(findings: Sequence[int], num_findings: int) -> None:
    """Raises UsageError where no finding is asked for, UnknownNameError for a number that no output has."""
    if not findings:
        raise UsageError("no finding to explain was named; give at least one")
    wrong = [finding for finding in findings if not 0 <= finding < num_findings]
    if wrong:
        raise UnknownNameError(f"finding number {wrong[0]} is unknown; this model has 0 to {num_findings - 1}")
