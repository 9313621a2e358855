"""A manifest of small pictures on disk, and settings that train on it within seconds."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pocketcxr.manifest.rules import no_regions
from pocketcxr.manifest.schema import Manifest, ManifestHeader, write_manifest
from pocketcxr.recipes.config import load_config
from pocketcxr.recipes.run_config import RunConfig

NUM_IMAGES = 36
SETTINGS = (
    "net.name=test_efficientnet",
    "preprocess.size=32",
    "findings=[Effusion, Mass, Hernia]",
    "augment.num_views=2",
    "optim.steps=4",
    "optim.batch_size=4",
    "optim.warmup_steps=1",
    "optim.evaluate_every=2",
    "optim.checkpoint_every=1",
    "device=cpu",
)


@pytest.fixture
def manifest_of(tmp_path: Path) -> Callable[[int], Path]:
    """(size) -> 24 training and 12 validation images; bright ones have an effusion, Hernia is in no label."""
    return partial(write_pictures, tmp_path)


@pytest.fixture
def manifest(manifest_of: Callable[[int], Path]) -> Path:
    """Of 40 pixels; a test file may have its own."""
    return manifest_of(40)


def write_pictures(tmp_path: Path, size: int) -> Path:
    """Pictures of `size` x `size` pixels and their manifest."""
    root = tmp_path / "images"
    root.mkdir()
    rng = np.random.default_rng(0)
    names = [f"{row:02}.png" for row in range(NUM_IMAGES)]
    for row, name in enumerate(names):
        pixels = rng.integers(0, 120, (size, size), dtype=np.uint8) + np.uint8(100 * (row % 2))
        Image.fromarray(pixels).save(root / name)
    table = pd.DataFrame(
        {
            "image_id": names,
            "path": names,
            "source": "test",
            "patient_id": [f"p{row // 2}" for row in range(NUM_IMAGES)],
            "study_id": [f"s{row}" for row in range(NUM_IMAGES)],
            "view_position": ["PA", "PA", "AP"] * (NUM_IMAGES // 3),
            "sex": "F",
            "age_years": 50.0,
            "height": size,
            "width": size,
            "split": ["train"] * 24 + ["validation"] * 12,
            "label.Effusion": ["absent", "present"] * (NUM_IMAGES // 2),
            "label.Mass": ["present", "absent", "absent"] * (NUM_IMAGES // 3),
        }
    )
    header = ManifestHeader(source="test", root=str(root), findings=("Effusion", "Mass"), is_simulated=True)
    path = tmp_path / "m.parquet"
    write_manifest(Manifest(table, no_regions(), header), path)
    return path


@pytest.fixture
def make_config(manifest: Path) -> Callable[..., RunConfig]:
    """(settings) -> a config of four small steps on `manifest`."""

    def make(*settings: str) -> RunConfig:
        return load_config(RunConfig, None, [f"manifest={manifest}", *SETTINGS, *settings])

    return make
