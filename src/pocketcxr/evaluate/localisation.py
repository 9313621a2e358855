"""Localisation of a cohort: figures by finding, always beside baselines that look at nothing.

Chest findings lie in typical places, so a map that never looks at the image can score well: read every figure beside
the image's centre, the best fixed point, a random point and the mean heatmap. docs/explanation/localisation.md.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from pydantic import BaseModel

from pocketcxr.domain.errors import EmptyCohortError
from pocketcxr.domain.findings import place_in_order
from pocketcxr.evaluate.bootstrap import NUM_RESAMPLES, Estimate
from pocketcxr.evaluate.heatmaps import TOLERANCE, LocalisationSample
from pocketcxr.evaluate.localisation_baselines import GRID, Observed, observe
from pocketcxr.evaluate.localisation_curves import LEVELS
from pocketcxr.evaluate.localisation_figures import IOU_HITS, Figures, Measured, figures, measure
from pocketcxr.evaluate.localisation_thresholds import Threshold, Thresholds, refuse_chosen_on


class Baselines(BaseModel, frozen=True, extra="forbid"):
    """How often a point that never looks at the image lands in the region; *_tolerant: or so near to it."""

    centre: float
    """Of the image's centre."""
    best_fixed_point: float
    """Of the one relative point that hits most often *on these very images*: an oracle, hard to beat."""
    best_fixed_x: float
    """Where it is, as a share of the width."""
    best_fixed_y: float
    """Where it is, as a share of the height."""
    random_point: float
    """The share of the image that the regions cover. It is also what a flat heatmap has of energy, average precision
    and, outlining the whole image, IoU."""
    centre_tolerant: float
    best_fixed_point_tolerant: float
    """Of the point that is best with the tolerance; it may be another one."""
    random_point_tolerant: float


class IouHits(BaseModel, frozen=True, extra="forbid"):
    """How many outlines fit well enough."""

    at_least: float
    """An IoU of so much is a hit."""
    share: Estimate
    """Of images: the accuracy T(IoU) of Wang et al., CVPR 2017, section 5, with the outline itself for their box."""


class MeanHeatmap(BaseModel, frozen=True, extra="forbid"):
    """What the mean heatmap of all other patients scores, which never looks at the image."""

    pointing: float
    pointing_tolerant: float
    energy: float | None
    precision: float
    iou: float | None
    """At a threshold of its own, chosen on the same validation images."""


class OverMeanHeatmap(BaseModel, frozen=True, extra="forbid"):
    """The model's figures minus those of the mean heatmap, paired by image."""

    pointing: Estimate
    energy: Estimate | None
    precision: Estimate
    iou: Estimate | None


class Localisation(BaseModel, frozen=True, extra="forbid"):
    """One finding's figures."""

    finding: str
    num_images: int
    num_patients: int
    pointing: Estimate
    """Share of images whose hottest pixel lies in the region."""
    pointing_tolerant: Estimate
    """The same, or at most LocalisationReport.tolerance of the image's longer side from it."""
    energy: Estimate | None
    """Mean share of positive heatmap energy in the region; None where no heatmap has any."""
    num_without_energy: int
    """Images left out of `energy`: nothing in the heatmap is positive."""
    precision: Estimate
    """Mean average precision of the pixels."""
    threshold: float | None
    """Share of its largest value at which a heatmap is outlined; None where no validation image has the finding."""
    num_threshold_images: int
    """Validation images the threshold was chosen on."""
    iou: Estimate | None
    """Mean intersection over union of outline and region."""
    iou_hits: tuple[IouHits, ...]
    over_centre: Estimate
    """`pointing` minus the centre's hit rate, paired."""
    over_best_fixed_point: Estimate
    """`pointing` minus the best fixed point's hit rate, paired."""
    over_mean_heatmap: OverMeanHeatmap | None
    """None, like `mean_heatmap`, where there is one patient only."""
    baselines: Baselines
    mean_heatmap: MeanHeatmap | None


class MeanLocalisation(BaseModel, frozen=True, extra="forbid"):
    """Unweighted means over the findings of the figures and baselines of the same names."""

    num_images: int
    """Pairs of image and finding."""
    num_patients: int
    pointing: Estimate | None
    pointing_tolerant: Estimate | None
    energy: Estimate | None
    precision: Estimate | None
    iou: Estimate | None
    """Over the findings that have a threshold."""
    iou_hits: tuple[IouHits, ...]
    over_centre: Estimate | None
    over_best_fixed_point: Estimate | None
    over_mean_heatmap: OverMeanHeatmap | None
    centre: float
    best_fixed_point: float
    random_point: float
    centre_tolerant: float
    best_fixed_point_tolerant: float
    random_point_tolerant: float
    mean_heatmap: MeanHeatmap | None


class LocalisationReport(BaseModel, frozen=True, extra="forbid"):
    """Localisation of one model on one cohort."""

    num_resamples: int
    tolerance: float = TOLERANCE
    """Of the pointing game, as a share of the image's longer side."""
    findings: tuple[Localisation, ...]
    mean: MeanLocalisation


def localise(
    samples: Iterable[LocalisationSample],
    rng: np.random.Generator,
    num_resamples: int = NUM_RESAMPLES,
    thresholds: Thresholds | None = None,
) -> LocalisationReport:
    """Localisation by finding and on average, with patient-bootstrap intervals and baselines.

    samples: may be a generator, no heatmap is kept. thresholds: of `choose_thresholds`, on validation images; without
    them there is no IoU. Raises EmptyCohortError where there is no sample, ManifestError where one is of an image or a
    patient that the thresholds were chosen on.
    """
    by_finding = defaultdict[str, list[Observed]](list)
    for one in map(observe, samples):
        by_finding[one.finding].append(one)
    if not by_finding:
        raise EmptyCohortError("localisation: no image with a marked finding; choose a split that has regions")
    if thresholds is not None:
        refuse_chosen_on(thresholds, [one for observed in by_finding.values() for one in observed])
    chosen: Mapping[str, Threshold] = {} if thresholds is None else thresholds.by_finding
    all_figures = [figures(by_finding[name], chosen.get(name)) for name in sorted(by_finding, key=place_in_order)]
    measured, mean = measure(all_figures, rng, num_resamples)
    return LocalisationReport(
        num_resamples=num_resamples,
        findings=tuple(_localisation(*pair) for pair in zip(all_figures, measured, strict=True)),
        mean=_mean_localisation([one for observed in by_finding.values() for one in observed], mean),
    )


def _localisation(of: Figures, measured: Measured) -> Localisation:
    row, column = divmod(of.fixed_point, GRID)
    return Localisation(
        finding=of.observed[0].finding,
        num_images=len(of.observed),
        num_patients=len({one.patient_id for one in of.observed}),
        pointing=measured.sure("pointing"),
        pointing_tolerant=measured.sure("pointing_tolerant"),
        energy=measured.perhaps("energy"),
        num_without_energy=sum(bool(np.isnan(one.score.energy)) for one in of.observed),
        precision=measured.sure("precision"),
        threshold=None if of.threshold is None else LEVELS[of.threshold.level],
        num_threshold_images=0 if of.threshold is None else of.threshold.num_images,
        iou=measured.perhaps("iou"),
        iou_hits=_iou_hits(measured),
        over_centre=measured.sure("over_centre"),
        over_best_fixed_point=measured.sure("over_fixed"),
        over_mean_heatmap=_over_mean_heatmap(measured),
        baselines=Baselines(
            centre=measured.value("centre"),
            best_fixed_point=measured.value("fixed"),
            best_fixed_x=(column + 0.5) / GRID,
            best_fixed_y=(row + 0.5) / GRID,
            random_point=measured.value("random"),
            centre_tolerant=measured.value("centre_tolerant"),
            best_fixed_point_tolerant=measured.value("fixed_tolerant"),
            random_point_tolerant=measured.value("random_tolerant"),
        ),
        mean_heatmap=_mean_heatmap(measured),
    )


def _mean_localisation(observed: Sequence[Observed], measured: Measured) -> MeanLocalisation:
    return MeanLocalisation(
        num_images=len(observed),
        num_patients=len({one.patient_id for one in observed}),
        pointing=measured.sure("pointing"),
        pointing_tolerant=measured.sure("pointing_tolerant"),
        energy=measured.perhaps("energy"),
        precision=measured.sure("precision"),
        iou=measured.perhaps("iou"),
        iou_hits=_iou_hits(measured),
        over_centre=measured.sure("over_centre"),
        over_best_fixed_point=measured.sure("over_fixed"),
        over_mean_heatmap=_over_mean_heatmap(measured),
        centre=measured.value("centre"),
        best_fixed_point=measured.value("fixed"),
        random_point=measured.value("random"),
        centre_tolerant=measured.value("centre_tolerant"),
        best_fixed_point_tolerant=measured.value("fixed_tolerant"),
        random_point_tolerant=measured.value("random_tolerant"),
        mean_heatmap=_mean_heatmap(measured),
    )


def _iou_hits(measured: Measured) -> tuple[IouHits, ...]:
    shares = [(at_least, measured.perhaps(f"iou_{at_least}")) for at_least in IOU_HITS]
    return tuple(IouHits(at_least=at_least, share=share) for at_least, share in shares if share is not None)


def _mean_heatmap(measured: Measured) -> MeanHeatmap | None:
    if measured.known("mean_pointing") is None:
        return None
    return MeanHeatmap(
        pointing=measured.value("mean_pointing"),
        pointing_tolerant=measured.value("mean_pointing_tolerant"),
        energy=measured.known("mean_energy"),
        precision=measured.value("mean_precision"),
        iou=measured.known("mean_iou"),
    )


def _over_mean_heatmap(measured: Measured) -> OverMeanHeatmap | None:
    if measured.known("over_mean_pointing") is None:
        return None
    return OverMeanHeatmap(
        pointing=measured.sure("over_mean_pointing"),
        energy=measured.perhaps("over_mean_energy"),
        precision=measured.sure("over_mean_precision"),
        iou=measured.perhaps("over_mean_iou"),
    )
