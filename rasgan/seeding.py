"""Random numbers of a run, each derived from the run's seed and the place where it is used.

Nothing is drawn from one continuing stream, so there is no random state to save: a resumed run, or one with
an additional validation folder, draws exactly the same numbers as an uninterrupted one.
"""

import functools
import secrets

import numpy as np
import torch
from torch import Tensor

WEIGHTS, ORDER_D, ORDER_G, NOISE, VALIDATION, GENERATED, CHOSEN, STATIC, GROWTH = range(9)


def fresh_seed() -> int:
    """Draw a seed for a run without a given one."""
    return secrets.randbelow(2**31)


def rng_for(seed: int, purpose: int, index: int = 0) -> np.random.Generator:
    """Return the random generator for one purpose at one place: an epoch, a step, a shape."""
    return np.random.default_rng([seed, purpose, index])


def seed_weights(seed: int) -> None:
    """Seed torch, so that the networks built next have the same weights for the same seed."""
    torch.manual_seed(int(rng_for(seed, WEIGHTS).integers(2**63)))


@functools.lru_cache(maxsize=2)  # called on every step; each network has a new order in each epoch
def batch_order(seed: int, purpose: int, epoch: int, shapes: int, batch_size: int) -> np.ndarray:
    """Shuffle the shapes of an epoch: (steps, batch_size) int indices, without an incomplete last batch."""
    order = rng_for(seed, purpose, epoch).permutation(shapes)
    steps = shapes // batch_size
    return order[: steps * batch_size].reshape(steps, batch_size)


def choose(seed: int, which: int, available: int, count: int) -> np.ndarray:
    """Draw `count` of `available` indices for set number `which`: (count,) int, ascending, no repeats."""
    return np.sort(rng_for(seed, CHOSEN, which).choice(available, count, replace=False))


def noise(rng: np.random.Generator, *shape: int) -> Tensor:
    """Draw z ~ N(0, 1) as a float32 tensor."""
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
