"""Bundles of one small net with random weights, which differ in what their cards say."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from pocketcxr.export.build import BuiltFiles, NetToExport, build_files
from pocketcxr.export.pack import pack
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.timm_net import TimmNet
from pocketcxr.runtime.card import CardFacts
from pocketcxr.runtime.input_gate import GATE, packaged_gate

NAME = "test_efficientnet"


@dataclass(frozen=True, eq=False)
class Packable:
    """What pack() takes."""

    facts: CardFacts
    files: dict[str, bytes]


def tiny_net(findings: tuple[str, ...], spec: PreprocessSpec, gain: float = 1) -> NetToExport:
    """A net of 0.1 M parameters, always the same; at a gain of 100 its logits are of size 1."""
    net = build(NetConfig(name=NAME), num_findings=len(findings))
    assert isinstance(net, TimmNet)
    with torch.no_grad():
        net.head.maps.weight.mul_(gain)
    return NetToExport(NAME, net, spec, findings)


def facts_of(source: NetToExport, built: BuiltFiles, **changes: Any) -> CardFacts:
    """What the card of the built net says: nothing but the net, except for `changes`."""
    facts: dict[str, Any] = {
        "name": "tiny",
        "created": datetime(2026, 1, 2, tzinfo=UTC),
        "made_by": "a test",
        "is_simulated": True,
        "findings": source.findings,
        "preprocess": source.spec,
        "net": built.net,
        "builds": built.builds,
        "training": {},
    }
    return CardFacts(**(facts | changes))


def packable_of(source: NetToExport, **changes: Any) -> Packable:
    """The net, built, with its card's facts."""
    built = build_files(source)
    return Packable(facts_of(source, built, **changes), built.files)


def packed(source: NetToExport, out: Path, has_gate: bool = False, **changes: Any) -> Path:
    """`out`, a bundle of the net, with the program's input gate or without."""
    packable = packable_of(source, **changes)
    return pack(packable.facts, packable.files | ({GATE: packaged_gate()} if has_gate else {}), out)
