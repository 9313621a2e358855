"""How alike two sets of heatmaps are, beside a floor: noise as smooth as the heatmaps themselves."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pocketcxr.domain.errors import ManifestError
from pocketcxr.evaluate.agreement import FIGURES, agreement

RANK, TOP = FIGURES.index("rank_correlation"), FIGURES.index("top_25_iou")
NUM_NOISE_MAPS = 20
"""Noise maps compared with each map for the floor."""


class MapSimilarity(BaseModel, frozen=True, extra="forbid"):
    """How alike two sets of maps are: means over pairs of image and finding; None where every pair has a flat map."""

    num_maps: int
    num_flat: int
    """Pairs left out: one of the two maps is constant, so it has no order."""
    rank_correlation: float | None
    """Spearman's rho over the cells."""
    absolute_rank_correlation: float | None
    """Of its absolute value: near 1 beside a `rank_correlation` near 0, maps are the same up to their sign."""
    top_25_iou: float | None
    """Intersection over union of the hottest quarter of the area."""


def alike(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """[n * finding, figure]: agreement of two sets of maps [n, finding, h, w].

    Raises ManifestError where they are not of the same images and findings.
    """
    if first.shape[:2] != second.shape[:2]:
        raise ManifestError(
            f"sanity: maps of {first.shape[:2]} images and findings against {second.shape[:2]}; explain the same ones"
        )
    return agreement(first.reshape(-1, *first.shape[2:]), second.reshape(-1, *second.shape[2:]))


def similarity_of(figures: NDArray[np.float64]) -> MapSimilarity:
    """The means of what `alike` found; pairs with a flat map are counted and left out."""
    known = figures[~np.isnan(figures[:, RANK])]
    means = [known[:, RANK], np.abs(known[:, RANK]), known[:, TOP]]
    rank, absolute, top = (float(one.mean()) if len(one) else None for one in means)
    return MapSimilarity(
        num_maps=len(figures),
        num_flat=len(figures) - len(known),
        rank_correlation=rank,
        absolute_rank_correlation=absolute,
        top_25_iou=top,
    )


def beyond_noise(similarity: MapSimilarity, floor: MapSimilarity) -> float | None:
    """How far `similarity` is from noise (0) to identity (1), by the farthest figure; None if all maps are flat.

    The absolute correlation is among the figures: the same picture with its sign turned is the same picture.
    """
    ours, noise = ((one.rank_correlation, one.absolute_rank_correlation, one.top_25_iou) for one in (similarity, floor))
    shares = [
        (value - least) / (1 - least)
        for value, least in zip(ours, noise, strict=True)
        if value is not None and least is not None
    ]
    return max(shares, default=None)


def noise_floor(maps: NDArray[np.float32], rng: np.random.Generator) -> MapSimilarity:
    """Similarity of maps [n, finding, h, w] to noise of the same spectrum. Raises ManifestError if all are flat."""
    flat = maps.reshape(-1, *maps.shape[2:])
    floor = similarity_of(np.concatenate([agreement(flat, noise_like(flat, rng)) for _ in range(NUM_NOISE_MAPS)]))
    if floor.rank_correlation is None:
        raise ManifestError("sanity: every map is flat, there is nothing to compare; look at the net or the method")
    return floor


def noise_like(maps: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise [n, h, w] with the amplitude spectrum of each map and random phases: as smooth, and elsewhere.

    White noise would be too low a floor: two smooth maps resemble each other by luck far more often (surrogate data:
    Theiler et al., Physica D 1992).
    """
    phases = np.angle(np.fft.rfft2(rng.normal(size=maps.shape)))
    noise = np.fft.irfft2(np.abs(np.fft.rfft2(maps)) * np.exp(1j * phases), s=maps.shape[1:])
    return noise.astype(np.float32)
