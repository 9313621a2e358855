"""A tiny net with two strides to tap."""

from collections.abc import Callable

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from pocketcxr.models.outputs import ModelOutput, Net


class TinyNet(Net):
    """Two convolutions (strides 8 and 16), batch norm, a class-map head."""

    def __init__(self, num_findings: int, channels: int) -> None:
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(1, channels, 9, stride=8, padding=4), nn.BatchNorm2d(channels), nn.ReLU())
        self.late = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        self.head = nn.Conv2d(2 * channels, num_findings, 1)

    def forward(self, images: Float[Tensor, "b c s s"]) -> ModelOutput:
        features = self.late(self.early(images))
        maps = self.head(features)
        return ModelOutput(maps.mean(dim=(2, 3)), maps, features)

    def tap(self, stride: int) -> nn.Module:
        return {8: self.early, 16: self.late}[stride]


@pytest.fixture
def make_net() -> Callable[[int], Net]:
    """A function of the number of findings that gives a TinyNet with 4 channels at stride 8 and 8 at stride 16."""

    def make(num_findings: int) -> Net:
        with torch.random.fork_rng():
            torch.manual_seed(num_findings)
            return TinyNet(num_findings, channels=4)

    return make
