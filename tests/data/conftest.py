"""Small cohorts and manifests of random images."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from pocketcxr.data import cache, reading
from pocketcxr.data.dataset import Cohort
from pocketcxr.data.images import in_memory
from pocketcxr.domain.study import LabelState
from pocketcxr.imaging.load import load
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.manifest.schema import Manifest, ManifestHeader

FINDINGS = ("Effusion", "Nodule")


def _images(num: int, size: int = 32) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (num, size, size), dtype=np.uint8)


def _state(is_present: bool) -> str:
    return (LabelState.PRESENT if is_present else LabelState.ABSENT).value


@pytest.fixture
def make_cohort() -> Callable[[NDArray[np.float32]], Cohort]:
    """A function of labels [n, 2] that gives a cohort of random images, two of a patient."""

    def make(labels: NDArray[np.float32]) -> Cohort:
        num = len(labels)
        return Cohort(
            images=in_memory(_images(num)),
            labels=labels,
            image_ids=tuple(f"image{i}" for i in range(num)),
            patient_ids=tuple(f"patient{i // 2}" for i in range(num)),
            findings=FINDINGS,
            spec=PreprocessSpec(size=32),
        )

    return make


@pytest.fixture
def make_manifest(tmp_path: Path) -> Callable[[Sequence[str]], Manifest]:
    """A function of file names that writes random 48 x 40 PNGs and gives their manifest.

    A file named broken*.png holds text; one named missing*.png is not written; one that is there is left as it is.
    """
    root = tmp_path / "Röntgen files"

    def make(names: Sequence[str]) -> Manifest:
        root.mkdir(exist_ok=True)
        for name in names:
            if (root / name).exists():
                continue
            rng = np.random.default_rng(list(name.encode()))
            pixels = rng.integers(0, 256, (48, 40), dtype=np.uint8)
            if name.startswith("broken"):
                (root / name).write_text("this is no image")
            elif not name.startswith("missing"):
                Image.fromarray(pixels).save(root / name)
        header = ManifestHeader(source="test", root=str(root), findings=FINDINGS)
        table = pd.DataFrame(
            {
                "image_id": names,
                "path": names,
                "patient_id": [f"patient{i // 2}" for i in range(len(names))],
                "label.Effusion": [_state(i % 2 == 1) for i in range(len(names))],
                "label.Nodule": LabelState.UNMENTIONED.value,
            }
        )
        return Manifest(table=table, regions=pd.DataFrame(), header=header)

    return make


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files decoded so far; chunks are of three files."""
    names: list[str] = []

    def counted(path: Path) -> Radiograph:
        names.append(path.name)
        return load(path)

    monkeypatch.setattr(reading, "load", counted)
    monkeypatch.setattr(cache, "_CHUNK", 3)
    return names
