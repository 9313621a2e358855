"""Heads: features in; logits and one class map a finding out, by forward operations only.

Both follow docs/explanation/heatmaps.md, where the closed form is derived.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pocketcxr.models.outputs import ModelOutput


class ClassMapHead(nn.Module):
    """1x1 convolution to one map a finding; the logit is the map's spatial mean.

    Same numbers as global average pooling and a linear layer, so the map is the logit spread over the image.
    """

    def __init__(self, channels: int, num_findings: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.drop_rate = drop_rate
        self.maps = nn.Conv2d(channels, num_findings, kernel_size=1)
        nn.init.normal_(self.maps.weight, std=0.01)
        assert self.maps.bias is not None
        nn.init.zeros_(self.maps.bias)

    def forward(self, features: Float[Tensor, "b channel h w"]) -> ModelOutput:
        """Logits, class maps and the features as given."""
        # Whole channels are dropped, so the maps still add up to the logits while training.
        class_maps = self.maps(functional.dropout2d(features, self.drop_rate, self.training))
        return ModelOutput(class_maps.mean(dim=(2, 3)), class_maps, features)


class PaperHead(nn.Module):
    """Pool, mix, h_swish, linear as published; class maps are Grad-CAM's in closed form."""

    def __init__(self, channels: int, mixed: int, num_findings: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.drop_rate = drop_rate
        self.mix = nn.Linear(channels, mixed, bias=False)
        self.classifier = nn.Linear(mixed, num_findings)
        self.heatmaps = GradCamMaps()
        nn.init.kaiming_normal_(self.mix.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, features: Float[Tensor, "b channel h w"]) -> ModelOutput:
        """Logits, signed Grad-CAM maps and the features as given."""
        mixed = self.mix(features.mean(dim=(2, 3)))
        activated, slope = functional.hardswish(mixed), hard_swish_slope(mixed)
        if self.training and self.drop_rate > 0:
            kept = functional.dropout(torch.ones_like(mixed), self.drop_rate)
            activated, slope = activated * kept, slope * kept
        class_maps = self.heatmaps(features, slope, self.mix.weight, self.classifier.weight)
        return ModelOutput(self.classifier(activated), class_maps, features)


class GradCamMaps(nn.Module):
    """Grad-CAM's weighted sum, before its ReLU, of pool -> mix -> h_swish -> linear, for every finding at once.

    A module of its own so that its cost can be read apart from the net's (complexity.py).
    """

    def forward(
        self,
        features: Float[Tensor, "b channel h w"],
        slope: Float[Tensor, "b mixed"],
        mix: Float[Tensor, "mixed channel"],
        classifier: Float[Tensor, "finding mixed"],
    ) -> Float[Tensor, "b finding h w"]:
        """Class maps; the weight of channel k is the mean over the map of the logit's gradient by that channel."""
        batch, channels, height, width = features.shape
        by_mixed = classifier.unsqueeze(0) * slope.unsqueeze(1)
        weights = torch.matmul(by_mixed, mix) / (height * width)
        return torch.bmm(weights, features.reshape(batch, channels, -1)).reshape(batch, -1, height, width)


def hard_swish_slope(values: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """The derivative of x * relu6(x + 3) / 6: 0 up to -3, then x / 3 + 1/2, and 1 from 3 on."""
    return torch.where(values <= -3, 0.0, torch.where(values < 3, values / 3 + 0.5, 1.0))
