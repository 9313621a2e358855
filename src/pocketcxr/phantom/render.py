"""One simulated frontal radiograph: a patient, a day, the findings of that day; pixels and the findings' true boxes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.study import Box, Sex, ViewPosition
from pocketcxr.phantom import findings
from pocketcxr.phantom.airways import remove_airways, remove_stomach_bubble
from pocketcxr.phantom.anatomy import Anatomy, breathe, draw_patient
from pocketcxr.phantom.canvas import Canvas, Ink, Map, Pose
from pocketcxr.phantom.devices import Device, draw_devices, draw_markers, place
from pocketcxr.phantom.physics import SOFT_TISSUE_PER_CM, Exposure, detect, display, draw_exposure
from pocketcxr.phantom.randomness import DEVICE, NOISE, PATIENT, STUDY, stream
from pocketcxr.phantom.scene import Lesion, LesionKey, Scene, displace_by_heart, draw_lesion
from pocketcxr.phantom.skeleton import INK_NEPERS, ribs, shoulder_girdle, spine
from pocketcxr.phantom.thorax import LEFT, RIGHT, body_path, great_vessels, heart_solids, lung_field
from pocketcxr.phantom.vessels import FULL_INK_MM, VESSEL_NEPERS_PER_MM, draw_vessels

VESSEL_TREE = 1
"""Index of the patient's stream that the vessels are drawn from."""
MARKERS = 32768
"""Index of the first of the device streams that markers are drawn from."""
METAL_INK = 0.5
METAL_NEPERS = 9.0
"""Ink above METAL_INK is lead or steel: so many nepers more for every 1.0 of ink above it."""


@dataclass(frozen=True)
class RenderRequest:
    """What to draw. severities: one for each finding of CHESTXRAY14, 0..1, or -1 where it is absent.

    devices: placed in this order; None: drawn by chance. hidden_device: takes its place and its random numbers, so
    that the others stay where they are, but is not seen.
    """

    size: int
    seed: int
    patient: int
    study: int
    view: ViewPosition
    severities: tuple[float, ...]
    devices: tuple[Device, ...] | None = None
    hidden_device: Device | None = None

    @property
    def present(self) -> dict[str, float]:
        """Severity of each finding that is there."""
        pairs = zip(CHESTXRAY14, self.severities, strict=True)
        return {finding: severity for finding, severity in pairs if severity >= 0}


@dataclass(frozen=True)
class Rendered:
    """An image and the truth about it. boxes: >= 1 a finding.

    pixels: uint8 [size, size], bright = more attenuation; gray: the same, 0..255, before it is rounded.
    nepers: what the beam loses on its way to each pixel, before scatter, noise and display. devices: those seen.
    """

    pixels: NDArray[np.uint8]
    gray: Map
    nepers: Map
    boxes: dict[str, tuple[Box, ...]]
    sex: Sex
    age_years: int
    devices: tuple[Device, ...]


@dataclass(frozen=True)
class Sitting:
    """The patient, as findings changed them, before the detector on one day. stomach: size of its air bubble."""

    patient: Anatomy
    anatomy: Anatomy
    canvas: Canvas
    exposure: Exposure
    stomach: float


def render(request: RenderRequest) -> Rendered:
    """The radiograph of a request; the same request gives the same pixels wherever and whenever it is drawn."""
    lesions = draw_lesions(request)
    sitting = sit(request, lesions)
    scene = open_scene(request, sitting)
    boxes = {finding: findings.draw(finding, scene, lesion) for finding, lesion in lesions.items()}
    bones, devices = _bones_and_devices(request, sitting, frozenset(lesions))
    nepers = _attenuation(scene, _soft_tissue(sitting), bones)
    noise = stream(request.seed, request.patient, NOISE, request.study)
    shown = display(detect(nepers, sitting.exposure, sitting.canvas.pixel_mm, noise), sitting.exposure)
    in_order = {finding: boxes[finding] for finding in CHESTXRAY14 if finding in boxes}
    return Rendered(
        pixels=np.rint(shown).astype(np.uint8),
        gray=shown,
        nepers=nepers,
        boxes=in_order,
        sex=sitting.patient.sex,
        age_years=sitting.patient.age_years,
        devices=devices,
    )


def sit(request: RenderRequest, lesions: dict[str, Lesion]) -> Sitting:
    """The request's patient and day, with the build that the lesions leave."""
    day = stream(request.seed, request.patient, STUDY, request.study)
    patient = draw_patient(stream(request.seed, request.patient, PATIENT))
    anatomy = breathe(patient, request.view, day)
    canvas = Canvas(request.size, draw_pose(anatomy, request.view, day))
    exposure = draw_exposure(request.view is ViewPosition.AP, day)
    for finding, lesion in lesions.items():
        anatomy = findings.reshape(finding, anatomy, lesion)
    return Sitting(patient, anatomy, canvas, exposure, stomach=float(day.uniform(0.35, 1.25)))


def open_scene(request: RenderRequest, sitting: Sitting) -> Scene:
    """Lungs, heart and vessels of a sitting, before any finding is drawn into them."""
    canvas, anatomy = sitting.canvas, sitting.anatomy
    lungs = {side: lung_field(canvas, anatomy, side) for side in (RIGHT, LEFT)}
    displace_by_heart(canvas, lungs, heart_solids(anatomy) + great_vessels(anatomy))
    ink = Ink(canvas)
    draw_vessels(ink, anatomy, stream(request.seed, request.patient, PATIENT, VESSEL_TREE))
    return Scene(canvas, anatomy, lungs, ink, np.zeros((canvas.size, canvas.size), dtype=np.float32))


def draw_pose(anatomy: Anatomy, view: ViewPosition, rng: np.random.Generator) -> Pose:
    """How the patient stands or lies before the detector: bedside films are more tilted and off centre."""
    loose = 1.9 if view is ViewPosition.AP else 1.0
    zoom = float(np.clip(rng.normal(2.56, 0.09), 2.38, 2.85))
    return Pose(
        field_mm=zoom * (60 + 0.54 * anatomy.cage_half_width),
        tilt_degrees=float(rng.normal(0, 1.3 * loose)),
        centre_x_mm=float(rng.normal(0, 4.5 * loose)),
        centre_y_mm=float(rng.normal(6, 7 * loose)),
    )


def draw_lesions(request: RenderRequest) -> dict[str, Lesion]:
    """Every finding that is there, in the order of drawing."""
    present = request.present
    lesions = {}
    for finding in findings.DRAWING_ORDER:
        if finding in present:
            key = LesionKey(request.seed, request.patient, request.study, CHESTXRAY14.index(finding))
            lesions[finding] = draw_lesion(key, present[finding], *findings.LATERALITY[finding])
    return lesions


def _bones_and_devices(
    request: RenderRequest, sitting: Sitting, present: frozenset[str]
) -> tuple[Ink, tuple[Device, ...]]:
    """The ink of shoulder girdle, devices and markers, and which devices are seen."""
    rng = stream(request.seed, request.patient, DEVICE, request.study)
    # Drawn even if the request knows better: places follow in the same stream.
    devices = draw_devices(request.view, present, sitting.anatomy.age_years, rng)
    placed = devices if request.devices is None else request.devices
    ink = Ink(sitting.canvas)
    unseen = ink if request.hidden_device is None else Ink(sitting.canvas)
    shoulder_girdle(ink, sitting.anatomy)
    for device in placed:
        place(unseen if device is request.hidden_device else ink, sitting.anatomy, device, rng)
    markers = stream(request.seed, request.patient, DEVICE, MARKERS + request.study)
    draw_markers(ink, request.view, markers)
    return ink, tuple(device for device in placed if device is not request.hidden_device)


def _soft_tissue(sitting: Sitting) -> Map:
    """Centimetres of soft tissue along the ray if the lungs were none, [size, size]."""
    body = body_path(sitting.canvas, sitting.anatomy)
    remove_airways(sitting.canvas, sitting.anatomy, body)
    remove_stomach_bubble(sitting.canvas, sitting.anatomy, sitting.stomach, body)
    np.maximum(body, 0, out=body)
    return body


def _attenuation(scene: Scene, body: Map, bones: Ink) -> Map:
    """Nepers of everything the beam crosses, [size, size]: path lengths times coefficients, added up."""
    nepers = body * np.float32(SOFT_TISSUE_PER_CM)
    less = np.float32(SOFT_TISSUE_PER_CM - scene.anatomy.lung_coefficient)
    vessels = scene.ink.coverage()
    vessels *= np.float32(FULL_INK_MM * VESSEL_NEPERS_PER_MM)
    for lung in scene.lungs.values():
        rows, columns = lung.window.rows, lung.window.columns
        part = nepers[rows, columns]
        part -= lung.path * less
        if lung.air is not None:
            part -= lung.air * np.float32(SOFT_TISSUE_PER_CM)
        # Vessels show where lung is left around them.
        part += vessels[rows, columns] * (lung.path / np.maximum(lung.whole, 3))
    nepers += scene.added
    nepers += ribs(scene.canvas, scene.anatomy)
    spine(scene.canvas, scene.anatomy, nepers)
    drawn = bones.coverage()
    nepers += drawn * np.float32(INK_NEPERS)
    nepers += np.maximum(drawn - np.float32(METAL_INK), 0) * np.float32(METAL_NEPERS)
    np.maximum(nepers, 0, out=nepers)
    return nepers
