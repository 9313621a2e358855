"""Heads: features in; logits and one class map a finding out, by forward operations only.

Both follow docs/explanation/heatmaps.md, where the closed form is derived.
"""

from copy import deepcopy
from math import log
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pocketcxr.models.config import Pooling
from pocketcxr.models.outputs import ModelOutput

AnyModule = TypeVar("AnyModule", bound=nn.Module)

LOG_SUM_EXP_SHARPNESS = 5.0
"""r of log_sum_exp_maps, in 1 / logit: 0 would be the mean, infinity the maximum."""


class Reference(nn.Module):
    """Takes from every class map what the net says of an image without the finding, place by place.

    Nets speak louder at some places than at others, whatever the image shows: borders are padded, hearts are always
    there. The difference from a reference is what this image adds (DeepLIFT's rule, Shrikumar et al., ICML 2017). The
    reference's own mean is left out, so maps keep their mean and with it the logit. train/validate.py measures it.
    """

    maps: Tensor
    """[finding, h, w], each of mean 0; empty before it is measured, and then nothing is taken away. No weight: it is
    not learnt, averaged or randomised with them, and kept apart from them on disk."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("maps", torch.empty(0), persistent=False)

    @staticmethod
    def of(net: nn.Module) -> "Reference | None":
        """The one in the head of a net of ours."""
        return next((module for module in net.modules() if isinstance(module, Reference)), None)

    def put(self, maps: Float[Tensor, "finding h w"]) -> None:
        """Take `maps` away from now on, but for the mean of each."""
        self.maps = (maps - maps.mean(dim=(1, 2), keepdim=True)).float()

    def forward(self, class_maps: Float[Tensor, "b finding h w"]) -> Float[Tensor, "b finding h w"]:
        """The difference; on another grid than it was measured on, of the reference stretched bilinearly."""
        if self.maps.numel() == 0:
            return class_maps
        maps = self.maps
        if class_maps.shape[2:] != maps.shape[1:]:
            stretched = functional.interpolate(maps[None], size=class_maps.shape[2:], mode="bilinear")[0]
            maps = stretched - stretched.mean(dim=(1, 2), keepdim=True)
        return class_maps - maps


def without_reference(net: AnyModule) -> AnyModule:
    """A copy of the net that shows plain class maps."""
    copy = deepcopy(net)
    reference = Reference.of(copy)
    if reference is not None:
        reference.maps = reference.maps.new_empty(0)
    return copy


class ClassMapHead(nn.Module):
    """1x1 convolution to one map of evidence a finding, pooled; the class map's spatial mean is the logit.

    "mean": the class map is the evidence. Same numbers as global average pooling and a linear layer, so the map is the
    logit spread over the image. "log-sum-exp" and "attention" let few cells decide, and shift or weigh the evidence so
    that it still adds up: log_sum_exp_maps and attention_maps say how.
    """

    def __init__(self, channels: int, num_findings: int, drop_rate: float = 0.0, pooling: Pooling = "mean") -> None:
        super().__init__()
        self.drop_rate, self.pooling = drop_rate, pooling
        self.maps = nn.Conv2d(channels, num_findings, kernel_size=1)
        self.reference = Reference()
        nn.init.normal_(self.maps.weight, std=0.01)
        assert self.maps.bias is not None
        nn.init.zeros_(self.maps.bias)
        if pooling == "attention":
            # Zero scores: it starts as the mean. A bias would be the same for every cell and change nothing.
            self.attention = nn.Conv2d(channels, num_findings, kernel_size=1, bias=False)
            nn.init.zeros_(self.attention.weight)
        elif pooling == "log-sum-exp":
            # Kept with the weights: a file says its r, and digests of weights tell poolings apart.
            self.sharpness: Tensor
            self.register_buffer("sharpness", torch.tensor(LOG_SUM_EXP_SHARPNESS))

    def forward(self, features: Float[Tensor, "b channel h w"]) -> ModelOutput:
        """Logits, class maps and the features as given."""
        # Whole channels are dropped, so the maps still add up to the logits while training.
        kept = functional.dropout2d(features, self.drop_rate, self.training)
        class_maps: Tensor = self.maps(kept)
        match self.pooling:
            case "mean":
                pass
            case "log-sum-exp":
                class_maps = log_sum_exp_maps(class_maps, self.sharpness)
            case "attention":
                class_maps = attention_maps(class_maps, self.attention(kept))
        return ModelOutput(class_maps.mean(dim=(2, 3)), self.reference(class_maps), features)


def log_sum_exp_maps(
    evidence: Float[Tensor, "b finding h w"], sharpness: Float[Tensor, ""]
) -> Float[Tensor, "b finding h w"]:
    """The evidence raised by one number a map, so that its mean is 1/r log mean exp(r evidence), r the sharpness.

    That lies between the mean and the maximum, and at most log(h w) / r below the maximum (Pinheiro and Collobert, From
    Image-level to Pixel-level Labeling, CVPR 2015). Cells keep their order and their differences.
    """
    wide = _at_least_float32(evidence)
    cells = wide.shape[2] * wide.shape[3]
    pooled = (torch.logsumexp(sharpness * wide, dim=(2, 3), keepdim=True) - log(cells)) / sharpness
    return wide + (pooled - wide.mean(dim=(2, 3), keepdim=True))


def attention_maps(
    evidence: Float[Tensor, "b finding h w"], scores: Float[Tensor, "b finding h w"]
) -> Float[Tensor, "b finding h w"]:
    """m + h w a (evidence - m), of which the mean is sum(a evidence); a = softmax of the scores, m the evidence's mean.

    Attention over cells as over the instances of a bag (Ilse et al., ICML 2018, eq. 7 and 8, with linear scores for
    each finding). Equal attention gives the evidence. A cell without attention lies at m and says nothing; h w a
    evidence alone would add up as well, but for a negative logit its warmest cells would be those nobody looked at.
    """
    wide = _at_least_float32(evidence)
    batch, findings, height, width = wide.shape
    shares = torch.softmax(_at_least_float32(scores).reshape(batch, findings, -1), dim=2).reshape_as(wide)
    mean = wide.mean(dim=(2, 3), keepdim=True)
    return mean + height * width * shares * (wide - mean)


def _at_least_float32(values: Tensor) -> Tensor:
    """16 bits would overflow in exp(r x) and round what is added to every cell."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


class PaperHead(nn.Module):
    """Pool, mix, h_swish, linear as published; class maps are Grad-CAM's in closed form."""

    def __init__(self, channels: int, mixed: int, num_findings: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.drop_rate = drop_rate
        self.mix = nn.Linear(channels, mixed, bias=False)
        self.classifier = nn.Linear(mixed, num_findings)
        self.heatmaps = GradCamMaps()
        self.reference = Reference()
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
        return ModelOutput(self.classifier(activated), self.reference(class_maps), features)


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
