"""Random images for nets."""

import pytest
import torch
from torch import Tensor


@pytest.fixture
def images() -> Tensor:
    """Three images of 64 x 64 pixels, one channel."""
    return torch.randn(3, 1, 64, 64, generator=torch.Generator().manual_seed(0))
