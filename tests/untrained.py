"""A run whose generator was never trained: all that generate and evaluate need, made in an instant."""

import torch

from rasgan.runs import RunFolder
from rasgan.training import checkpoints
from rasgan.training.checkpoints import Checkpoint, Position
from rasgan.training.config import TrainConfig
from rasgan.training.state import new_generator


def save_run(name: str, epoch: int = 1, **settings: object) -> RunFolder:
    """Write the checkpoint of `epoch` below the current folder; its weights differ from epoch to epoch."""
    run = RunFolder(name)
    config = TrainConfig(**{"width": 8, "resolution": 32, **settings})
    torch.manual_seed(epoch)
    weights = new_generator(config).state_dict()
    checkpoints.save_generator(run.checkpoints, Checkpoint(Position(epoch), config, weights))
    return run
