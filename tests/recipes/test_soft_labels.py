"""Soft labels teach; they never decide how good anything is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketcxr.domain.errors import ConfigError
from pocketcxr.manifest.rules import label_column
from pocketcxr.manifest.schema import read_manifest, write_manifest
from pocketcxr.recipes.run_config import RunConfig
from pocketcxr.recipes.runs import load_run
from pocketcxr.recipes.scoring import score_run
from pocketcxr.recipes.train import open_cohorts, train

MakeConfig = Callable[..., RunConfig]
SOFT = (
    "labels.uncertain=0.7",
    "labels.by_finding.Mass.uncertain=0.2",
    "objective.terms=[{kind: bce, imbalance: balanced}]",
)


@pytest.fixture
def hedged(manifest: Path) -> Path:
    """The manifest, in which every third effusion and every label of some masses is uncertain."""
    whole = read_manifest(manifest)
    table = whole.table
    table.loc[table.index % 3 == 0, label_column("Effusion")] = "uncertain"
    table.loc[table.index % 4 == 0, label_column("Mass")] = "uncertain"
    write_manifest(whole, manifest)
    return manifest


def _values(labels: NDArray[np.float32]) -> set[float]:
    return {round(float(value), 3) for value in labels[~np.isnan(labels)]}


def test_training_sees_soft_labels_and_validation_does_not(
    hedged: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    cohorts = open_cohorts(make_config(*SOFT), tmp_path / "cache")
    assert _values(cohorts.training.labels[:, 0]) == {0, 0.7, 1}
    assert _values(cohorts.training.labels[:, 1]) == {0, 0.2, 1}
    assert _values(cohorts.validation.labels) == {0, 1}
    assert np.isnan(cohorts.validation.labels[:, :2]).any()


def test_a_run_on_soft_labels_trains_and_is_scored_on_what_is_certain(
    hedged: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    root = train(make_config(*SOFT), tmp_path / "soft")
    assert load_run(root).header.unlearnt == ("Hernia",)
    scores = score_run(root, read_manifest(hedged)).scores
    assert _values(scores.labels) == {0, 1}
    ignored = train(make_config(SOFT[2]), tmp_path / "ignored")
    assert np.array_equal(score_run(ignored, read_manifest(hedged)).scores.labels, scores.labels, equal_nan=True)
    weights = [load_run(run).net.state_dict() for run in (root, ignored)]
    assert any(not np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_finding_with_soft_labels_alone_counts_as_unlearnt(
    manifest: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    whole = read_manifest(manifest)
    whole.table[label_column("Mass")] = "uncertain"
    write_manifest(whole, manifest)
    root = train(make_config(*SOFT), tmp_path / "run")
    assert load_run(root).header.unlearnt == ("Mass", "Hernia")


def test_a_setting_reaches_one_finding_and_a_wrong_one_is_named(make_config: MakeConfig) -> None:
    labels = make_config(*SOFT, "labels.by_finding.Mass.unmentioned=negative").labels
    assert (labels.values("Mass")["uncertain"], labels.values("Mass")["unmentioned"]) == (0.2, 0)
    assert labels.values("Hernia")["uncertain"] == 0.7
    with pytest.raises(
        ConfigError, match=r"labels\.by_finding\.Mass\.uncertian is not a setting; did you mean 'uncertain'"
    ):
        make_config("labels.by_finding.Mass.uncertian=0.7")
