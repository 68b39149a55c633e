"""A method that the study of pieces tries and no option has: the discriminator sees every shape shifted."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rasgan.blocks import as_blocks, voxels_of
from rasgan.training.run import TrainingRun


def shift_what_is_scored(training: TrainingRun, furthest: int) -> None:
    """Shift each shape that the discriminator sees, real or fake, by at most `furthest` voxels an axis."""
    discriminator = training.gan.discriminator
    score, rng = discriminator.forward, np.random.default_rng(training.config.seed)

    def score_shifted(blocks: Tensor) -> Tensor:
        voxels = voxels_of(blocks)
        ways = furthest - rng.integers(0, 2 * furthest + 1, (len(voxels), 3))
        return score(as_blocks(shift(voxels, ways)))

    discriminator.forward = score_shifted


def shift(voxels: Tensor, ways: np.ndarray) -> Tensor:
    """Move each of (N, 1, n, n, n) voxels by its own of (N, 3) `ways`; what comes in is empty."""
    edge, furthest = voxels.shape[-1], int(np.abs(ways).max())
    padded = functional.pad(voxels, (furthest,) * 6)
    return torch.stack(
        [
            grid[:, x : x + edge, y : y + edge, z : z + edge]
            for grid, (x, y, z) in zip(padded, (furthest - ways).tolist(), strict=True)
        ]
    )
