"""One tiny net and its graphs, built once."""

from datetime import UTC, datetime

import pytest
import torch

from pocketcxr.export.build import BuiltFiles, NetToExport, build_files
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.timm_net import TimmNet
from pocketcxr.runtime.card import CardFacts

FINDINGS = ("Effusion", "Nodule", "Mass")


@pytest.fixture(scope="session")
def source() -> NetToExport:
    """A net of 0.1 M parameters with random weights, strong enough for its logits to be of size 1, and a reference."""
    net = build(NetConfig(name="test_efficientnet"), num_findings=len(FINDINGS))
    assert isinstance(net, TimmNet)
    with torch.no_grad():
        net.head.maps.weight.mul_(100)
    net.head.reference.put(torch.randn(len(FINDINGS), 2, 2, generator=torch.Generator().manual_seed(0)))
    return NetToExport("test_efficientnet", net, PreprocessSpec(size=64, mean=0.4, std=0.2), FINDINGS)


@pytest.fixture(scope="session")
def built(source: NetToExport) -> BuiltFiles:
    """The net's bundle files."""
    return build_files(source)


@pytest.fixture(scope="session")
def facts(source: NetToExport, built: BuiltFiles) -> CardFacts:
    """What the bundle's card says."""
    return CardFacts(
        name="tiny",
        created=datetime(2026, 1, 2, tzinfo=UTC),
        made_by="a test",
        is_simulated=True,
        findings=tuple(source.findings),
        preprocess=source.spec,
        net=built.net,
        builds=built.builds,
        training={},
    )
