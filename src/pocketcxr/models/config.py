"""NetConfig: which net, how fine its maps, what it starts from."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

Pooling = Literal["mean", "log-sum-exp", "attention"]
"""How the class-map head makes a logit of a map's cells."""


class NetConfig(BaseModel, frozen=True, extra="forbid"):
    """One net by name. Names: `pocketcxr models`, any timm model, or xrv:<torchxrayvision weights>."""

    name: str = "eeea-net-c2"
    """An own net ("eeea-net-c2-map"), a timm model ("densenet121") or "xrv:densenet121-res224-all"."""
    output_stride: Literal[16, 32] = 32
    """Image pixels a side of one cell of the class maps, at most; 16 makes the maps twice as fine. Nets named "fine"
    halve it once more."""
    weights: Literal["none", "imagenet"] | Path = "none"
    """Start from random weights, from ImageNet weights, or from a .safetensors file."""
    drop_rate: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the pooled features dropped before the last layer while training."""
    pooling: Pooling = "mean"
    """How the class-map head pools; every choice's maps have the logit as their mean (docs/explanation/heatmaps.md)."""
