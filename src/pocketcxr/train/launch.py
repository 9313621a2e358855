"""Who started this process, as one of how many: what torchrun and srun leave in the environment."""

import os
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pocketcxr.domain.errors import ConfigError

Launcher = Literal["none", "torchrun", "slurm"]


class Launch(NamedTuple):
    """One process among those that were started together."""

    launcher: Launcher = "none"
    rank: int = 0
    """Its number, from 0."""
    num_nodes: int = 1
    num_per_node: int = 1
    """Processes on each node, one a device."""

    @property
    def size(self) -> int:
        """Processes in all."""
        return self.num_nodes * self.num_per_node


def launched(environment: Mapping[str, str] = os.environ) -> Launch:
    """How this process was started. A process that nobody started with others is one of one.

    In a SLURM job only tasks of srun count: a script that sbatch runs sees the job's number of tasks too, but is alone.
    Raises ConfigError where the nodes have different numbers of processes.
    """
    if "TORCHELASTIC_RUN_ID" in environment:
        size, on_this_node = int(environment["WORLD_SIZE"]), int(environment["LOCAL_WORLD_SIZE"])
        return _launch("torchrun", int(environment["RANK"]), size // on_this_node, on_this_node, size)
    if "SLURM_STEP_NUM_TASKS" in environment and "SLURM_PROCID" in environment:
        size, num_nodes = int(environment["SLURM_STEP_NUM_TASKS"]), int(environment.get("SLURM_STEP_NUM_NODES", "1"))
        return _launch("slurm", int(environment["SLURM_PROCID"]), num_nodes, size // num_nodes, size)
    return Launch()


def _launch(launcher: Launcher, rank: int, num_nodes: int, num_per_node: int, size: int) -> Launch:
    if num_nodes * num_per_node != size:
        raise ConfigError(
            f"{launcher} started {size} processes, which {num_nodes} nodes cannot share alike; start the same number on"
            " each node (torchrun --nproc-per-node, srun --ntasks-per-node)"
        )
    return Launch(launcher, rank, num_nodes, num_per_node) if size > 1 else Launch()
