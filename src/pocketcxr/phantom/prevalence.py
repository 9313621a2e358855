"""Which findings occur, how often and together: the published counts of ChestX-ray14 turned into a sampler."""

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

NUM_IMAGES = 112_120
NUM_AP = 44_810

# Images with both findings, in the order of domain.findings.CHESTXRAY14; the diagonal counts the finding itself.
# Source: counted on Data_Entry_2017_v2020.csv, the official table of ChestX-ray14 (in torchxrayvision 1.5.7).
# fmt: off
CO_OCCURRENCE: tuple[tuple[int, ...], ...] = (
    (11559, 370, 3275, 3264, 739, 590, 262, 774, 1223, 221, 424, 220, 496, 40),
    (370, 2776, 1063, 587, 102, 108, 41, 49, 169, 127, 44, 52, 111, 7),
    (3275, 1063, 13317, 4000, 1254, 912, 269, 996, 1287, 593, 359, 188, 849, 21),
    (3264, 587, 4000, 19894, 1159, 1546, 605, 946, 1221, 981, 449, 345, 750, 33),
    (739, 102, 1254, 1159, 5782, 906, 71, 431, 610, 129, 215, 117, 452, 25),
    (590, 108, 912, 1546, 906, 6331, 70, 341, 428, 131, 115, 166, 411, 10),
    (262, 41, 269, 605, 71, 70, 1431, 41, 123, 340, 23, 11, 48, 3),
    (774, 49, 996, 946, 431, 341, 41, 5302, 223, 33, 747, 80, 289, 9),
    (1223, 169, 1287, 1221, 610, 428, 123, 223, 4667, 162, 103, 79, 251, 4),
    (221, 127, 593, 981, 129, 131, 340, 33, 162, 2303, 30, 9, 64, 3),
    (424, 44, 359, 449, 215, 115, 23, 747, 103, 30, 2516, 36, 151, 4),
    (220, 52, 188, 345, 117, 166, 11, 80, 79, 9, 36, 1686, 176, 8),
    (496, 111, 849, 750, 452, 411, 48, 289, 251, 64, 151, 176, 3385, 8),
    (40, 7, 21, 33, 25, 10, 3, 9, 4, 3, 4, 8, 8, 227),
)
WITH_AP: tuple[int, ...] = (5831, 1213, 6728, 10541, 2215, 2154, 801, 1895, 3146, 2027, 1017, 278, 967, 35)
"""Images of the finding taken AP. Same source."""
IMAGES_PER_PATIENT: tuple[int, ...] = (
    17503, 4113, 2100, 1330, 938, 787, 608, 494, 387, 320, 281, 235, 165, 181, 121, 120, 91, 77, 77, 74,
)
"""Patients with 1, 2, ... 20 images (the 803 patients with more are left out). Same source."""
# fmt: on

FOLLOW_UP_CORRELATION = 0.72
"""Of a latent severity with that of the patient's next image. One number for all, or co-occurrence would change
over time. A finding is there again in 0.40 of the next images on average (published labels: 0.35), Effusion in 0.51
(0.49), Pneumothorax in 0.41 (0.56), Infiltration in 0.56 (0.39), Hernia in 0.20 (0.46)."""

PREVALENCE_LIMIT = 0.4


@dataclass(frozen=True)
class LatentModel:
    """Findings are present where a latent normal severity passes its threshold (a Gaussian copula).

    thresholds, prevalence: float64 [finding + 1], the last is "taken AP".
    factor: float64 [finding + 1, finding + 1], F of the correlation R = F F^T.
    """

    thresholds: NDArray[np.float64]
    prevalence: NDArray[np.float64]
    factor: NDArray[np.float64]

    def follow_ups(self, rng: np.random.Generator, num_images: int) -> NDArray[np.float64]:
        """Latent severities of one patient's images in time, float64 [image, finding + 1]: AR(1), stationary."""
        steps = rng.standard_normal((num_images, len(self.thresholds))) @ self.factor.T
        for index in range(1, num_images):
            steps[index] = (
                FOLLOW_UP_CORRELATION * steps[index - 1] + (1 - FOLLOW_UP_CORRELATION**2) ** 0.5 * steps[index]
            )
        return steps

    def severities(self, latent: NDArray[np.float64]) -> NDArray[np.float64]:
        """Severity quantile 0..1 among images with the finding, -1 where absent. Shape as `latent` [finding + 1]."""
        normal = NormalDist()
        tail = np.array([normal.cdf(-value) for value in latent])
        return np.where(latent > self.thresholds, 1 - tail / self.prevalence, -1.0)


def joint_tail(a: NDArray[np.float64], b: NDArray[np.float64], r: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(z1 > a, z2 > b) of standard normals of correlation r, elementwise. Plackett 1954: d/dr is the density."""
    normal = NormalDist()
    nodes, weights = np.polynomial.legendre.leggauss(24)
    s = r[:, None] * (nodes + 1) / 2
    density = np.exp(-(a[:, None] ** 2 - 2 * s * (a * b)[:, None] + b[:, None] ** 2) / (2 * (1 - s * s)))
    density /= 2 * np.pi * np.sqrt(1 - s * s)
    independent = np.array([normal.cdf(-x) * normal.cdf(-y) for x, y in zip(a, b, strict=True)])
    tail: NDArray[np.float64] = independent + r / 2 * (density @ weights)
    return tail


@lru_cache(maxsize=4)
def latent_model(prevalence_scale: float) -> LatentModel:
    """The sampler of the published prevalences times `prevalence_scale`, with the published co-occurrence."""
    counts = np.array(CO_OCCURRENCE, dtype=np.float64)
    joint = np.zeros((15, 15))
    joint[:14, :14] = counts
    joint[14, :14] = joint[:14, 14] = WITH_AP
    joint[14, 14] = NUM_AP
    joint /= NUM_IMAGES
    published = np.diag(joint)
    thresholds = _thresholds(published)
    rows, columns = np.triu_indices(15, 1)
    wanted, a, b = joint[rows, columns], thresholds[rows], thresholds[columns]
    low, high = np.full(len(rows), -0.9), np.full(len(rows), 0.95)
    for _ in range(30):
        middle = (low + high) / 2
        is_below = joint_tail(a, b, middle) < wanted
        low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    correlation = np.eye(15)
    correlation[rows, columns] = correlation[columns, rows] = (low + high) / 2
    scaled = published.copy()
    scaled[:14] = np.minimum(published[:14] * prevalence_scale, PREVALENCE_LIMIT)
    return LatentModel(_thresholds(scaled), scaled, _factor(correlation))


def _thresholds(prevalence: NDArray[np.float64]) -> NDArray[np.float64]:
    normal = NormalDist()
    return np.array([normal.inv_cdf(1 - p) for p in prevalence])


def _factor(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """F with F F^T the nearest correlation matrix that is positive (pairwise counts alone need not give one).

    The symmetric root, because eigenvectors have no sign: F = V sqrt(L) alone would differ between LAPACK builds.
    """
    values, vectors = np.linalg.eigh(correlation)
    factor: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 1e-6))) @ vectors.T
    factor /= np.linalg.norm(factor, axis=1, keepdims=True)
    return factor
