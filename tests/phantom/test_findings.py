"""Each finding changes the image where its box says, and more so the graver it is."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketcxr.domain.errors import UnknownNameError
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.study import Box, ViewPosition
from pocketcxr.phantom import findings
from pocketcxr.phantom.render import Rendered, RenderRequest, draw_lesions, open_scene, render, sit

SIZE = 96
FOCAL = ("Nodule", "Mass", "Consolidation", "Pneumonia", "Infiltration", "Pleural_Thickening", "Hernia")
"""Findings that leave the rest of the chest alone; the others also move heart, diaphragm or the lungs' density."""
PATIENTS = range(8)


def request(finding: str | None, severity: float, patient: int, view: ViewPosition = ViewPosition.PA) -> RenderRequest:
    severities = tuple(severity if name == finding else -1.0 for name in CHESTXRAY14)
    return RenderRequest(SIZE, 11, patient, 0, view, severities)


def inside(boxes: tuple[Box, ...]) -> NDArray[np.bool_]:
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    for box in boxes:
        rows = slice(int(box.y), int(np.ceil(box.y + box.h)))
        mask[rows, int(box.x) : int(np.ceil(box.x + box.w))] = True
    return mask


@cache
def drawn_once(wanted: RenderRequest) -> Rendered:
    return render(wanted)


def change(finding: str, severity: float, patient: int) -> tuple[NDArray[np.float64], Rendered] | None:
    """Absolute change of gray value against the image without the finding; None where a device came with it."""
    without, with_it = drawn_once(request(None, -1, patient)), drawn_once(request(finding, severity, patient))
    if without.devices != with_it.devices:
        return None
    return np.abs(with_it.pixels.astype(float) - without.pixels), with_it


def changes(finding: str, severity: float) -> list[tuple[NDArray[np.float64], Rendered]]:
    drawn = [change(finding, severity, patient) for patient in PATIENTS]
    return [pair for pair in drawn if pair is not None]


@pytest.mark.parametrize("finding", FOCAL)
def test_a_focal_finding_changes_the_image_inside_its_boxes_and_hardly_outside(finding: str) -> None:
    within, beyond = [], []
    for difference, rendered in changes(finding, 0.6):
        mask = inside(rendered.boxes[finding])
        within.append(difference[mask].mean())
        beyond.append(difference[~mask].mean())
    assert np.mean(within) > 4 * np.mean(beyond)
    assert min(within) > 3


@pytest.mark.parametrize("finding", CHESTXRAY14)
def test_every_finding_shows_more_inside_its_boxes_than_outside(finding: str) -> None:
    within, beyond = [], []
    for difference, rendered in changes(finding, 0.6):
        mask = inside(rendered.boxes[finding])
        within.append(difference[mask].mean())
        beyond.append(difference[~mask].mean())
    # Findings of the whole chest (edema, emphysema) also move heart and diaphragm, and with them the display window.
    assert np.mean(within) > 1.3 * np.mean(beyond)


@pytest.mark.parametrize("finding", CHESTXRAY14)
def test_a_graver_finding_changes_the_image_more(finding: str) -> None:
    totals = [np.mean([difference.mean() for difference, _ in changes(finding, s)]) for s in (0.1, 0.9)]
    assert totals[1] > 1.2 * totals[0]


@pytest.mark.parametrize("finding", CHESTXRAY14)
def test_even_the_mildest_finding_changes_its_box(finding: str) -> None:
    for difference, rendered in changes(finding, 0.0):
        assert difference[inside(rendered.boxes[finding])].max() >= 2


@pytest.mark.parametrize("finding", ["Nodule", "Mass", "Consolidation", "Pleural_Thickening", "Atelectasis"])
def test_a_lesion_is_found_again_at_follow_up(finding: str) -> None:
    for patient in PATIENTS:
        first = draw_lesions(request(finding, 0.5, patient))[finding]
        later = draw_lesions(replace(request(finding, 0.8, patient), study=3))[finding]
        assert first.sides == later.sides
        assert abs(first.across - later.across) < 0.3
        assert abs(first.down - later.down) < 0.3


def test_lesions_of_two_patients_sit_elsewhere() -> None:
    places = {draw_lesions(request("Nodule", 0.5, patient))["Nodule"].across for patient in PATIENTS}
    assert len(places) == len(PATIENTS)


def measured_ratio(severity: float, patient: int) -> float:
    """Heart width over inner chest width, measured on the lungs as drawn: where the heart takes some of the ray."""
    wanted = request("Cardiomegaly", severity, patient)
    scene = open_scene(wanted, sit(wanted, draw_lesions(wanted)))
    widest = 0.0
    for lung in scene.lungs.values():
        is_heart = (lung.path < 0.75 * lung.whole) & (lung.whole > 4) & (lung.y > 0) & (lung.from_dome > 6)
        widest += float(lung.lateral[is_heart].max())
    return widest / (2 * scene.anatomy.cage_half_width)


def test_a_graver_cardiomegaly_has_a_larger_cardiothoracic_ratio() -> None:
    for patient in PATIENTS:
        ratios = [measured_ratio(severity, patient) for severity in (0.0, 0.3, 0.6, 1.0)]
        assert ratios == sorted(ratios)
        assert ratios[0] > 0.48
        assert ratios[-1] > 0.62


@pytest.mark.parametrize(("finding", "low", "high"), [("Nodule", 0.0, 30.0), ("Mass", 30.0, 100.0)])
def test_a_nodule_stays_below_three_centimetres_and_a_mass_above(finding: str, low: float, high: float) -> None:
    for severity in (0.0, 0.5, 1.0):
        for patient in PATIENTS:
            wanted = replace(request(finding, severity, patient), size=256)
            lesions = draw_lesions(wanted)
            scene = open_scene(wanted, sit(wanted, lesions))
            box = findings.draw(finding, scene, lesions[finding])[0]
            # A lesion over the heart's edge shows in part; its longer side is then still near its diameter.
            diameter = max(box.w, box.h) * scene.canvas.pixel_mm
            assert low < diameter + 3
            assert diameter - 3 < high


def test_an_unknown_finding_is_named() -> None:
    wanted = request("Nodule", 0.5, 0)
    lesions = draw_lesions(wanted)
    scene = open_scene(wanted, sit(wanted, lesions))
    with pytest.raises(UnknownNameError, match="Fracture"):
        findings.draw("Fracture", scene, lesions["Nodule"])
