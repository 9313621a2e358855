"""Who is X-rayed, how often, and what is there: everything about a simulated data set but its pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.domain.study import Sex, Split, ViewPosition
from pocketcxr.phantom.anatomy import draw_patient
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.labels import ErrorRates, Flags, error_rates, report
from pocketcxr.phantom.prevalence import IMAGES_PER_PATIENT, LatentModel, latent_model
from pocketcxr.phantom.randomness import COUNTS, LABEL, PATIENT, SEVERITY, SPLIT, stream

NUM_FINDINGS = len(CHESTXRAY14)
STAGE = "planning"
PATIENTS_A_CALL = 500
"""Patients between two calls of `progress`."""
VALIDATION_SHARE = 0.125
"""Of the patients that are not for testing, those of the validation part, in layouts that have one."""


@dataclass(frozen=True)
class PlannedImage:
    """One image to draw. patient counts from 1, study from 0 (the official follow-up number).

    severities: for each finding of CHESTXRAY14 its quantile 0..1 among images that have it, or -1 where it is absent.
    labels: what the label table says; truth: what is there.
    """

    patient: int
    study: int
    view: ViewPosition
    sex: Sex
    age_years: int
    severities: tuple[float, ...]
    labels: tuple[str, ...]
    split: Split

    @property
    def is_test(self) -> bool:
        """Whether the image is for testing only."""
        return self.split is Split.TEST

    @property
    def image_id(self) -> str:
        """The file's name, as ChestX-ray14 forms it."""
        return f"{self.patient:08d}_{self.study:03d}.png"

    @property
    def truth(self) -> tuple[str, ...]:
        """The findings that are there."""
        return _names(np.array(self.severities) >= 0)


def plan(config: PhantomConfig, progress: Progress = silent) -> tuple[PlannedImage, ...]:
    """Exactly `config.images` images, by patient and in time.

    A larger data set of the same seed begins with the same images; only who is in which part may change.
    """
    model = latent_model(config.prevalence_scale)
    rates = error_rates(config.label_noise, model.prevalence[:NUM_FINDINGS])
    counts = _images_per_patient(config)
    splits = _splits(config, len(counts))
    images: list[PlannedImage] = []
    for patient, num_images in enumerate(counts, start=1):
        if patient % PATIENTS_A_CALL == 1:
            progress(STAGE, len(images), config.images)
        images += _follow_up(config, model, rates, _Visit(patient, num_images, splits[patient - 1]))
    progress(STAGE, len(images), config.images)
    return tuple(images)


@dataclass(frozen=True)
class _Visit:
    """How many images are taken of a patient, and for which part."""

    patient: int
    num_images: int
    split: Split


def _follow_up(config: PhantomConfig, model: LatentModel, rates: ErrorRates, visit: _Visit) -> tuple[PlannedImage, ...]:
    """One patient's images."""
    patient = draw_patient(stream(config.seed, visit.patient, PATIENT))
    latent = model.follow_ups(stream(config.seed, visit.patient, SEVERITY), visit.num_images)
    # Rounded, because the same number goes into the picture and into the table of severities.
    severities = np.stack([model.severities(row) for row in latent]).round(4)
    is_there = severities >= 0
    before = np.vstack((np.zeros_like(is_there[:1]), is_there[:-1]))[:, :NUM_FINDINGS]
    images = []
    for study in range(visit.num_images):
        rng = stream(config.seed, visit.patient, LABEL, study)
        image = PlannedImage(
            patient=visit.patient,
            study=study,
            view=ViewPosition.AP if is_there[study, NUM_FINDINGS] else ViewPosition.PA,
            sex=patient.sex,
            age_years=patient.age_years,
            severities=tuple(severities[study, :NUM_FINDINGS].tolist()),
            labels=_names(report(is_there[study, :NUM_FINDINGS], before[study], rates, rng)),
            split=visit.split,
        )
        images.append(image)
    return tuple(images)


def _images_per_patient(config: PhantomConfig) -> tuple[int, ...]:
    """Images of each patient from the first on, adding up to config.images; the last patient gets what is left."""
    published = np.array(IMAGES_PER_PATIENT[: config.max_images_per_patient], dtype=np.float64)
    at_most: NDArray[np.float64] = np.cumsum(published) / published.sum()
    counts: list[int] = []
    left = config.images
    while left > 0:
        roll = stream(config.seed, len(counts) + 1, COUNTS).random()
        # The last bound may round to just below 1.
        count = min(int(np.searchsorted(at_most, roll, side="right")), len(published) - 1) + 1
        counts.append(min(count, left))
        left -= counts[-1]
    return tuple(counts)


def _splits(config: PhantomConfig, num_patients: int) -> tuple[Split, ...]:
    """The part of each patient, by rank in a draw of their own, so that the shares are exact."""
    num_test = _share(config.test_fraction, num_patients)
    num_validation = _share(VALIDATION_SHARE, num_patients - num_test)
    rolls = [stream(config.seed, patient, SPLIT).random() for patient in range(1, num_patients + 1)]
    splits = [Split.TRAIN] * num_patients
    for rank, index in enumerate(np.argsort(rolls, kind="stable")[: num_test + num_validation]):
        splits[index] = Split.TEST if rank < num_test else Split.VALIDATION
    return tuple(splits)


def _share(fraction: float, num_patients: int) -> int:
    """How many of the patients are taken; of two or more at least one is, and one is left, unless all or none is."""
    wanted = round(fraction * num_patients)
    if 0 < fraction < 1 and num_patients > 1:
        wanted = min(max(wanted, 1), num_patients - 1)
    return wanted


def _names(flags: Flags) -> tuple[str, ...]:
    return tuple(finding for finding, flag in zip(CHESTXRAY14, flags, strict=True) if flag)
