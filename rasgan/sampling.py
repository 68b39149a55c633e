"""Sample latent vectors, and generate shapes from them."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from scipy.spatial import geometric_slerp
from torch import Tensor, nn

from rasgan import seeding
from rasgan.networks import LATENT_SIZE, inference

Progress = Callable[[Sequence[Tensor]], Iterable[Tensor]]
"""Wraps the latent vectors, which are decoded one by one, in a progress bar."""


def latent(seed: int, index: int) -> Tensor:
    """Draw z for shape number `index` of a seed: (LATENT_SIZE,)."""
    return seeding.noise(seeding.rng_for(seed, seeding.GENERATED, index), LATENT_SIZE)


def latents(seed: int, count: int) -> Tensor:
    """Draw z for `count` shapes: (count, LATENT_SIZE). Row i depends on `seed` and i alone."""
    return torch.stack([latent(seed, index) for index in range(count)])


def slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Interpolate between two vectors along an arc: spherical interpolation (K. Shoemake, SIGGRAPH 1985).

    Direction and length change evenly from those of `a` to those of `b`. Normal noise in many dimensions lies
    close to a sphere, so all points of the arc are as likely as its ends; those of a straight line are too
    short.

    Parameters
    ----------
    a, b : (d,) array
        Nonzero. Between opposite vectors there are many arcs, of which always the same one is chosen.
    t : (k,) array
        Positions along the arc: 0 gives exactly `a`, and 1 exactly `b`.

    Returns
    -------
    points : (k, d) array of the dtype of `a`
    """
    start, end = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "start and end are antipodes")
        directions = geometric_slerp(start / lengths[0], end / lengths[1], t)
    t = np.asarray(t)[:, None]
    points = (((1 - t) * lengths[0] + t * lengths[1]) * directions).astype(a.dtype)
    # rounding must not move the ends
    return np.where(t == 0, a, np.where(t == 1, b, points))


def decode_each(generator: nn.Module, z: Iterable[Tensor]) -> Iterator[np.ndarray]:
    """Map each latent vector, (LATENT_SIZE,), to an (n, n, n) float32 array of scores.

    They are decoded one at a time, because in a batch the last bits of a shape depend on the other shapes.
    """
    device = next(generator.parameters()).device
    for row in z:
        with torch.no_grad(), inference(generator):
            grid = generator(row[None].to(device))[0, 0].float().cpu()
        yield grid.contiguous().numpy()


def decode(generator: nn.Module, z: Tensor, progress: Progress = iter) -> np.ndarray:
    """Map (k, LATENT_SIZE) latent vectors to (k, n, n, n) float32 scores, as `decode_each` does."""
    grids = decode_each(generator, progress(z))
    first = next(grids)
    scores = np.empty((len(z), *first.shape), np.float32)  # a list of all grids would double the memory
    scores[0] = first
    for slot, grid in zip(scores[1:], grids, strict=True):
        slot[...] = grid
    return scores


def generate(
    generator: nn.Module, seed: int, count: int, truncation: float = 1.0, progress: Progress = iter
) -> np.ndarray:
    """Generate `count` shapes, (count, n, n, n) float32 scores.

    Shape i depends only on `seed`, i and `truncation`: a larger count adds shapes and changes none.
    `truncation`, above 0 and at most 1, scales z: the closer to 0, the more alike the shapes.
    """
    return decode(generator, truncation * latents(seed, count), progress)


def interpolate(
    generator: nn.Module,
    first: int,
    last: int,
    steps: int,
    truncation: float = 1.0,
    progress: Progress = iter,
) -> np.ndarray:
    """Generate `steps` shapes (at least two) from the first shape of one seed to that of another.

    The ends are bit for bit what `generate` returns for these seeds.
    """
    a, b = (truncation * latents(seed, 1)[0] for seed in (first, last))
    z = slerp(a.numpy(), b.numpy(), np.linspace(0, 1, steps))
    return decode(generator, torch.from_numpy(z), progress)
