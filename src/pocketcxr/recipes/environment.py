"""Where and with what a run was made: kept beside its numbers, which mean little without."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version

import torch

from pocketcxr._version import __version__
from pocketcxr.runtime.bench import processor_name

_PACKAGES = ("torch", "torchvision", "timm", "lightning", "numpy", "pillow", "pydantic")


def describe_environment(device: torch.device) -> dict[str, object]:
    """Versions, machine and time of now, as JSON values."""
    return {
        "pocketcxr": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "cpu": processor_name(),
        "num_cores": os.cpu_count(),
        "num_threads": torch.get_num_threads(),
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
