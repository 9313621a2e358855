"""One tiny bundle, written once, and X-ray-like files."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pocketcxr.export.build import BuiltFiles, NetToExport, build_files
from pocketcxr.export.pack import pack
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.timm_net import TimmNet
from pocketcxr.runtime.bundle import Bundle, open_bundle
from pocketcxr.runtime.card import CardFacts
from pocketcxr.runtime.input_gate import GATE, packaged_gate
from pocketcxr.runtime.session import Engine, open_engine

FINDINGS = ("Effusion", "Nodule", "Mass")
SPEC = PreprocessSpec(size=64)


@dataclass(frozen=True, eq=False)
class Packable:
    """What pack() takes."""

    facts: CardFacts
    files: Mapping[str, bytes]


@pytest.fixture(scope="session")
def packable() -> Packable:
    """A net with random weights that never learnt Nodule, ready to pack."""
    net = build(NetConfig(name="test_efficientnet"), num_findings=len(FINDINGS))
    assert isinstance(net, TimmNet)
    with torch.no_grad():
        net.head.maps.weight.mul_(100)  # logits of size 1
    built: BuiltFiles = build_files(NetToExport("test_efficientnet", net, SPEC, FINDINGS))
    facts = CardFacts(
        name="tiny",
        created=datetime(2026, 1, 2, tzinfo=UTC),
        made_by="a test",
        is_simulated=True,
        findings=FINDINGS,
        unlearnt=("Nodule",),
        preprocess=SPEC,
        net=built.net,
        builds=built.builds,
        training={"source": "phantom"},
    )
    return Packable(facts, built.files)


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
