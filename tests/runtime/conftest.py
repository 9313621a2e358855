"""One tiny bundle, written once, and X-ray-like files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketcxr.export.pack import pack
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.runtime.bundle import Bundle, open_bundle
from pocketcxr.runtime.input_gate import GATE, packaged_gate
from pocketcxr.runtime.session import Engine, open_engine

from ..tiny_bundles import Packable, packable_of, tiny_net  # noqa: TID252 - tests are no package of the path

FINDINGS = ("Effusion", "Nodule", "Mass")
SPEC = PreprocessSpec(size=64)


@pytest.fixture(scope="session")
def packable() -> Packable:
    """A net with random weights that never learnt Nodule, ready to pack."""
    return packable_of(tiny_net(FINDINGS, SPEC, gain=100), unlearnt=("Nodule",), training={"source": "phantom"})


@pytest.fixture(scope="session")
def gated_bundle(packable: Packable, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same net with the input gate packed."""
    files = {**packable.files, GATE: packaged_gate()}
    return open_bundle(pack(packable.facts, files, tmp_path_factory.mktemp("gated") / "tiny.zip"))


@pytest.fixture(scope="session")
def bundle(packable: Packable, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle, opened from a zip."""
    return open_bundle(pack(packable.facts, packable.files, tmp_path_factory.mktemp("bundle") / "tiny.zip"))


@pytest.fixture(scope="session")
def engine(bundle: Bundle) -> Engine:
    """The bundle, ready to run."""
    return open_engine(bundle, num_threads=1)


@pytest.fixture
def xrays(tmp_path: Path) -> list[Path]:
    """Two gray PNG files of different shape."""
    rng = np.random.default_rng(0)
    paths = []
    for name, shape in (("tall", (120, 80)), ("wide", (70, 100))):
        path = tmp_path / f"{name}.png"
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
        paths.append(path)
    return paths
