"""From path lengths to gray values: Beer-Lambert, scatter, quantum noise, and the display curve of a radiograph."""

from dataclasses import dataclass

import numpy as np

from pocketcxr.phantom.canvas import Map

SOFT_TISSUE_PER_CM = 0.195
"""Linear attenuation of soft tissue at the mean energy of a 120 kVp chest exposure: about 60 keV (NIST, ICRU-44 tissue,
0.205 * 1.06 g/cm3), lowered a little for beam hardening."""

QUANTA = 4e4
"""Detected X-ray quanta per mm2 behind no patient at exposure 1, in the unit that makes unscattered transmission 1."""

USUAL_SPAN_NEPERS = 1.95
"""From lung to mediastinum in a normal film."""


@dataclass(frozen=True)
class Exposure:
    """How the film was taken and shown."""

    dose: float
    scatter: float
    darkest: float
    brightest: float
    gamma: float
    toe: float


def transmitted(nepers: Map) -> Map:
    """Beer-Lambert: the share of the beam left after `nepers` of attenuation."""
    return np.exp(-nepers)


def detect(nepers: Map, exposure: Exposure, pixel_mm: float, rng: np.random.Generator) -> Map:
    """The detector's log signal (larger = more attenuation), with scatter and the noise of counted quanta."""
    signal = transmitted(nepers)
    signal += np.float32(exposure.scatter) * signal.mean()
    log_signal = -np.log(signal)
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    noise *= np.float32(1 / (QUANTA * exposure.dose * pixel_mm * pixel_mm) ** 0.5)
    noise /= np.sqrt(signal)
    log_signal += noise
    return log_signal


def display(log_signal: Map, exposure: Exposure) -> Map:
    """Gray values 0..255, bright = more attenuation (MONOCHROME2): auto-exposed window, then an S-shaped film curve."""
    side = log_signal.shape[0]
    step = max(1, side // 48)
    # Measured over the middle of the detector, so that air beside the patient does not set the window.
    middle = log_signal[side // 8 : side - side // 8 : step, side // 8 : side - side // 8 : step]
    sample = np.sort(middle.ravel())
    inner = sample[int(0.10 * len(sample))]
    dense = sample[int(0.95 * len(sample))]
    # Near a fixed latitude: a window that followed the lungs would hide that they are too white or too black.
    span = np.float32(0.4) * (dense - inner) + np.float32(0.6 * USUAL_SPAN_NEPERS)
    low = dense - (1 + np.float32(exposure.darkest)) * span
    high = dense + np.float32(exposure.brightest) * span
    shown = np.clip((log_signal - low) * (1 / (high - low)), 0, 1)
    bent = shown ** np.float32(exposure.gamma)
    smooth = bent * bent * (3 - 2 * bent)
    bent += np.float32(exposure.toe) * (smooth - bent)
    gray: Map = 255 * bent
    return gray


def draw_exposure(is_ap: bool, rng: np.random.Generator) -> Exposure:
    """Varied technique; bedside (AP) films have more scatter, less dose and flatter contrast."""
    return Exposure(
        dose=float(np.exp(rng.normal(-0.5 if is_ap else 0.0, 0.35))),
        scatter=float(np.clip(rng.normal(0.16 if is_ap else 0.06, 0.05), 0.01, 0.4)),
        darkest=float(np.clip(rng.normal(0.54 if is_ap else 0.50, 0.10), 0.25, 0.9)),
        brightest=float(np.clip(rng.normal(0.20, 0.07), 0.02, 0.45)),
        gamma=float(np.clip(rng.normal(1.0, 0.13), 0.65, 1.4)),
        toe=float(np.clip(rng.normal(0.35, 0.25), 0, 0.9)),
    )
