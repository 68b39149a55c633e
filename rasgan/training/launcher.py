"""Number of processes, rank and restarts, from the environment variables of torchrun and SLURM."""

import os


def rank() -> int:
    """Return the number of this process, from 0."""
    return _number("RANK", 0)


def local_rank() -> int:
    """Return the number of this process among those on this machine, from 0."""
    return _number("LOCAL_RANK", 0)


def world_size() -> int:
    """Return the number of processes on all machines."""
    return _number("WORLD_SIZE", 1)


def local_world_size() -> int:
    """Return the number of processes on this machine."""
    return _number("LOCAL_WORLD_SIZE", 1)


def restarts() -> int:
    """Return how often torchrun restarted the processes, or SLURM requeued the job."""
    return _number("TORCHELASTIC_RESTART_COUNT", 0) + _number("SLURM_RESTART_COUNT", 0)


def _number(name: str, default: int) -> int:
    return int(os.environ.get(name, default))
