"""Two real processes under torchrun end like one: metrics, weights; whole after a kill, and any number goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.torch import load_file

from pocketcxr.manifest.rules import no_regions
from pocketcxr.manifest.schema import Manifest, ManifestHeader, write_manifest
from pocketcxr.train.checkpoint import read_counters
from pocketcxr.train.log import Record, read_metrics
from pocketcxr.train.run_dir import RunDir, read_environment

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 150.0
NUM_LONG = 40
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
FIRST_TOLERANCE = 2e-5
"""Relative, of the first step: sums are taken in another order (tests/train/two_ranks.py is exact, in float64)."""
LATER_TOLERANCE = 1e-3
"""Relative, of the others: where a gradient is nearly zero, Adam makes a step out of its rounding."""
WEIGHTS_TOLERANCE = 2e-3
"""Absolute, twice the learning rate: a bias before a batch norm has no effect, and Adam walks along its rounding."""
SETTINGS: dict[str, object] = {
    "net": {"name": "test_efficientnet"},
    "preprocess": {"size": 32},
    "findings": ["Effusion", "Mass"],
    "augment": {"num_views": 2},
    "device": "cpu",
}
OPTIM = {
    "steps": 6,
    "batch_size": 8,
    "warmup_steps": 2,
    "evaluate_every": 3,
    "checkpoint_every": 3,
    "patience": None,
}
RELATIONS = [
    {"kind": "bce", "imbalance": "balanced"},
    {"kind": "rkd", "stride": 16},
    {"kind": "similarity", "stride": 16},
    {"kind": "hint", "stride": 16, "weight": 1e-3},
]

Write = Callable[[str, Mapping[str, object]], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 36 noise pictures, a third of whose Effusion nobody labelled."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    names = [f"{row:02}.png" for row in range(36)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (36, 32), dtype=np.uint8)).save(root / name)
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
            "label.Effusion": ["absent", "present", "unmentioned"] * 12,
            "label.Mass": ["present", "absent", "absent", "absent"] * 9,
        }
    )
    header = ManifestHeader(source="test", root=str(root), findings=("Effusion", "Mass"))
    write_manifest(Manifest(table, no_regions(), header), root / "m.parquet")
    return root


@pytest.fixture(scope="module")
def write(folder: Path) -> Write:
    def write_config(name: str, changes: Mapping[str, object]) -> Path:
        path = folder / f"{name}.yaml"
        path.write_text(json.dumps({"manifest": str(folder / "m.parquet"), "optim": OPTIM, **SETTINGS, **changes}))
        return path

    return write_config


@pytest.fixture(scope="module")
def alone(folder: Path, write: Write) -> RunDir:
    """A run of one process; it is the teacher too."""
    return finish((), write("alone", {}), folder / "runs" / "alone")


@pytest.fixture(scope="module")
def unbroken(folder: Path, write: Write) -> RunDir:
    """A longer run of one process, of long.yaml."""
    changes = {"optim": {**OPTIM, "steps": NUM_LONG, "evaluate_every": 20, "checkpoint_every": 5}}
    return finish((), write("long", changes), folder / "runs" / "long")


def start(launcher: tuple[str, ...], config: Path, out: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, *launcher, "-m", "pocketcxr", "train", "--config", str(config), "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(launcher: tuple[str, ...], config: Path, out: Path) -> RunDir:
    process = start(launcher, config, out)
    _, talk = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, talk
    # The other process is silent.
    assert talk.count("mean validation AUROC") == 1, talk
    assert "distributed" not in talk, talk
    return RunDir(out)


def wait_for_step(process: "subprocess.Popen[str]", run: RunDir, step: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not any((record["step"] or 0) >= step for record in read_metrics(run.metrics)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "the run made no progress"
        time.sleep(0.01)


def process_of_rank(launcher: int, rank: int) -> int:
    """The launcher's child with this rank."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children")
    if not children.exists():
        pytest.skip("processes are found by /proc, which this system has not")
    for child in map(int, children.read_text().split()):
        if f"RANK={rank}" in Path(f"/proc/{child}/environ").read_text().split("\0"):
            return child
    raise AssertionError(f"no process of rank {rank}")


def figures(run: RunDir) -> list[Record]:
    """The rows of metrics, without what depends on the clock."""
    clock = {"images_per_second", "waiting_share"}
    return [{name: value for name, value in row.items() if name not in clock} for row in read_metrics(run.metrics)]


def assert_same_end(one: RunDir, other: RunDir) -> None:
    expected, got = figures(one), figures(other)
    assert len(expected) == len(got)
    for number, (ours, theirs) in enumerate(zip(expected, got, strict=True)):
        assert theirs == pytest.approx(ours, rel=LATER_TOLERANCE if number else FIRST_TOLERANCE)
    for first, second in ((load_file(one.last), load_file(other.last)), (load_file(one.best), load_file(other.best))):
        assert first.keys() == second.keys()
        for name, tensor in first.items():
            assert (tensor.double() - second[name].double()).abs().max() <= WEIGHTS_TOLERANCE, name


def test_two_processes_are_as_one_in_micro_batches_too(folder: Path, write: Write) -> None:
    config = write("in-parts", {"optim": {**OPTIM, "accumulate": 2}})
    one = finish((), config, folder / "runs" / "one-in-parts")
    both = finish(TWO, config, folder / "runs" / "both-in-parts")
    assert read_environment(both)["num_processes"] == 2
    assert_same_end(one, both)


def test_relations_see_the_whole_batch(folder: Path, write: Write, alone: RunDir) -> None:
    changes = {"objective": {"terms": RELATIONS}, "teacher": {"kind": "run", "run": str(alone.root)}}
    config = write("relations", changes)
    one = finish((), config, folder / "one" / "run")
    # In a folder of its own: two processes fill a teacher cache, too.
    both = finish(TWO, config, folder / "both" / "run")
    assert_same_end(one, both)


@pytest.mark.parametrize(("rank", "launcher"), [(0, ()), (1, TWO)], ids=["the first", "another"])
def test_a_killed_process_ends_the_run_and_any_number_goes_on_with_it(
    folder: Path, write: Write, unbroken: RunDir, rank: int, launcher: tuple[str, ...]
) -> None:
    broken = RunDir(folder / "runs" / f"killed-{rank}")
    process = start(TWO, folder / "long.yaml", broken.root)
    wait_for_step(process, broken, 8)
    os.kill(process_of_rank(process.pid, rank), signal.SIGKILL)
    _, talk = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode != 0
    assert "Signal 9 (SIGKILL)" in talk
    assert 0 < read_counters(broken.last).step < NUM_LONG

    finish(launcher, folder / "long.yaml", broken.root)
    steps = [record["step"] for record in read_metrics(broken.metrics) if "loss" in record]
    assert steps == list(range(1, NUM_LONG + 1))
    assert_same_end(unbroken, broken)


def test_ctrl_c_leaves_a_checkpoint_of_the_last_step(folder: Path, write: Write) -> None:
    config = write("stopped", {"optim": {**OPTIM, "steps": 400, "evaluate_every": 400, "checkpoint_every": 400}})
    run = RunDir(folder / "runs" / "stopped")
    process = start(TWO, config, run.root)
    wait_for_step(process, run, 8)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert read_counters(run.last).step == max(record["step"] or 0 for record in read_metrics(run.metrics))
