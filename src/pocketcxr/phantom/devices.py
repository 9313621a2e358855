"""Things that are no finding but come with sickness: lines, tubes, leads, a pacemaker, wires; and film markers."""

from enum import StrEnum

import numpy as np

from pocketcxr.domain.study import ViewPosition
from pocketcxr.phantom.anatomy import Anatomy
from pocketcxr.phantom.canvas import Ink


class Device(StrEnum):
    """What may lie over the chest."""

    ECG_LEADS = "ecg-leads"
    CENTRAL_LINE = "central-line"
    TRACHEAL_TUBE = "tracheal-tube"
    FEEDING_TUBE = "feeding-tube"
    CHEST_TUBE = "chest-tube"
    PACEMAKER = "pacemaker"
    STERNAL_WIRES = "sternal-wires"


# Chance in a PA image without findings | added AP | added for each finding present.
CHANCES: dict[Device, tuple[float, float, float]] = {
    Device.ECG_LEADS: (0.02, 0.40, 0.03),
    Device.CENTRAL_LINE: (0.04, 0.25, 0.06),
    Device.TRACHEAL_TUBE: (0.0, 0.14, 0.05),
    Device.FEEDING_TUBE: (0.0, 0.12, 0.05),
    Device.CHEST_TUBE: (0.0, 0.01, 0.01),
    Device.PACEMAKER: (0.02, 0.02, 0.0),
    Device.STERNAL_WIRES: (0.04, 0.02, 0.0),
}


def draw_devices(
    view: ViewPosition, findings: frozenset[str], age_years: int, rng: np.random.Generator
) -> tuple[Device, ...]:
    """Which devices are there: more AP, in the sick, and where a finding calls for them, but never surely."""
    rolls = rng.random(len(CHANCES))
    chosen = []
    for roll, (device, (base, ap, sick)) in zip(rolls, CHANCES.items(), strict=True):
        chance = base + (ap if view is ViewPosition.AP else 0.0) + sick * len(findings)
        if device is Device.CHEST_TUBE and findings & {"Pneumothorax", "Effusion"}:
            chance += 0.35 if "Pneumothorax" in findings else 0.08
        if device in (Device.PACEMAKER, Device.STERNAL_WIRES):
            chance += 0.0012 * max(age_years - 45, 0) + (0.10 if "Cardiomegaly" in findings else 0.0)
        if roll < chance:
            chosen.append(device)
    return tuple(chosen)


def place(ink: Ink, anatomy: Anatomy, device: Device, rng: np.random.Generator) -> None:
    """Draw one device into the bone ink."""
    match device:
        case Device.ECG_LEADS:
            _ecg_leads(ink, anatomy, rng)
        case Device.CENTRAL_LINE:
            _central_line(ink, anatomy, rng)
        case Device.TRACHEAL_TUBE:
            x = anatomy.mediastinum_shift - 3 + rng.normal(0, 1)
            tip = -72 + rng.normal(0, 9)
            ink.line([(x + 4, -260), (x + 2, -150), (x, tip)], 8.0, 0.10)
            ink.line([(x + 7, -260), (x + 5, -150), (x + 3, tip)], 1.3, 0.55)
        case Device.FEEDING_TUBE:
            x = anatomy.mediastinum_shift + 4 + rng.normal(0, 2)
            y = anatomy.dome_y_left
            path = [(x, -260), (x + 2, -60), (x + 8, y - 10), (x + 30, y + 25), (x + 48, y + 55)]
            ink.line(path, 3.6, 0.22)
        case Device.CHEST_TUBE:
            _chest_tube(ink, anatomy, rng)
        case Device.PACEMAKER:
            _pacemaker(ink, anatomy, rng)
        case Device.STERNAL_WIRES:
            _sternal_wires(ink, anatomy, rng)


def _ecg_leads(ink: Ink, anatomy: Anatomy, rng: np.random.Generator) -> None:
    w = anatomy.cage_half_width
    spots = [(-0.75 * w, -70), (0.72 * w, -74), (-0.7 * w, 75), (0.74 * w, 78), (0.25 * w, 15)]
    plug = rng.uniform(-0.5, 0.5) * w
    for x, y in spots[: int(rng.integers(3, 6))]:
        at = (x + rng.normal(0, 9), y + rng.normal(0, 9))
        ink.disc(*at, 6.0, 0.14)
        ink.disc(*at, 2.8, 0.6)
        middle = ((at[0] + plug) / 2 + rng.normal(0, 25), (at[1] + 260) / 2 + rng.normal(0, 20))
        ink.line([at, middle, (plug + rng.normal(0, 20), 260)], 1.6, 0.42)


def _central_line(ink: Ink, anatomy: Anatomy, rng: np.random.Generator) -> None:
    x = anatomy.mediastinum_shift - 16 + rng.normal(0, 2)
    tip = -25 + rng.normal(0, 14)
    if rng.random() < 0.5:
        path = [(x - 22, -260), (x - 16, -170), (x - 5, -120), (x, -75), (x + 1, tip)]
    else:
        side = 1 if rng.random() < 0.4 else -1
        w = anatomy.cage_half_width
        path = [(side * 1.1 * w, -60), (side * 0.75 * w, -98), (side * 0.35 * w, -108), (x, -92), (x + 1, tip)]
    ink.line(path, 2.4, 0.30)


def _chest_tube(ink: Ink, anatomy: Anatomy, rng: np.random.Generator) -> None:
    side = 1 if rng.random() < 0.5 else -1
    w = anatomy.cage_half_width
    y = 60 + rng.normal(0, 15)
    path = [(side * (w + 60), y + 35), (side * 0.9 * w, y - 15), (side * 0.66 * w, -30), (side * 0.5 * w, -98)]
    ink.line(path, 7.0, 0.11)
    ink.line(path, 1.4, 0.5)


def _pacemaker(ink: Ink, anatomy: Anatomy, rng: np.random.Generator) -> None:
    side = 1 if rng.random() < 0.8 else -1
    x, y = side * (0.68 * anatomy.cage_half_width + rng.normal(0, 6)), -92 + rng.normal(0, 7)
    turn = np.linspace(0, 2 * np.pi, 24)
    can = np.stack((x + 23 * np.cos(turn), y + 20 * np.sin(turn) * (1 - 0.15 * np.cos(turn))), axis=1)
    ink.polygon(can, 0.95)
    cava = anatomy.mediastinum_shift - 15.0
    w = anatomy.heart_width
    floor = anatomy.dome_y_left - 4
    start = [(x, y - 14), (side * 34.0, -112.0), (cava, -84.0), (cava - 3, -20.0), (cava + 6, floor - 0.25 * w)]
    for across, up in ((0.36, 0.0), (-0.12, 0.42)):
        ink.line([*start, (anatomy.mediastinum_shift + across * w, floor - up * w)], 2.0, 0.5)


def _sternal_wires(ink: Ink, anatomy: Anatomy, rng: np.random.Generator) -> None:
    x = anatomy.mediastinum_shift + 1.6 * anatomy.rotation
    turn = np.linspace(0, 2 * np.pi, 12)
    for index in range(6):
        y = -78 + 22 * index + rng.normal(0, 2)
        ring = np.stack((x + rng.normal(0, 1) + 7.5 * np.cos(turn), y + 4 * np.sin(turn)), axis=1)
        ink.line(ring, 1.3, 0.6)


STROKES: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "L": (((0, 0), (0, 10), (6, 10)),),
    "R": (((0, 10), (0, 0), (5, 0), (6, 2), (5, 5), (0, 5)), ((3, 5), (6, 10))),
    "A": (((0, 10), (3, 0), (6, 10)), ((1, 6), (5, 6))),
    "P": (((0, 10), (0, 0), (5, 0), (6, 2), (5, 5), (0, 5)),),
}


def draw_markers(ink: Ink, view: ViewPosition, rng: np.random.Generator) -> None:
    """The lead letter of the side, and AP on most AP films, beside the shoulders."""
    left = rng.random() < 0.8
    x = (1 if left else -1) * (0.78 * ink.canvas.pose.field_mm / 2 + rng.normal(0, 8))
    y = -0.86 * ink.canvas.pose.field_mm / 2 + abs(rng.normal(0, 10))
    size, turn = rng.uniform(1.0, 1.5), rng.normal(0, 0.15)
    _letters(ink, "L" if left else "R", (x, y), size, turn)
    if view is ViewPosition.AP and rng.random() < 0.7:
        _letters(ink, "AP", (x - 8, y + 20), 0.7 * size, turn)


def _letters(ink: Ink, text: str, at: tuple[float, float], size: float, turn: float) -> None:
    c, s = np.cos(turn), np.sin(turn)
    for index, letter in enumerate(text):
        for stroke in STROKES[letter]:
            points = (np.array(stroke) + np.array([9 * index, 0])) * size
            turned = np.stack((points[:, 0] * c - points[:, 1] * s, points[:, 0] * s + points[:, 1] * c), axis=1)
            ink.line(turned + at, 2.2 * size, 0.95)
