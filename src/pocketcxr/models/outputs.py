"""ModelOutput: the one answer of every net, and what distillation, heatmaps and the ONNX graph are built on."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class ModelOutput(NamedTuple):
    """What a net says of a batch.

    logits      [b, finding], before the sigmoid
    class_maps  [b, finding, h, w], in logit units; with the class-map head their spatial mean is the logit exactly
    features    [b, channel, h, w], what the head pools
    """

    logits: Float[Tensor, "b finding"]
    class_maps: Float[Tensor, "b finding h w"]
    features: Float[Tensor, "b channel h w"]
