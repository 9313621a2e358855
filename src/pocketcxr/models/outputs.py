"""ModelOutput and Net: the one answer of every net, and what distillation, heatmaps and the ONNX graph are built on."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn


class ModelOutput(NamedTuple):
    """What a net says of a batch.

    logits      [b, finding], before the sigmoid
    class_maps  [b, finding, h, w], in logit units; with the class-map head their spatial mean is the logit exactly,
                with the paper head they are Grad-CAM's weighted sum, signed (before its ReLU); once the net has a
                reference (heads.Reference), their difference from it
    features    [b, channel, h, w], what the head pools
    """

    logits: Float[Tensor, "b finding"]
    class_maps: Float[Tensor, "b finding h w"]
    features: Float[Tensor, "b channel h w"]


class Net(nn.Module, ABC):
    """A student or a teacher: images in, ModelOutput out."""

    @abstractmethod
    def forward(self, images: Float[Tensor, "b c s s"]) -> ModelOutput:
        """Logits, class maps and features of normalised images."""

    @abstractmethod
    def tap(self, stride: int) -> nn.Module:
        """The module whose output [b, channel, s / stride, s / stride] is the last feature map of that stride.

        Raises ConfigError that lists the strides there are.
        """

    if TYPE_CHECKING:  # nn.Module types a call as Any

        def __call__(self, images: Float[Tensor, "b c s s"]) -> ModelOutput: ...


@contextmanager
def evaluating(net: nn.Module) -> Iterator[nn.Module]:
    """`net` in evaluation mode inside the block; every module's mode is as found afterwards."""
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        yield net
    finally:
        for module, mode in modes.items():
            module.training = mode
