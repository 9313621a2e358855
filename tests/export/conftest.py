"""One tiny net and its graphs, built once."""

import pytest
import torch

from pocketcxr.export.build import BuiltFiles, NetToExport, build_files
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.timm_net import TimmNet
from pocketcxr.runtime.card import CardFacts

from ..tiny_bundles import facts_of, tiny_net  # noqa: TID252 - tests are no package of the path

FINDINGS = ("Effusion", "Nodule", "Mass")


@pytest.fixture(scope="session")
def source() -> NetToExport:
    """A net of 0.1 M parameters with random weights, strong enough for its logits to be of size 1, and a reference."""
    source = tiny_net(FINDINGS, PreprocessSpec(size=64, mean=0.4, std=0.2), gain=100)
    assert isinstance(source.net, TimmNet)
    source.net.head.reference.put(torch.randn(len(FINDINGS), 2, 2, generator=torch.Generator().manual_seed(0)))
    return source


@pytest.fixture(scope="session")
def built(source: NetToExport) -> BuiltFiles:
    """The net's bundle files."""
    return build_files(source)


@pytest.fixture(scope="session")
def facts(source: NetToExport, built: BuiltFiles) -> CardFacts:
    """What the bundle's card says."""
    return facts_of(source, built)
