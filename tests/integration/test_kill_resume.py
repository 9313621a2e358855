"""A real process, really killed: the resumed run ends bit for bit like one that nobody touched."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pocketcxr.manifest.rules import no_regions
from pocketcxr.manifest.schema import Manifest, ManifestHeader, write_manifest
from pocketcxr.train.checkpoint import read_counters
from pocketcxr.train.log import read_metrics
from pocketcxr.train.run_dir import RunDir

pytestmark = pytest.mark.slow

NUM_STEPS = 80
PATIENCE_SECONDS = 120.0
SETTINGS = {
    "net": {"name": "test_efficientnet", "drop_rate": 0.2},
    "preprocess": {"size": 32},
    "findings": ["Effusion", "Mass"],
    "objective": {"terms": [{"kind": "bce", "imbalance": "balanced"}]},
    "optim": {
        "steps": NUM_STEPS,
        "batch_size": 4,
        "warmup_steps": 5,
        "evaluate_every": 20,
        "checkpoint_every": 7,
        "patience": None,
    },
    "device": "cpu",
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config file that trains on a manifest of 36 noise pictures."""
    rng = np.random.default_rng(0)
    names = [f"{row:02}.png" for row in range(36)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (36, 32), dtype=np.uint8)).save(tmp_path / name)
    table = pd.DataFrame(
        {
            "image_id": names,
            "path": names,
            "source": "test",
            "patient_id": names,
            "study_id": names,
            "view_position": "PA",
            "sex": "M",
            "age_years": 50.0,
            "height": 36,
            "width": 32,
            "split": ["train"] * 24 + ["validation"] * 12,
            "label.Effusion": ["absent", "present"] * 18,
            "label.Mass": ["present", "absent", "absent"] * 12,
        }
    )
    header = ManifestHeader(source="test", root=str(tmp_path), findings=("Effusion", "Mass"))
    write_manifest(Manifest(table, no_regions(), header), tmp_path / "m.parquet")
    path = tmp_path / "e.yaml"
    path.write_text(json.dumps({"manifest": str(tmp_path / "m.parquet"), **SETTINGS}))  # JSON is YAML
    return path


def start(config: Path, run: RunDir) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-m",
        "pocketcxr.apps.cli.main",
        "train",
        "--config",
        str(config),
        "--out",
        str(run.root),
    ]
    # One thread: the order of sums, and with it the last bit, depends on how work is split.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def finish(config: Path, run: RunDir) -> None:
    process = start(config, run)
    _, talk = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, talk


def stop_at(config: Path, run: RunDir, step: int, number: signal.Signals) -> int:
    """The exit code of a run that gets the signal once it has done `step` steps."""
    process = start(config, run)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not any((record["step"] or 0) >= step for record in read_metrics(run.metrics)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "the run made no progress"
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode


def assert_same_end(one: RunDir, other: RunDir) -> None:
    first, second = load_file(one.last), load_file(other.last)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    assert one.best.read_bytes() == other.best.read_bytes()
    steps = [record["step"] for record in read_metrics(other.metrics) if "loss" in record]
    assert steps == list(range(1, NUM_STEPS + 1))


def test_a_killed_and_interrupted_run_resumes_to_the_same_weights(config: Path, tmp_path: Path) -> None:
    unbroken, broken = RunDir(tmp_path / "unbroken"), RunDir(tmp_path / "broken")
    finish(config, unbroken)

    assert stop_at(config, broken, 10, signal.SIGKILL) == -signal.SIGKILL
    assert 0 < read_counters(broken.last).step < NUM_STEPS

    # Ctrl-C ends the step and leaves a checkpoint of it, so that nothing is done twice.
    assert stop_at(config, broken, 30, signal.SIGINT) == 130
    assert read_counters(broken.last).step == max(record["step"] or 0 for record in read_metrics(broken.metrics))

    finish(config, broken)
    assert_same_end(unbroken, broken)
