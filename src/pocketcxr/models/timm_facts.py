"""What timm's metadata and one weightless forward pass say of a timm model: layout, stride, taps, idle parts."""

import inspect
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any, Literal

import timm
import torch
from timm.models import FeatureInfo
from torch import Tensor, nn

from pocketcxr.domain.errors import ConfigError

Layout = Literal["nchw", "nhwc", "tokens"]
_RGB = 3


@dataclass(frozen=True)
class TimmFacts:
    """How to read a timm model's features."""

    channels: int
    layout: Layout
    prefix_tokens: int
    """Class and register tokens before the patch tokens; 0 unless the layout is "tokens"."""
    stride: int
    """Image pixels a side of one cell of the last features."""
    taps: tuple[tuple[int, str], ...]
    """(stride, module name) of the inner feature maps, finest first; empty where there are tokens only."""
    idle: tuple[str, ...]
    """Child modules with parameters that take no part in the features: parts of timm's own head."""
    fixed_size: int | None
    """The one image side the model takes, None when it takes any."""
    options: tuple[tuple[str, Any], ...]
    """What to hand to timm.create_model besides the name."""


@cache
def timm_facts(name: str, output_stride: int) -> TimmFacts:
    """The facts of timm's model `name`. Raises ConfigError when it has no map of features or no such stride."""
    with torch.device("meta"):
        model: Any = timm.create_model(name, num_classes=0)
        options = _options(name, model, output_stride)
        if options:
            model = timm.create_model(name, num_classes=0, **dict(options))
    model.eval()
    size = int(model.pretrained_cfg["input_size"][-1])
    # A caller that only wants to build a net may have switched gradients off.
    with torch.enable_grad():
        features = _forward(name, model, size)
    strides = [(int(row["reduction"]), str(row["module"])) for row in _feature_rows(model)]
    layout, prefix_tokens = _read_shape(name, features, model.num_features, ceil(size / strides[-1][0]))
    is_flexible = {"dynamic_img_size", "strict_img_size"} & dict(options).keys()
    return TimmFacts(
        channels=model.num_features,
        layout=layout,
        prefix_tokens=prefix_tokens,
        stride=strides[-1][0],
        taps=() if layout == "tokens" else tuple(strides),
        idle=_idle(model, features),
        fixed_size=size if _is_fixed(model) and not is_flexible else None,
        options=options,
    )


def _options(name: str, model: nn.Module, output_stride: int) -> tuple[tuple[str, Any], ...]:
    """Any image size where the model can, and the wanted stride where it is not met already."""
    accepted = inspect.signature(type(model).__init__).parameters
    options: dict[str, Any] = {}
    if _is_fixed(model) and "dynamic_img_size" in accepted:
        options["dynamic_img_size"] = True
    elif _is_fixed(model) and "strict_img_size" in accepted:
        options["strict_img_size"] = False
    if int(_feature_rows(model)[-1]["reduction"]) > output_stride:
        if "output_stride" not in accepted:
            raise ConfigError(f"net.output_stride: timm's {name} cannot run at stride {output_stride}; set 32")
        options["output_stride"] = output_stride
    return tuple(options.items())


def _is_fixed(model: Any) -> bool:
    return bool(model.pretrained_cfg.get("fixed_input_size", False))


def _feature_rows(model: Any) -> list[dict[str, Any]]:
    """timm keeps the rows bare or wrapped."""
    info = model.feature_info
    return list(info.info if isinstance(info, FeatureInfo) else info)


def _forward(name: str, model: Any, size: int) -> Tensor:
    features = model.forward_features(torch.zeros(2, _RGB, size, size, device="meta"))
    if not isinstance(features, Tensor):
        raise ConfigError(f"net.name: timm's {name} gives several features instead of one map; choose another model")
    return features


def _read_shape(name: str, features: Tensor, channels: int, side: int) -> tuple[Layout, int]:
    """(layout, prefix tokens) of features that should hold a grid of `side` x `side` cells."""
    match tuple(features.shape):
        case (_, first, height, width) if first == channels and height == width == side:
            return "nchw", 0
        case (_, height, width, last) if last == channels and height == width == side:
            return "nhwc", 0
        case (_, tokens, last) if last == channels and tokens >= side * side:
            return "tokens", tokens - side * side
        case shape:
            raise ConfigError(
                f"net.name: timm's {name} gives features of shape {shape}, not a map; choose another model"
            )


def _idle(model: nn.Module, features: Tensor) -> tuple[str, ...]:
    """Children none of whose parameters the features depend on."""
    names, parameters = zip(*model.named_parameters(), strict=True)
    with torch.enable_grad():
        gradients = torch.autograd.grad(features.sum(), parameters, allow_unused=True)
    used = {name.split(".")[0] for name, gradient in zip(names, gradients, strict=True) if gradient is not None}
    return tuple(sorted({name.split(".")[0] for name in names} - used))
