"""Random numbers that depend on what they are for, never on when or where they are drawn."""

import numpy as np

# Purposes: the third word of every key. A new purpose gets a new number; numbers are never reused.
COUNTS, PATIENT, SEVERITY, STUDY, NOISE, LABEL, FINDING, DEVICE, SPLIT, STATE, READER, DATE = range(12)


def stream(seed: int, patient: int, purpose: int, index: int = 0) -> np.random.Generator:
    """The generator of one purpose of one patient (and image or finding `index`), the same on every worker."""
    key = (seed & 0xFFFFFFFF, seed >> 32, patient, purpose * 65536 + index)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
