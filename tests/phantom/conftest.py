"""A small simulated data set of ChestX-ray14's layout, and how its files are compared."""

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketcxr.phantom.config import LabelNoise, PhantomConfig
from pocketcxr.phantom.write import simulate

Tree = Callable[[Path], dict[str, str]]
Rows = Callable[[Path], list[dict[str, str]]]


def _tree(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def tree() -> Tree:
    """A function: SHA-256 of every file below a folder, by path."""
    return _tree


@pytest.fixture(scope="session")
def rows() -> Rows:
    """A function: the rows of a CSV file, by column."""
    return _rows


@pytest.fixture(scope="session")
def config() -> PhantomConfig:
    """Noisy labels, few and small images, in more chunks than one."""
    return PhantomConfig(
        images=70, size=32, seed=11, prevalence_scale=2, test_fraction=0.3, label_noise=LabelNoise(strength=1)
    )


@pytest.fixture(scope="session")
def simulated(config: PhantomConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`config`, simulated."""
    return simulate(tmp_path_factory.mktemp("simulated") / "whole", config)
