"""Where and how precisely to compute."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch

from pocketcxr.domain.errors import ConfigError

DeviceName = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


def pick_device(name: DeviceName) -> torch.device:
    """The device to train on; "auto" takes a CUDA GPU where there is one. Raises ConfigError where CUDA is absent."""
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise ConfigError("device: 'cuda' was asked for, but PyTorch finds no CUDA GPU; use device: auto or cpu")
    return torch.device("cuda" if has_cuda and name != "cpu" else "cpu")


def pick_precision(name: Precision, device: torch.device) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    """Fabric's name of the precision. "auto" is bf16 only where it is fast: on GPUs that compute it.

    On CPUs without AMX bf16 autocast is slower than fp32 (docs/explanation/design.md section 4): never there. Raises
    ConfigError for fp16 on a CPU.
    """
    match name:
        case "fp32":
            return "32-true"
        case "bf16":
            return "bf16-mixed"
        case "fp16":
            if device.type == "cpu":
                raise ConfigError("precision: 'fp16' needs a CUDA GPU (its loss scaling too); use auto, fp32 or bf16")
            return "16-mixed"
        case "auto":
            is_fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
            return "bf16-mixed" if is_fast else "32-true"


@contextmanager
def flushing_denormals() -> Iterator[None]:
    """While inside, numbers too small for full precision count as zero on the CPU: they cost up to 100 times the time.

    PyTorch's worker threads take the mode over when they start, so enter this before the first tensor operation.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """While inside, PyTorch's global generators follow from `numbers` alone; afterwards they are as they were.

    For initialisation and drop-out, which accept no generator of their own.
    """
    seed = int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
