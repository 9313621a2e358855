"""How much of a file is coloured."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketcxr.imaging.colour import coloured_share


@pytest.mark.parametrize("mode", ["L", "I;16", "RGB", "RGBA", "P", "CMYK"])
def test_gray_in_any_mode_is_no_colour(mode: str, tmp_path: Path) -> None:
    gray = Image.fromarray(np.add.outer(np.arange(60), np.arange(50)).astype(np.uint8))
    suffix = "jpg" if mode == "CMYK" else "png"
    gray.convert("L" if mode == "I;16" else mode).convert(mode).save(tmp_path / f"a.{suffix}")
    assert coloured_share(tmp_path / f"a.{suffix}") == 0


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_the_share_of_strong_colours_is_counted(suffix: str, tmp_path: Path) -> None:
    colours = np.full((100, 200, 3), 90, dtype=np.uint8)
    colours[:, :50, 0] = 220
    Image.fromarray(colours).save(tmp_path / f"a.{suffix}")
    assert coloured_share(tmp_path / f"a.{suffix}") == pytest.approx(0.25, abs=0.03)


def test_a_palette_with_transparency_is_read_in_silence(tmp_path: Path) -> None:
    picture = Image.fromarray(np.arange(2500, dtype=np.uint8).reshape(50, 50)).convert("P")
    picture.save(tmp_path / "a.png", transparency=bytes([0, 128, 255] + [255] * 253))
    assert coloured_share(tmp_path / "a.png") == 0
