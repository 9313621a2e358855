"""A checkpoint is whole or not there, and one that cannot be used says so."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pocketcxr.domain.errors import CheckpointError
from pocketcxr.train.atomic import write_atomically
from pocketcxr.train.checkpoint import Counters, Trained, read_checkpoint, read_counters, write_checkpoint
from pocketcxr.train.ema import Ema
from pocketcxr.train.job import FitJob
from pocketcxr.train.loop import fit
from pocketcxr.train.optim import OptimConfig, build_optimiser
from pocketcxr.train.run_dir import RunDir

COUNTERS = Counters(inputs_digest="0", step=3, best_auroc=0.5, best_step=2)


def trained_net(seed: int, num_outputs: int = 3) -> Trained:
    """A channels_last net after one optimiser step."""
    torch_generator = torch.Generator().manual_seed(seed)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, num_outputs, 3, bias=False)
    ).to(memory_format=torch.channels_last)
    for parameter in net.parameters():
        parameter.data.normal_(generator=torch_generator)
    optimiser = build_optimiser([net], OptimConfig())
    net(torch.randn(2, 2, 6, 6, generator=torch_generator)).square().mean().backward()
    optimiser.step()
    return Trained(net, torch.nn.ModuleDict(), optimiser, Ema(net, 0.9))


def test_reading_gives_back_what_was_written_strides_included(tmp_path: Path) -> None:
    written, read = trained_net(1), trained_net(2)
    write_checkpoint(tmp_path / "last.safetensors", written, COUNTERS)
    assert read_checkpoint(tmp_path / "last.safetensors", read) == COUNTERS
    for name, tensor in written.tensors().items():
        assert torch.equal(tensor, read.tensors()[name]), name
        assert tensor.stride() == read.tensors()[name].stride(), name


def test_another_net_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    write_checkpoint(path, trained_net(1), COUNTERS)
    with pytest.raises(CheckpointError, match=r"1 tensors.*2\.weight.*another --out"):
        read_checkpoint(path, trained_net(1, num_outputs=5))


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "foreign", "missing"])
def test_what_is_no_checkpoint_is_refused_with_the_next_step(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "last.safetensors"
    write_checkpoint(path, trained_net(1), COUNTERS)
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[:-10])
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("weights")
        case "foreign":
            save_file({"weight": torch.zeros(2)}, path)
        case "missing":
            path.unlink()
    with pytest.raises(CheckpointError, match=r"last\.safetensors .*delete that file"):
        read_counters(path)


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    write_checkpoint(path, trained_net(1), COUNTERS.model_copy(update={"version": 99}))
    with pytest.raises(CheckpointError, match="version 99"):
        read_counters(path)


def test_a_full_disk_leaves_the_old_checkpoint_and_no_part_of_the_new_one(
    make_job: Callable[..., FitJob], run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    job = make_job(optim=make_job().optim.model_copy(update={"steps": 3, "evaluate_every": 3}))
    fit(job, run)
    before = run.last.read_bytes()
    monkeypatch.setattr("pocketcxr.train.atomic.os.fsync", full)
    with pytest.raises(CheckpointError, match=r"No space left on device.*previous one is untouched.*make room"):
        write_checkpoint(run.last, trained_net(1), COUNTERS)
    assert run.last.read_bytes() == before
    assert read_counters(run.last).step == 3
    assert not list(run.root.glob(".*"))


def test_a_real_limit_on_file_size_behaves_like_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    write_atomically(path, b"old")
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from pocketcxr.train.atomic import write_atomically\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "write_atomically(Path(sys.argv[1]), bytes(100_000))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "CheckpointError" in done.stderr
    assert "File too large" in done.stderr
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
