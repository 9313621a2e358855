"""What a heatmap says of one image against what the model does when that image is changed.

Everything asks the model through `Predict`, in bounded batches, for the probability of one finding.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pocketcxr.evaluate.predict import Explain, Predict
from pocketcxr.evaluate.removal import imputed, transition
from pocketcxr.imaging.geometry import place_heatmap

BATCH_SIZE = 32
"""Changed images that exist at once."""
RADIUS = 0.02
"""Largest change of a pixel in `max_sensitivity`, in model input units: 1.3 gray levels of 255 at a std of 0.25."""
ROAD_NOISE = 0.01
"""Standard deviation of what ROAD adds to pixels it fills in, in model input units (the authors' code)."""


@dataclass(frozen=True, eq=False)
class Probe:
    """One finding of one model."""

    predict: Predict
    column: int
    """Of what `predict` answers."""

    def ask(self, images: Iterable[NDArray[np.float32]]) -> NDArray[np.float64]:
        """The probability [n] of each image [c, s, s]; `images` is drawn from as the batches go."""
        waiting = iter(images)
        answers: list[float] = []
        while batch := list(islice(waiting, BATCH_SIZE)):
            answers += self.predict(np.stack(batch))[:, self.column].tolist()
        return np.array(answers, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Subject:
    """An image and what is known of it before anything is taken away."""

    image: NDArray[np.float32]
    """[c, s, s]"""
    substitute: NDArray[np.float32]
    """[c, s, s]: where the pixels that replace it come from; `removal.blurred`, unless another is asked about."""
    probability: float
    """Of the image."""
    probability_of_substitute: float


def observe(probe: Probe, image: NDArray[np.float32], substitute: NDArray[np.float32]) -> Subject:
    """The image with its two probabilities: 2 forward passes."""
    whole, empty = probe.ask([image, substitute])
    return Subject(image, substitute, float(whole), float(empty))


def deletion_and_insertion(
    probe: Probe, subject: Subject, orders: Sequence[NDArray[np.intp]], num_steps: int
) -> NDArray[np.float64]:
    """Probabilities [order, 2, num_steps + 1] as pixels leave the image (0) and enter the substitute (1).

    Petsiuk et al., BMVC 2018 (arXiv 1806.07421), section 4.3; they delete to gray and insert from a blur, here both
    ways run between the image and the substitute. Step i has i / num_steps of the pixels moved. Costs
    2 (num_steps - 1) forward passes an order.
    """
    inner = [step / num_steps for step in range(1, num_steps)]
    image, substitute = subject.image, subject.substitute
    images = (
        changed
        for order in orders
        for start, end in ((image, substitute), (substitute, image))
        for changed in transition(start, end, order, inner)
    )
    curves = np.empty((len(orders), 2, num_steps + 1))
    curves[:, :, 1:-1] = probe.ask(images).reshape(len(orders), 2, num_steps - 1)
    whole, empty = subject.probability, subject.probability_of_substitute
    curves[:, 0, 0], curves[:, 0, -1] = whole, empty
    curves[:, 1, 0], curves[:, 1, -1] = empty, whole
    return curves


def area(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area [...] under curves [..., step] over shares 0 to 1 in equal steps, by trapezoids: in units of probability."""
    steps: int = curves.shape[-1] - 1
    return np.asarray(np.trapezoid(curves, dx=1 / steps, axis=-1))


def road(
    probe: Probe,
    image: NDArray[np.float32],
    orders: Sequence[NDArray[np.intp]],
    fractions: Sequence[float],
    noise: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Probabilities [order, 2, fraction] with the most (0) and the least (1) salient pixels filled in.

    Rong et al., ICML 2022 (arXiv 2202.00449): noisy linear imputation hides *where* pixels are missing, which a patch
    or a blur gives away. They count right answers; with several findings an image has no single one, so this is the
    probability, as in pytorch-grad-cam. Costs 2 forward passes and sparse systems a fraction and order.
    """
    images = (
        imputed(image, removed, noise)
        for order in orders
        for first in (order, order[::-1])
        for removed in (first[: max(1, round(fraction * len(first)))] for fraction in fractions)
    )
    return probe.ask(images).reshape(len(orders), 2, len(fractions))


def removal_effects(probe: Probe, subject: Subject, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far the probability falls [m] when each mask [m, s, s] is replaced: m forward passes, for any heatmap."""
    return subject.probability - probe.ask(
        np.where(mask, subject.substitute, subject.image).astype(np.float32, copy=False) for mask in masks
    )


def foretold(heatmap: NDArray[np.float32], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What the heatmap [h, w] says each mask [m, s, s] takes away: its sum [m] over the masked pixels."""
    on_pixels = place_heatmap(heatmap, *masks.shape[1:]).astype(np.float64)
    told: NDArray[np.float64] = masks.reshape(len(masks), -1) @ on_pixels.ravel()
    return told


def without_area(effects: NDArray[np.float64], areas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Effects [m] less the multiple of the masks' areas [m] that fits them best.

    A heatmap's zero is a convention (a class map carries its bias, RISE a mean), and adding a constant to it adds that
    constant times the area to all it foretells: taken out on both sides, only where the heatmap is hot counts.
    """
    return effects - areas * (float(areas @ effects) / float(areas @ areas))


def infidelity(predicted: NDArray[np.float64], observed: NDArray[np.float64]) -> float:
    """Share of the observed effects' mean square that is not as predicted: 0 all foretold, 1 nothing.

    Yeh et al., NeurIPS 2019 (arXiv 1901.09392), definition 2.1 with I the removal of a square and the optimal scaling
    of their section 2.2, so that maps of any unit compare; divided by the observed mean square, so that images compare.
    The scale is not let below zero: an inverted map foretells nothing, it is not perfect. NaN where nothing that was
    removed had any effect.
    """
    total, power = float(observed @ observed), float(predicted @ predicted)
    if total == 0:
        return float("nan")
    if power == 0:
        return 1.0
    # The mean square that is left at the best scale: one less the squared cosine.
    cosine = float(predicted @ observed) / np.sqrt(total * power)
    return float(np.clip(1 - max(0.0, cosine) ** 2, 0, 1))


def max_sensitivity(maps: NDArray[np.float32]) -> float:
    """Largest change among nearby images' maps [1 + d, h, w] from the first, as a share of the first's norm.

    Yeh et al., NeurIPS 2019, definition 2.4, sampled, and divided by the norm as their code does. NaN where the first
    map is all zero.
    """
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    norm = float(np.linalg.norm(flat[0]))
    return float(np.linalg.norm(flat[1:] - flat[0], axis=1).max()) / norm if norm > 0 else float("nan")


def nearby_maps(
    explain: Explain, column: int, image: NDArray[np.float32], changes: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The maps [1 + d, h, w] of the image [c, s, s] and of the image plus each of `changes` [d, c, s, s]."""
    images = np.concatenate([image[None], image + changes])
    batches = [images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE)]
    return np.concatenate([explain(batch, [column])[:, 0] for batch in batches])
