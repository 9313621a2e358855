"""What every listed net costs, without making a single weight."""

from dataclasses import asdict, dataclass
from typing import Literal

import torch

from pocketcxr.domain.progress import Progress, silent
from pocketcxr.models.build import build
from pocketcxr.models.complexity import Complexity, complexity
from pocketcxr.models.config import NetConfig
from pocketcxr.models.students.eeea import TABLES
from pocketcxr.models.teachers import CURATED, OWN, Role

SIZE_PX = 224
NUM_FINDINGS = 14


@dataclass(frozen=True)
class NetEntry:
    """One net of the list. Counts are for 14 findings and one image of 224 x 224 pixels."""

    name: str
    role: Role
    origin: Literal["pocketcxr", "timm"]
    head: Literal["paper", "class-map"]
    parameters: int
    """With one input channel, as we build it."""
    macs: int
    """Multiply-accumulates of the logits, one input channel."""
    heatmap_macs: int
    """What all 14 heatmaps cost beside the logits; 0 where the maps make the logits."""
    parameters_rgb: int
    """With three input channels, as published."""
    macs_rgb: int

    def as_dict(self) -> dict[str, object]:
        """Fields by name, for JSON."""
        return asdict(self)


def catalogue(progress: Progress = silent) -> tuple[NetEntry, ...]:
    """Our nets and the curated timm models with what they cost, in the order of models/teachers.py."""
    roles = OWN | CURATED
    entries = []
    for number, (name, role) in enumerate(roles.items(), start=1):
        gray, rgb = _count(name, 1), _count(name, 3)
        entries.append(
            NetEntry(
                name=name,
                role=role,
                origin="pocketcxr" if name in OWN else "timm",
                head=TABLES[name].head if name in TABLES else "class-map",
                parameters=gray.parameters,
                macs=gray.macs,
                heatmap_macs=gray.heatmap_macs,
                parameters_rgb=rgb.parameters,
                macs_rgb=rgb.macs,
            )
        )
        progress("counting", number, len(roles))
    return tuple(entries)


def _count(name: str, in_channels: int) -> Complexity:
    with torch.device("meta"):
        net = build(NetConfig(name=name), NUM_FINDINGS, in_channels)
    return complexity(net, SIZE_PX, in_channels)
