"""Latent vectors, and shapes from a generator: arrays out, no files but the checkpoint that is read."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rasgan import seeding
from rasgan.networks import LATENT_SIZE, Generator, inference
from rasgan.training import checkpoints
from rasgan.training.checkpoints import Position


def latents(seed: int, count: int) -> Tensor:
    """Draw z for `count` shapes: (count, LATENT_SIZE). Row i depends on `seed` and i alone."""
    rngs = [seeding.rng_for(seed, seeding.GENERATED, i) for i in range(count)]
    return torch.stack([seeding.noise(rng, LATENT_SIZE) for rng in rngs])


def slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Go from one vector to another along an arc: spherical interpolation.

    The direction turns evenly from that of `a` to that of `b`, and the length changes evenly. Normal noise
    of many dimensions lies close to a sphere, so all points of the arc are as likely as its ends; those of a
    straight line are too short.

    Parameters
    ----------
    a, b : (d,) array
        Not zero. Between opposite vectors there are many arcs; one is chosen, always the same.
    t : (k,) array
        0 gives `a` and 1 gives `b`, exactly.

    Returns
    -------
    points : (k, d) array of the dtype of `a`

    Notes
    -----
    K. Shoemake. Animating rotation with quaternion curves. SIGGRAPH 1985.
    """
    t = np.asarray(t, dtype=np.float64)[:, None]
    length_a, length_b = np.linalg.norm(a.astype(np.float64)), np.linalg.norm(b.astype(np.float64))
    start, end = a / length_a, b / length_b
    across = end - (start @ end) * start
    if np.linalg.norm(across) < 1e-9:  # parallel or opposite: any direction across will do
        across = np.eye(len(a))[np.abs(start).argmin()]
        across -= (start @ across) * start
    across /= np.linalg.norm(across)
    angle = np.arctan2(end @ across, end @ start)
    length = (1 - t) * length_a + t * length_b
    points = (length * (np.cos(t * angle) * start + np.sin(t * angle) * across)).astype(a.dtype)
    # rounding must not move the ends
    return np.where(t == 0, a, np.where(t == 1, b, points))


@torch.no_grad()
def decode(generator: nn.Module, z: Tensor) -> np.ndarray:
    """Turn (k, LATENT_SIZE) into (k, n, n, n) float32 scores. Batch norm uses its running statistics.

    One shape at a time: in a batch, a shape's last bits would depend on its company.
    """
    device = next(generator.parameters()).device
    with inference(generator):
        grids = [generator(row.to(device)).squeeze(1).float().cpu() for row in z.split(1)]
    return torch.cat(grids).contiguous().numpy()


def generate(generator: nn.Module, seed: int, count: int, truncation: float = 1.0) -> np.ndarray:
    """Generate `count` shapes, (count, n, n, n) float32 scores.

    Shape i depends on `seed`, i and `truncation` alone: a larger count adds shapes and changes none.
    `truncation`, above 0 and at most 1, scales z: towards 0 all shapes become one.
    """
    return decode(generator, truncation * latents(seed, count))


def interpolate(
    generator: nn.Module, first: int, last: int, steps: int, truncation: float = 1.0
) -> np.ndarray:
    """Generate `steps` shapes (two or more) from the first shape of one seed to that of another.

    The ends equal, bit for bit, what `generate` gives for these seeds.
    """
    a, b = (truncation * latents(seed, 1)[0] for seed in (first, last))
    z = slerp(a.numpy(), b.numpy(), np.linspace(0, 1, steps))
    return decode(generator, torch.from_numpy(z))


def load_generator(folder: Path, epoch: int | None = None) -> tuple[Generator, Position]:
    """Rebuild the generator of a checkpoint (the averaged one where the run kept it), and where it stood."""
    position = checkpoints.choose_position(folder, epoch)
    checkpoint = checkpoints.load_checkpoint(folder, position)
    config = checkpoint.config
    with checkpoints.understood(checkpoints.weights_path(folder, position)):
        generator = Generator(config.width, config.resolution, config.output)
        generator.load_state_dict(checkpoint.ema_generator or checkpoint.generator)
    return generator.eval(), position
