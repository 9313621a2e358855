"""Do two models look at the same places? Agreement of their heatmaps, image by image and finding by finding.

Maps are compared on the coarser of the two grids, onto which the finer map is averaged by area: a cell says nothing of
what lies within it, so detail that only one model can show counts neither for nor against it, and a class map keeps its
spatial mean. Every figure is beside its chance: the same figure against the other model's map of another patient.
Two maps that only share a blob in the middle of the chest agree no better than chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from pocketcxr.domain.errors import ManifestError

Maps = NDArray[np.float32]
Figures = NDArray[np.float64]

FIGURES = ("rank_correlation", "top_10_iou", "top_25_iou", "cosine")
"""What is computed of a pair of maps, in order."""
TOP_SHARES = (0.10, 0.25)
FLAT = 1e-6
"""A map whose range is below this share of its largest absolute value is constant up to rounding."""


@dataclass(frozen=True, eq=False)
class HeatmapSet:
    """One model's heatmaps. maps: [n, finding, h, w] over the model's square input, in the model's own units.

    Raises ManifestError where the sides do not fit.
    """

    findings: tuple[str, ...]
    image_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    maps: Maps

    def __post_init__(self) -> None:
        sides = (len(self.image_ids), len(self.patient_ids), len(self.findings))
        if self.maps.ndim != 4 or sides != (len(self.maps), len(self.maps), self.maps.shape[1]):
            raise ManifestError(
                f"heatmaps are {self.maps.shape}, expected [image, finding, h, w] of {sides[0]} images,"
                f" {sides[1]} patient ids and {sides[2]} findings"
            )


@dataclass(frozen=True, eq=False)
class AgreementTable:
    """Agreement of every image and finding.

    figures, chance: [n, finding, figure] in the order of FIGURES, NaN where not asked for or undefined.
    is_asked: [n, finding]; an asked pair without figures has a constant map.
    """

    findings: tuple[str, ...]
    image_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    grid: tuple[int, int]
    figures: Figures
    chance: Figures
    is_asked: NDArray[np.bool_]


def agreement(first: Maps, second: Maps) -> Figures:
    """[n, figure] in the order of FIGURES for maps [n, h, w] and [n, h', w']; NaN rows where either map is constant.

    Rank correlation: Spearman's rho over cells, ties sharing their mean rank. IoU: of the hottest 10 % and 25 % of the
    area, at least one cell. Cosine: of the maps as they are, signed.
    """
    if len(first) == 0:
        return np.empty((0, len(FIGURES)))
    grid = common_grid(first, second)
    ours, theirs = _cells(first, grid), _cells(second, grid)
    figures = np.full((len(first), len(FIGURES)), np.nan)
    known = ~(_is_flat(first) | _is_flat(second) | _is_flat(ours) | _is_flat(theirs))
    ours, theirs = ours[known], theirs[known]
    if len(ours) > 0:
        columns = [_cosine(_centred_ranks(ours), _centred_ranks(theirs))]
        columns += [_iou(_top(ours, share), _top(theirs, share)) for share in TOP_SHARES]
        figures[known] = np.stack([*columns, _cosine(ours, theirs)], axis=1)
    return figures


def agreement_table(first: HeatmapSet, second: HeatmapSet, is_asked: NDArray[np.bool_] | None = None) -> AgreementTable:
    """Agreement of two models on the same images, over the findings both have, in the first's order.

    is_asked: [n, finding of `first`], which pairs to compare (None: all). Chance compares each asked map with the
    second's map of another patient among the asked ones, each taken once: if only images that have the finding are
    asked for, chance has the finding too. Raises ManifestError where images differ or no finding is shared.
    """
    shared = _shared(first, second)
    columns = [first.findings.index(finding) for finding in shared]
    asked = np.ones((len(first.image_ids), len(shared)), bool) if is_asked is None else is_asked[:, columns]
    figures, chance = np.full((2, *asked.shape, len(FIGURES)), np.nan)
    for place, (column, finding) in enumerate(zip(columns, shared, strict=True)):
        rows = np.flatnonzero(asked[:, place])
        ours, theirs = first.maps[rows, column], second.maps[rows, second.findings.index(finding)]
        figures[rows, place] = agreement(ours, theirs)
        partners = other_patients([first.patient_ids[row] for row in rows])
        if partners is not None:
            chance[rows, place] = agreement(ours, theirs[partners])
    grid = common_grid(first.maps[:, 0], second.maps[:, 0])
    return AgreementTable(shared, first.image_ids, first.patient_ids, grid, figures, chance, asked)


def other_patients(patient_ids: Sequence[str]) -> NDArray[np.intp] | None:
    """For each image the row of an image of another patient, every row taken once.

    None where one patient has more than half of the images, so that there is no such pairing.
    """
    if len(patient_ids) == 0:
        return None
    _, patients, counts = np.unique(np.asarray(patient_ids), return_inverse=True, return_counts=True)
    most = int(counts.max())
    if 2 * most > len(patient_ids):
        return None
    # Sorted by patient, the row `most` places on belongs to another patient.
    in_order = np.argsort(patients, kind="stable")
    partners = np.empty_like(in_order)
    partners[in_order] = np.roll(in_order, -most)
    return partners


def common_grid(first: NDArray[np.floating], second: NDArray[np.floating]) -> tuple[int, int]:
    """Rows and columns of the coarser grid of maps [n, h, w] and [n, h', w'], side by side."""
    return min(first.shape[-2], second.shape[-2]), min(first.shape[-1], second.shape[-1])


def average_onto(maps: NDArray[np.floating], grid: tuple[int, int]) -> Figures:
    """Maps [n, h, w] as [n, *grid], each cell the mean over the area it covers."""
    down, across = (_shares(length, cells) for length, cells in zip(maps.shape[-2:], grid, strict=True))
    averaged: Figures = down @ maps.astype(np.float64) @ across.T
    return averaged


def _shares(length: int, cells: int) -> Figures:
    """[cells, length]: the share of each old cell in each new one along one axis; rows sum to one."""
    edges, old = np.linspace(0, length, cells + 1), np.arange(length)
    overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    shares: Figures = np.maximum(overlap, 0) * (cells / length)
    return shares


def _cells(maps: Maps, grid: tuple[int, int]) -> Figures:
    return average_onto(maps, grid).reshape(len(maps), -1)


def _is_flat(maps: NDArray[np.floating]) -> NDArray[np.bool_]:
    """[n]: whether a map is constant, up to rounding."""
    flat = maps.reshape(len(maps), -1)
    is_flat: NDArray[np.bool_] = np.ptp(flat, axis=1) <= FLAT * np.abs(flat).max(axis=1)
    return is_flat


def _centred_ranks(cells: Figures) -> Figures:
    ranks: Figures = rankdata(cells, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    return ranks


def _cosine(first: Figures, second: Figures) -> Figures:
    """[n]: cosine of the rows; of centred ranks it is Spearman's rho."""
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosine: Figures = np.einsum("nk,nk->n", first, second) / norms
    return cosine


def _top(cells: Figures, share: float) -> NDArray[np.bool_]:
    """[n, cell]: whether a cell belongs to the hottest `share` of the area.

    Equally hot cells that would not all fit are left out, or all taken where none is hotter: reading order decides
    nothing, and a map that is mostly zero has no more top area than it has hot cells.
    """
    wanted = max(1, round(share * cells.shape[1]))
    edge = np.partition(cells, -wanted, axis=1)[:, -wanted, None]
    hotter, at_least = cells > edge, cells >= edge
    fits = (at_least.sum(axis=1) == wanted) | ~hotter.any(axis=1)
    top: NDArray[np.bool_] = np.where(fits[:, None], at_least, hotter)
    return top


def _iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Figures:
    iou: Figures = (first & second).sum(axis=1) / (first | second).sum(axis=1)
    return iou


def _shared(first: HeatmapSet, second: HeatmapSet) -> tuple[str, ...]:
    """The findings of both, once it is sure that both saw the same images."""
    if (first.image_ids, first.patient_ids) != (second.image_ids, second.patient_ids):
        raise ManifestError(
            f"agreement: the two models explained different images ({len(first.image_ids)} and"
            f" {len(second.image_ids)}); explain both on the same manifest and split, in the same order"
        )
    shared = tuple(finding for finding in first.findings if finding in second.findings)
    if not shared:
        raise ManifestError("agreement: the two models share no finding; choose models of the same findings")
    return shared
