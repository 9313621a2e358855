"""build: a net from its configuration."""

from difflib import get_close_matches
from pathlib import Path

import timm
import torch

from pocketcxr.domain.errors import ConfigError, UnknownNameError
from pocketcxr.models.config import NetConfig
from pocketcxr.models.outputs import Net
from pocketcxr.models.students.eeea import TABLES, EeeaNet, EeeaShape
from pocketcxr.models.teachers import CURATED, OWN
from pocketcxr.models.timm_net import build_timm
from pocketcxr.models.weights import start_from
from pocketcxr.models.xrv import PREFIX, build_xrv


def build(config: NetConfig, num_findings: int, in_channels: int = 1, kind: str = "student", seed: int = 0) -> Net:
    """The net of that name in training mode; its random weights are a function of `seed` alone.

    `kind` ("student", "teacher") is what an error calls it. Raises UnknownNameError for a name there is not,
    ConfigError for weights, stride or pooling it cannot have, MissingExtraError for a package that is not installed.
    """
    # torch layers draw from the global generator: seeded for the time of building, and left as found.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _build(config, num_findings, in_channels, kind)


def _build(config: NetConfig, num_findings: int, in_channels: int, kind: str) -> Net:
    if config.name in TABLES:
        shape = EeeaShape(in_channels, num_findings, config.output_stride, config.drop_rate, config.pooling)
        return _build_own(config, shape)
    if config.name.startswith(PREFIX):
        return build_xrv(config, num_findings, in_channels)
    if not timm.is_model(config.name):
        raise _unknown(kind, config.name)
    return build_timm(config, num_findings, in_channels)


def _build_own(config: NetConfig, shape: EeeaShape) -> Net:
    table = TABLES[config.name]
    if table.head == "paper" and config.pooling != "mean":
        raise ConfigError(
            f"net.pooling: {config.name} has the paper's head, which pools features by their mean; set mean, or choose"
            " a net with the class-map head"
        )
    net = EeeaNet(table, shape)
    if isinstance(config.weights, Path):
        start_from(net, config.weights)
    elif config.weights == "imagenet":
        raise ConfigError(
            f"net.weights: there are no ImageNet weights of {config.name}; set none, or a .safetensors file"
        )
    return net


def _unknown(kind: str, name: str) -> UnknownNameError:
    """The error with the nearest spellings among all names, listing those worth knowing."""
    near = get_close_matches(name, timm.list_models(), n=3)
    error = UnknownNameError.of(kind, name, {*OWN, *CURATED, *near})
    return UnknownNameError(f"{error}; any other timm model and {PREFIX}<torchxrayvision weights> work too")
