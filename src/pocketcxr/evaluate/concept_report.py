"""Concept checks as a report: does each finding move its own answer and heatmap, and how much does a device?"""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel

from pocketcxr.domain.errors import EmptyCohortError, ManifestError
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES, Estimate, estimate, estimate_each, estimate_mean
from pocketcxr.evaluate.concepts import Reaction
from pocketcxr.evaluate.patient_means import patient_means


class ConceptFigures(BaseModel, frozen=True, extra="forbid"):
    """What adding a thing did to the answer for a finding; None where no pair defines it."""

    logit_change: Estimate | None
    probability_change: Estimate | None
    """With minus without; the probability as the model says it, not calibrated."""
    size: Estimate | None
    """The absolute change of probability."""
    rose: Estimate | None
    """Share of pairs in which the logit rose."""
    energy: Estimate | None
    """Share of the heatmap's rise that lies where the picture changed."""
    energy_of_other: Estimate | None
    """The same of the rise in another patient, who has the thing elsewhere: what knowing no place gives."""
    over_area: Estimate | None
    """`energy` minus the share of the picture that changed, paired: 0 for a rise everywhere alike."""
    over_other: Estimate | None
    """`energy` minus `energy_of_other`, paired."""
    pointing: Estimate | None
    """Share of pairs in which the heatmap rose most inside the thing's boxes."""
    pointing_of_other: Estimate | None
    pointing_over_other: Estimate | None
    """Paired."""
    drawn: Estimate | None
    """Share of the heatmap's positive energy where the thing is, with minus without it."""


NAMES = tuple(ConceptFigures.model_fields)


class FindingConcept(BaseModel, frozen=True, extra="forbid"):
    """What adding a finding did to its own answer."""

    finding: str
    num_pairs: int
    area: float
    """Share of the picture that changed."""
    box_area: float
    """Share of the picture in the finding's boxes."""
    figures: ConceptFigures


class DeviceReaction(BaseModel, frozen=True, extra="forbid"):
    """What adding a device did to the answer for one finding."""

    finding: str
    shortcut: Estimate | None
    """`size` by the device over `size` by the finding itself: 0 is right, 1 means that the device counts as much as the
    finding. None where the finding was not added or moves nothing."""
    signed_shortcut: Estimate | None
    """`probability_change` by the device over `size` by the finding: above 0 the device speaks for the finding."""
    figures: ConceptFigures


class DeviceConcept(BaseModel, frozen=True, extra="forbid"):
    """What adding a device did; means are unweighted, over the findings that have the figure.

    The mean shortcuts divide after averaging, so a finding that the model hardly sees counts little.
    """

    device: str
    num_pairs: int
    area: float
    """Share of the picture that the device visibly changed."""
    findings: tuple[DeviceReaction, ...]
    mean_shortcut: Estimate | None
    mean_signed_shortcut: Estimate | None
    mean: ConceptFigures


class ConceptReport(BaseModel, frozen=True, extra="forbid"):
    """Concept checks of one model; means are unweighted, over what has the figure."""

    num_patients: int
    num_resamples: int
    findings: tuple[FindingConcept, ...]
    devices: tuple[DeviceConcept, ...]
    mean: ConceptFigures
    """Over findings, each added to itself."""
    mean_shortcut: Estimate | None
    """Over devices and findings."""
    mean_signed_shortcut: Estimate | None


def concept_report(
    observed: Sequence[Reaction], rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES
) -> ConceptReport:
    """Figures by finding and by device with 95 % patient-bootstrap intervals, all of the same resamples.

    Raises EmptyCohortError where there is no reaction, ManifestError where a patient has a pair twice.
    """
    if not observed:
        raise EmptyCohortError("concepts: there is no pair; ask for at least one finding or device")
    table = _Table(observed, rng, num_resamples)
    own = [key for key in table.keys if key[0] == key[1]]
    others = [key for key in table.keys if key[0] != key[1]]
    return ConceptReport(
        num_patients=len({one.patient_id for one in observed}),
        num_resamples=num_resamples,
        findings=tuple(_finding(table, key) for key in own),
        devices=tuple(
            _device(table, [key for key in others if key[0] == device])
            for device in dict.fromkeys(thing for thing, _ in others)
        ),
        mean=table.mean(own),
        mean_shortcut=table.ratio(others, "size"),
        mean_signed_shortcut=table.ratio(others, "probability_change"),
    )


Key = tuple[str, str]
"""Thing and finding."""


class _Table:
    """Means by (thing, finding) and figure. values: [key, figure]; resampled: [r, key, figure]."""

    def __init__(self, observed: Sequence[Reaction], rng: np.random.Generator, num_resamples: int) -> None:
        self.pairs: dict[Key, list[Reaction]] = {}
        for one in observed:
            self.pairs.setdefault((one.thing, one.finding), []).append(one)
        self.keys = list(self.pairs)
        patients = sorted({one.patient_id for one in observed})
        row_of = {patient: row for row, patient in enumerate(patients)}
        figures = np.full((len(patients), len(self.keys), len(NAMES)), np.nan)
        for column, (key, reactions) in enumerate(self.pairs.items()):
            rows = [row_of[one.patient_id] for one in reactions]
            if len(set(rows)) < len(rows):
                raise ManifestError(f"concepts: a patient has the pair {' / '.join(key)} twice; pass each once")
            figures[rows, column] = [_figures(one) for one in reactions]
        means = patient_means(figures.reshape(len(patients), -1), patients, rng, num_resamples)
        self.values = means.values.reshape(len(self.keys), len(NAMES))
        self.resampled = means.resampled.reshape(num_resamples, len(self.keys), len(NAMES))

    def estimates(self, key: Key) -> ConceptFigures:
        """All figures of one key."""
        place = self.keys.index(key)
        estimates = estimate_each(self.values[place], self.resampled[:, place])
        return ConceptFigures.model_validate(dict(zip(NAMES, estimates, strict=True)))

    def mean(self, keys: Sequence[Key]) -> ConceptFigures:
        """All figures, averaged over the keys that have them."""
        places = [self.keys.index(key) for key in keys]
        values, resampled = self.values[places], self.resampled[:, places]
        estimates = [estimate_mean(values[:, figure], resampled[:, :, figure]) for figure in range(len(NAMES))]
        return ConceptFigures.model_validate(dict(zip(NAMES, estimates, strict=True)))

    def ratio(self, keys: Sequence[Key], figure: str) -> Estimate | None:
        """A figure over the `size` of what each finding does to itself, both averaged over the keys.

        Averaged before they are divided: a finding that moves next to nothing would make a mean of ratios anything.
        None where no finding of the keys was itself added, or all move nothing.
        """
        both = [(key, (key[1], key[1])) for key in keys if (key[1], key[1]) in self.pairs]
        above = [self.keys.index(key) for key, _ in both]
        below = [self.keys.index(own) for _, own in both]
        upper, size = NAMES.index(figure), NAMES.index("size")
        values = np.append(self.resampled[:, above, upper].sum(axis=1), self.values[above, upper].sum())
        sizes = np.append(self.resampled[:, below, size].sum(axis=1), self.values[below, size].sum())
        ratios = np.divide(values, sizes, out=np.full(len(values), np.nan), where=sizes > 0)
        return None if np.isnan(ratios[-1]) else estimate(float(ratios[-1]), ratios[:-1])


def _figures(one: Reaction) -> list[float]:
    """In the order of NAMES."""
    return [
        one.logit_change,
        one.probability_change,
        abs(one.probability_change),
        float(one.logit_change > 0),
        one.energy,
        one.energy_of_other,
        one.energy - one.area,
        one.energy - one.energy_of_other,
        one.is_pointed,
        one.is_pointed_by_other,
        one.is_pointed - one.is_pointed_by_other,
        one.drawn,
    ]


def _finding(table: _Table, key: Key) -> FindingConcept:
    pairs = table.pairs[key]
    return FindingConcept(
        finding=key[0],
        num_pairs=len(pairs),
        area=float(np.mean([one.area for one in pairs])),
        box_area=float(np.mean([one.box_area for one in pairs])),
        figures=table.estimates(key),
    )


def _device(table: _Table, keys: Sequence[Key]) -> DeviceConcept:
    pairs = table.pairs[keys[0]]
    return DeviceConcept(
        device=keys[0][0],
        num_pairs=len(pairs),
        area=float(np.mean([one.area for one in pairs])),
        findings=tuple(
            DeviceReaction(
                finding=key[1],
                shortcut=table.ratio([key], "size"),
                signed_shortcut=table.ratio([key], "probability_change"),
                figures=table.estimates(key),
            )
            for key in keys
        ),
        mean_shortcut=table.ratio(keys, "size"),
        mean_signed_shortcut=table.ratio(keys, "probability_change"),
        mean=table.mean(keys),
    )
