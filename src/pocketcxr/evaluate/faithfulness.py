"""Faithfulness of a cohort's heatmaps: does the model do what the heatmap says?

Every measure is taken of three maps of the same image with the same draws: the heatmap, its own cells shuffled
(random), and one map for all images (fixed). What the measures mean is in docs/explanation/faithfulness.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pocketcxr.domain.errors import EmptyCohortError
from pocketcxr.evaluate.faithfulness_pairs import (
    METRICS,
    ROLES,
    FaithfulnessSample,
    FaithfulnessScores,
    FaithfulnessSettings,
    centre_blob,
)
from pocketcxr.evaluate.perturbing import (
    RADIUS,
    ROAD_NOISE,
    Probe,
    Subject,
    area,
    deletion_and_insertion,
    foretold,
    infidelity,
    max_sensitivity,
    nearby_maps,
    observe,
    removal_effects,
    road,
    without_area,
)
from pocketcxr.evaluate.predict import Explain, Predict
from pocketcxr.evaluate.removal import blurred, random_squares, removal_order


@dataclass(frozen=True, eq=False)
class FaithfulnessTask:
    """The model, and how it is measured."""

    predict: Predict
    explain: Explain | None = None
    """The method that made the heatmaps; None leaves max-sensitivity out."""
    fixed_maps: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """By finding, the one map [h, w] for all images (`mean_heatmaps`); a blob in the centre where there is none."""
    settings: FaithfulnessSettings = field(default_factory=FaithfulnessSettings)
    seed: int = 0


def measure_faithfulness(task: FaithfulnessTask, samples: Iterable[FaithfulnessSample]) -> FaithfulnessScores:
    """Every metric of every pair; `samples` may be a generator, one image is held at a time.

    Draws depend on the seed and the pair alone, so that two methods, or two engines, meet the same noise and squares.
    A finding that the model never learnt (NaN) is NaN everywhere. Raises EmptyCohortError where there is no sample.
    """
    names: list[tuple[str, str, str]] = []
    measured: list[_Measured] = []
    for sample in samples:
        names.append((sample.image_id, sample.patient_id, sample.finding))
        measured.append(_measure(task, sample))
    if not measured:
        raise EmptyCohortError("faithfulness: no image to explain; choose a split whose images have the finding")
    image_ids, patient_ids, findings = zip(*names, strict=True)
    return FaithfulnessScores(
        image_ids=image_ids,
        patient_ids=patient_ids,
        findings=findings,
        values=np.stack([one.values for one in measured]),
        curves=np.stack([one.curves for one in measured]),
        road_curves=np.stack([one.road_curves for one in measured]),
        has_mean_map=tuple(finding in task.fixed_maps for finding in findings),
        settings=task.settings,
        seed=task.seed,
    )


@dataclass(frozen=True, eq=False)
class _Measured:
    """One pair's share of FaithfulnessScores."""

    values: NDArray[np.float64]
    curves: NDArray[np.float64]
    road_curves: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Draws:
    """All that is random about one pair."""

    ties: NDArray[np.float64]
    noise: NDArray[np.float32]
    masks: NDArray[np.bool_]
    changes: NDArray[np.float32]
    shuffled: NDArray[np.float32]


def _measure(task: FaithfulnessTask, sample: FaithfulnessSample) -> _Measured:
    settings, draws = task.settings, _draw(task, sample)
    probe = Probe(task.predict, sample.column)
    subject = observe(probe, sample.image, blurred(sample.image))
    if np.isnan(subject.probability):
        return _never_learnt(settings)
    fixed = task.fixed_maps.get(sample.finding, centre_blob(sample.image.shape[-1]))
    maps = (sample.heatmap, draws.shuffled, fixed)
    orders = [removal_order(one, draws.ties) for one in maps]
    curves = deletion_and_insertion(probe, subject, orders, settings.num_steps)
    road_curves = road(probe, sample.image, orders, settings.road_fractions, draws.noise)
    values = np.empty((len(ROLES), len(METRICS)))
    values[:, :2] = area(curves)
    values[:, 2] = (road_curves[:, 1] - road_curves[:, 0]).mean(axis=-1)
    values[:, 3] = _infidelities(probe, subject, draws.masks, maps)
    values[:, 4] = _sensitivities(task, sample, draws)
    return _Measured(values, curves, road_curves)


def _draw(task: FaithfulnessTask, sample: FaithfulnessSample) -> _Draws:
    rng = np.random.default_rng([task.seed, crc32(f"{sample.image_id}/{sample.finding}".encode())])
    shape, side = sample.image.shape, sample.image.shape[-1]
    return _Draws(
        ties=rng.random((side, side)),
        noise=rng.normal(scale=ROAD_NOISE, size=shape).astype(np.float32),
        masks=random_squares(side, task.settings.num_squares, rng),
        changes=rng.uniform(-RADIUS, RADIUS, size=(task.settings.num_nearby, *shape)).astype(np.float32),
        # Last: how much it draws depends on the method's grid, and the others must not.
        shuffled=rng.permutation(sample.heatmap.ravel()).reshape(sample.heatmap.shape),
    )


def _infidelities(
    probe: Probe, subject: Subject, masks: NDArray[np.bool_], maps: tuple[NDArray[np.float32], ...]
) -> list[float]:
    areas = masks.sum(axis=(1, 2)).astype(np.float64)
    observed = without_area(removal_effects(probe, subject, masks), areas)
    return [infidelity(without_area(foretold(one, masks), areas), observed) for one in maps]


def _sensitivities(task: FaithfulnessTask, sample: FaithfulnessSample, draws: _Draws) -> list[float]:
    """Of the method; of its map shuffled instead of explained anew; and of a fixed map, which never changes."""
    if task.explain is None:
        return [float("nan")] * len(ROLES)
    maps = nearby_maps(task.explain, sample.column, sample.image, draws.changes)
    shuffled = np.stack([sample.heatmap, draws.shuffled])
    return [max_sensitivity(maps), max_sensitivity(shuffled), 0.0]


def _never_learnt(settings: FaithfulnessSettings) -> _Measured:
    roles = len(ROLES)
    shapes = (roles, len(METRICS)), (roles, 2, settings.num_steps + 1), (roles, 2, len(settings.road_fractions))
    return _Measured(*(np.full(shape, np.nan) for shape in shapes))
