"""A net, cohorts and a job so small that a step takes milliseconds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pocketcxr.data.augment import AugmentConfig
from pocketcxr.data.batches import BatchConfig
from pocketcxr.data.dataset import Cohort
from pocketcxr.data.images import in_memory
from pocketcxr.distill.config import ObjectiveConfig
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.config import NetConfig
from pocketcxr.models.outputs import ModelOutput, Net
from pocketcxr.train.devices import Precision
from pocketcxr.train.job import FitJob
from pocketcxr.train.optim import OptimConfig
from pocketcxr.train.run_dir import RunDir
from pocketcxr.train.team import Team, open_team
from pocketcxr.train.weights import ModelHeader, TrainingSummary

FINDINGS = ("Effusion", "Mass")
SPEC = PreprocessSpec(size=32)


class TinyNet(Net):
    """Two convolutions with norm and drop-out, stride 4."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8),
            nn.ReLU(),
        )
        self.drop = nn.Dropout(0.2)
        self.head = nn.Conv2d(8, len(FINDINGS), 1)

    def forward(self, images: Tensor) -> ModelOutput:
        features = self.stem(images)
        class_maps = self.head(self.drop(features))
        return ModelOutput(class_maps.mean((2, 3)), class_maps, features)

    def tap(self, stride: int) -> nn.Module:
        return self.stem


def tiny_net(seed: int = 0) -> TinyNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TinyNet()


def tiny_cohort(num: int, seed: int) -> Cohort:
    """Noise; the first finding brightens the left half, the second the lower half; the last row is unlabelled."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 120, (num, 32, 32), dtype=np.uint8)
    labels = rng.integers(0, 2, (num, 2)).astype(np.float32)
    images[labels[:, 0] == 1, :, :16] += 100
    images[labels[:, 1] == 1, 16:, :] += 30
    labels[-1] = np.nan
    names = tuple(f"{seed}-{row}" for row in range(num))
    return Cohort(in_memory(images), labels, names, names, FINDINGS, SPEC)


def lone_team(precision: Precision = "fp32") -> Team:
    with open_team("cpu", precision) as team:
        return team


def tiny_job(**changes: object) -> FitJob:
    """A job of 12 steps; `changes` replace its parts."""
    optim = OptimConfig(
        steps=12, batch_size=4, warmup_steps=2, learning_rate=1e-2, evaluate_every=4, checkpoint_every=3, patience=None
    )
    summary = TrainingSummary(
        source="test",
        is_simulated=True,
        num_images=20,
        num_labelled=19,
        num_patients=20,
        objective=("bce",),
        teacher=None,
        seed=0,
        steps=12,
        batch_size=4,
    )
    parts: dict[str, object] = {
        "net": tiny_net(),
        "training": tiny_cohort(20, 1),
        "validation": tiny_cohort(12, 2),
        "objective": ObjectiveConfig(),
        "optim": optim,
        "batches": BatchConfig(batch_size=4, augment=AugmentConfig(num_views=2), seed=3),
        "header": ModelHeader(net=NetConfig(name="tiny"), findings=FINDINGS, preprocess=SPEC, training=summary),
        "inputs_digest": "0",
        "team": lone_team(),
    }
    return FitJob(**{**parts, **changes})  # type: ignore[arg-type]


@pytest.fixture
def make_job() -> Callable[..., FitJob]:
    return tiny_job


@pytest.fixture
def lone_team_of() -> Callable[[Precision], Team]:
    return lone_team


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path)
