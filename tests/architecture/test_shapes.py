"""Shapes in annotations are checked while testing (pyproject.toml, --jaxtyping-packages)."""

import jaxtyping
import pytest
import torch

from pocketcxr.distill.losses.logits import mld


def test_a_wrong_shape_is_caught_by_its_annotation() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        mld(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4))
