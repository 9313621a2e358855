"""10,000 explanations leave nothing behind."""

import gc

import psutil
import pytest
import torch
from torch import Tensor, nn

from pocketcxr.explain.methods import Method, MethodOptions, saliency
from pocketcxr.models.heads import ClassMapHead
from pocketcxr.models.outputs import ModelOutput, Net

EXPLANATIONS, WARM_UP = 10_000, 500
GROWTH_BYTES = 8 * 2**20
FEW = MethodOptions(steps=2, noise_samples=2, masks=2, window_share=1.0)


class SmallNet(Net):
    """One convolution under the class-map head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 8, 3, padding=1), ClassMapHead(8, 2)

    def forward(self, images: Tensor) -> ModelOutput:
        output: ModelOutput = self.head(self.conv(images))
        return output

    def tap(self, stride: int) -> nn.Module:
        return self.conv


def explain(net: Net, images: Tensor, method: Method, times: int) -> None:
    for _ in range(times):
        saliency(net, images, [1], method, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["one-pass", "grad-cam", "score-cam", "integrated-gradients", "occlusion"])
def test_memory_does_not_grow_over_ten_thousand_explanations(method: Method) -> None:
    """8 x 8 pixels: a kept image would be 256 bytes of 2.5 MB, so objects are counted as well as bytes."""
    net, images = SmallNet(), torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    process = psutil.Process()
    explain(net, images, method, WARM_UP)
    gc.collect()
    objects, held = len(gc.get_objects()), process.memory_info().rss
    explain(net, images, method, EXPLANATIONS)
    gc.collect()
    assert len(gc.get_objects()) - objects < EXPLANATIONS // 100
    assert process.memory_info().rss - held < GROWTH_BYTES
