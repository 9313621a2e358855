"""The same radiograph twice, told apart by one thing alone: a finding, or a device over the chest.

Patient, day, pose, exposure, noise, all other findings and all other devices are the same in both pictures, which no
real data set offers: whatever a model says differently of the two, it says because of that thing.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from pocketcxr.domain.errors import ConfigError, UnknownNameError, UsageError
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.study import Box
from pocketcxr.phantom.anatomy import draw_patient
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.devices import Device, draw_devices
from pocketcxr.phantom.drawing import request_of
from pocketcxr.phantom.plan import plan
from pocketcxr.phantom.randomness import DEVICE, PATIENT, stream
from pocketcxr.phantom.render import Rendered, RenderRequest, render

ABSENT = -1.0
REGION_SHARE = 0.25
"""A pixel shows the change where its gray value moved by more than this share of the largest move."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A radiograph without and with one thing. Read backwards, the pair removes it.

    thing: a finding of CHESTXRAY14, or a device. boxes: where the thing is, >= 1.
    """

    thing: str
    patient: int
    without: Rendered
    with_thing: Rendered
    boxes: tuple[Box, ...]

    @property
    def touched(self) -> NDArray[np.bool_]:
        """Whether the beam loses another share on its way to a pixel, [size, size].

        Everywhere else the two pictures differ only by what scatter, noise and automatic exposure make of the change.
        """
        touched: NDArray[np.bool_] = self.without.nepers != self.with_thing.nepers
        return touched

    @property
    def region(self) -> NDArray[np.bool_]:
        """The touched pixels that show the change, [size, size]; none where nothing was touched."""
        return _region(self.without, self.with_thing)


def base_requests(num_patients: int, size: int, seed: int) -> tuple[RenderRequest, ...]:
    """One radiograph of each of so many patients, as the data set of `seed` begins, at published prevalences.

    A seed that no training set had gives patients that no model has seen. Raises ConfigError for wishes that no data
    set may have.
    """
    try:
        config = PhantomConfig(images=num_patients, size=size, seed=seed, max_images_per_patient=1)
    except ValidationError as error:
        wrong = "; ".join(f"{one['loc'][0]} is {one['input']}: {one['msg']}" for one in error.errors())
        raise ConfigError(f"phantoms of {num_patients} patients cannot be drawn: {wrong}") from error
    return tuple(pinned(request_of(config, image)) for image in plan(config))


def pinned(request: RenderRequest) -> RenderRequest:
    """The request with its devices named, which otherwise follow by chance from the findings; it draws the same."""
    if request.devices is not None:
        return request
    age_years = draw_patient(stream(request.seed, request.patient, PATIENT)).age_years
    rng = stream(request.seed, request.patient, DEVICE, request.study)
    return replace(request, devices=draw_devices(request.view, frozenset(request.present), age_years, rng))


def finding_pair(request: RenderRequest, finding: str, severity: float) -> Pair:
    """The request's radiograph without `finding` and with it at `severity` (0..1), whichever of the two it was.

    Devices stay as they are. Raises UnknownNameError where the finding is none of the 14, UsageError where the
    severity is outside 0..1.
    """
    if finding not in CHESTXRAY14:
        raise UnknownNameError.of("finding", finding, CHESTXRAY14)
    if not 0 <= severity <= 1:
        raise UsageError(f"severity {severity} of {finding}: give the share of cases that are milder, 0 to 1")
    request = pinned(request)
    place = CHESTXRAY14.index(finding)
    without, with_thing = (
        render(replace(request, severities=(*request.severities[:place], value, *request.severities[place + 1 :])))
        for value in (ABSENT, severity)
    )
    return Pair(finding, request.patient, without, with_thing, with_thing.boxes[finding])


def device_pair(request: RenderRequest, device: Device) -> Pair:
    """The request's radiograph without `device` and with it, whichever of the two it was; the others stay in place."""
    request = pinned(request)
    devices = request.devices or ()
    # A new one is placed last: it takes no random number from the others.
    placed = devices if device in devices else (*devices, device)
    without = render(replace(request, devices=placed, hidden_device=device))
    with_thing = render(replace(request, devices=placed))
    return Pair(device.value, request.patient, without, with_thing, _box_around(_region(without, with_thing)))


def _region(without: Rendered, with_thing: Rendered) -> NDArray[np.bool_]:
    moved = np.abs(with_thing.gray - without.gray) * (with_thing.nepers != without.nepers)
    region: NDArray[np.bool_] = moved > REGION_SHARE * moved.max()
    return region


def _box_around(region: NDArray[np.bool_]) -> tuple[Box, ...]:
    """The box of a region; the whole image where there is none, because the thing lies outside the film."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if len(rows) == 0:
        return (Box(0.0, 0.0, float(region.shape[1]), float(region.shape[0])),)
    width, height = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
    return (Box(float(columns[0]), float(rows[0]), float(width), float(height)),)
