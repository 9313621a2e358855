"""Who trains together, and that two are as one; the laws that need two processes stand in two_ranks.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed

from pocketcxr.domain.errors import ConfigError
from pocketcxr.train.launch import Launch, launched
from pocketcxr.train.team import open_team

TORCHRUN = {"TORCHELASTIC_RUN_ID": "1", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
SRUN = {"SLURM_NTASKS": "6", "SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "6", "SLURM_STEP_NUM_NODES": "3"}


def test_a_process_that_nobody_started_with_others_is_alone() -> None:
    assert launched({}) == Launch("none", rank=0, num_nodes=1, num_per_node=1)
    # sbatch tells its script of all tasks, though it runs once.
    assert launched({"SLURM_NTASKS": "6", "SLURM_PROCID": "0"}).size == 1
    assert launched({**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}) == Launch()


def test_torchrun_and_srun_say_who_is_who() -> None:
    assert launched(TORCHRUN) == Launch("torchrun", rank=5, num_nodes=2, num_per_node=4)
    assert launched(SRUN) == Launch("slurm", rank=3, num_nodes=3, num_per_node=2)
    assert launched(SRUN).size == 6


def test_nodes_with_different_numbers_of_processes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"7 processes.*ntasks-per-node"):
        launched({**SRUN, "SLURM_STEP_NUM_TASKS": "7"})


def test_one_alone_is_a_team_without_torch_distributed() -> None:
    values = torch.arange(3.0, requires_grad=True)
    with open_team("cpu") as team:
        assert (team.rank, team.size, team.is_first) == (0, 1, True)
        assert team.whole(values) is values
        assert team.any(True)
        assert not team.any(False)
        with team.first_ahead():
            assert not distributed.is_initialized()
        team.copy_first([values])
        team.average([values])
        assert torch.equal(team.stacked(values), values[None])
    assert not distributed.is_initialized()


@pytest.mark.slow
def test_two_processes_have_the_gradients_and_the_statistics_of_one(tmp_path: Path) -> None:
    script = Path(__file__).parent / "two_ranks.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "FOLDER": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
