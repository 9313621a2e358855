"""Does a heatmap depend on what the net has learnt? Randomisation tests, and repeatability across seeds.

Adebayo et al., NeurIPS 2018 (arXiv 1810.03292): a method whose maps hardly change when the weights are replaced by
random ones (cascading parameter randomisation), or when the net was trained on permuted labels (data randomisation),
shows edges of the image, not the net. Similarity is read beside a floor: noise maps as smooth as the maps themselves.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import Tensor

from pocketcxr.domain.errors import ConfigError
from pocketcxr.explain.map_similarity import MapSimilarity, alike, beyond_noise, noise_floor, similarity_of
from pocketcxr.models.heads import without_reference
from pocketcxr.models.outputs import Net

ExplainNet = Callable[[Net, Float[Tensor, "b c s s"]], NDArray[np.float32]]
"""A net and model inputs -> raw saliency [b, finding, h, w], for instance `saliency` with findings and method given."""

MAX_BEYOND_NOISE = 0.2
"""The criterion: maps of a net that has learnt nothing may keep a fifth of the way from noise to the original."""


@dataclass(frozen=True)
class Cascade:
    """How finely to randomise."""

    num_stages: int = 8
    """Steps from the last layer alone to all layers."""
    seed: int = 0
    """Of the noise maps of the floor; the random weights are those of the fresh nets."""


DEFAULT_CASCADE = Cascade()


class RandomisationStage(BaseModel, frozen=True, extra="forbid"):
    """After one more part of the net has become random."""

    layer: str
    """The module nearest to the input that is random now."""
    num_random: int
    """Layers that are random now, counted from the output."""
    similarity: MapSimilarity
    """To the maps of the trained net."""
    beyond_noise: float | None
    """`beyond_noise` of it."""


class RandomisationReport(BaseModel, frozen=True, extra="forbid"):
    """The cascading parameter randomisation test of one method on one net."""

    num_layers: int
    num_fresh: int
    """Independent sets of random weights; figures are means over them."""
    stages: tuple[RandomisationStage, ...]
    floor: MapSimilarity
    """Of the trained net's maps to noise."""
    is_passed: bool
    """Whether the last stage, in which nothing of the training is left, is at most MAX_BEYOND_NOISE beyond noise."""


class DataRandomisationReport(BaseModel, frozen=True, extra="forbid"):
    """Maps of a net trained on true labels against those of one trained on permuted labels."""

    similarity: MapSimilarity
    floor: MapSimilarity
    """Of the first net's maps to noise."""
    beyond_noise: float | None
    is_passed: bool
    """Whether that is at most MAX_BEYOND_NOISE: the maps depend on what was learnt."""


class RepeatabilityReport(BaseModel, frozen=True, extra="forbid"):
    """Maps of nets that differ in their training seed only."""

    num_nets: int
    pairs: tuple[MapSimilarity, ...]
    """Every two nets, in order: (0, 1), (0, 2), ..."""
    mean: MapSimilarity
    floor: MapSimilarity
    """Of the first net's maps to noise: nets no more alike than this tell of their seed, not of the images."""


def cascading_randomisation(
    net: Net,
    fresh: Sequence[Net],
    explain: ExplainNet,
    images: Float[Tensor, "b c s s"],
    cascade: Cascade = DEFAULT_CASCADE,
) -> RandomisationReport:
    """Similarity to the maps of `net` as its layers, from the output to the input, get the weights of a fresh net.

    `fresh` are nets of the same build with untrained weights, best several (`build` with other seeds): one draw of a
    last layer may by luck resemble the trained one. The last layer goes alone, the others in groups of equal count;
    layers are taken in the order in which the net registers them, running statistics included. `net` is copied, never
    changed. Raises ConfigError where a fresh net has other tensors.
    """
    layers = list(dict.fromkeys(map(_layer, net.state_dict())))
    _check(net, fresh)
    original = explain(net, images)
    ends = np.unique([1, *np.linspace(1, len(layers), cascade.num_stages).round().astype(int)]).tolist()
    found: list[list[NDArray[np.float64]]] = [[] for _ in ends]
    for other in fresh:
        # The reference was measured on the trained weights, and would lend their maps to random ones.
        changed, start = without_reference(net), 0
        for stage, end in enumerate(ends):
            _replace(changed, other, layers[::-1][start:end])
            found[stage].append(alike(original, explain(changed, images)))
            start = end
    floor = noise_floor(original, np.random.default_rng(cascade.seed))
    stages = []
    for end, figures in zip(ends, found, strict=True):
        similarity = similarity_of(np.concatenate(figures))
        stages.append(
            RandomisationStage(
                layer=layers[-end],
                num_random=end,
                similarity=similarity,
                beyond_noise=beyond_noise(similarity, floor),
            )
        )
    return RandomisationReport(
        num_layers=len(layers),
        num_fresh=len(fresh),
        stages=tuple(stages),
        floor=floor,
        is_passed=_is_no_more_than_noise(stages[-1].beyond_noise),
    )


def data_randomisation(
    maps: NDArray[np.float32], permuted: NDArray[np.float32], rng: np.random.Generator
) -> DataRandomisationReport:
    """Maps [n, finding, h, w] of a net trained on true labels against a net trained on permuted ones, same images.

    Permute the labels of the training patients, train the same recipe until it has learnt them by heart or as long,
    and explain images that neither has seen: alike maps mean that the method shows the image. Raises ManifestError
    where the two sets are not of the same images and findings.
    """
    floor, similarity = noise_floor(maps, rng), similarity_of(alike(maps, permuted))
    beyond = beyond_noise(similarity, floor)
    return DataRandomisationReport(
        similarity=similarity, floor=floor, beyond_noise=beyond, is_passed=_is_no_more_than_noise(beyond)
    )


def repeatability(maps: Sequence[NDArray[np.float32]], rng: np.random.Generator) -> RepeatabilityReport:
    """How alike the maps [n, finding, h, w] of two or more nets are on the same images, every two of them.

    Raises ConfigError for fewer than two, ManifestError where they are not of the same images and findings.
    """
    if len(maps) < 2:
        raise ConfigError(f"repeatability needs the maps of two nets or more, got {len(maps)}; train another seed")
    figures = [alike(first, second) for first, second in combinations(maps, 2)]
    return RepeatabilityReport(
        num_nets=len(maps),
        pairs=tuple(similarity_of(one) for one in figures),
        mean=similarity_of(np.concatenate(figures)),
        floor=noise_floor(maps[0], rng),
    )


def _is_no_more_than_noise(beyond: float | None) -> bool:
    """Flat maps show nothing of the original either."""
    return beyond is None or beyond <= MAX_BEYOND_NOISE


def _layer(name: str) -> str:
    """The module that a tensor of a net's state belongs to."""
    return name.rpartition(".")[0]


def _replace(changed: Net, other: Net, layers: Collection[str]) -> None:
    source = other.state_dict()
    for name, tensor in changed.state_dict().items():
        if _layer(name) in layers:
            tensor.copy_(source[name])


def _check(net: Net, fresh: Sequence[Net]) -> None:
    if not fresh:
        raise ConfigError("randomisation test: give at least one net with fresh weights")
    shapes = {name: tensor.shape for name, tensor in net.state_dict().items()}
    for other in fresh:
        if {name: tensor.shape for name, tensor in other.state_dict().items()} != shapes:
            raise ConfigError("randomisation test: a fresh net has other tensors; build it from the same configuration")
