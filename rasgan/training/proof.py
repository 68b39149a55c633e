"""A device that is known to compute wrongly proves itself first: it takes a step as the processor does.

On MPS, of Apple's computers, versions of torch lack layers, gave wrong sums without a word, or ended the
process (pytorch/pytorch 130256, 197114, 175190). So the step is taken in a process of its own.
"""

import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import torch
from torch import Tensor

from rasgan.errors import UserError
from rasgan.networks import LATENT_SIZE
from rasgan.seeding import NOISE, noise, rng_for, seed_weights
from rasgan.training.config import TrainConfig
from rasgan.training.dataset import Shapes
from rasgan.training.state import build_gan
from rasgan.training.step import Batch, train_step

WIDTH, BATCH = 16, 2
TOLERANCE = 0.01
"""Of each loss and of each network's gradient, as a share of it; rounding in float32 is far below."""

Find = Callable[[torch.device, TrainConfig], str | None]


def find_fault(device: torch.device, config: TrainConfig) -> str | None:
    """Return in words what is wrong with a small step of the run's kind on `device`; None if nothing is."""
    small = replace(config, width=WIDTH, batchsize=BATCH)
    try:
        found = small_step(device, small)
    except (RuntimeError, TypeError) as error:  # of what is missing, and of types that it does not have
        return f"it fails with: {(str(error).strip() or type(error).__name__).splitlines()[0]}"
    for name, expected in small_step(torch.device("cpu"), small).items():
        difference = float((found[name] - expected).norm() / expected.norm())
        if not difference < TOLERANCE:  # nor NaN
            return f"{name} differs from the processor's by {difference:.2g} of it"
    return None


def small_step(device: torch.device, config: TrainConfig) -> dict[str, Tensor]:
    """Return both losses of a first step, and all gradients of either network, in the processor's memory."""
    seed_weights(config.seed)
    gan = build_gan(config, device)
    rng, size = rng_for(config.seed, NOISE), config.batchsize
    shapes = Shapes(rng.random((2 * size, *(config.resolution,) * 3)) > 0.5, device, config.occupied)
    reals_d, reals_g = (shapes.blocks(indices) for indices in torch.arange(2 * size).view(2, size))
    z_d, z_g = noise(rng, 2, size, LATENT_SIZE).to(device)
    result = train_step(gan, Batch(reals_d, reals_g, z_d, z_g, noise(rng, size).sigmoid().to(device)))
    found = {"loss_D": torch.tensor(result.loss_d), "loss_G": torch.tensor(result.loss_g)}
    for name, network in (("discriminator", gan.discriminator), ("generator", gan.generator)):
        gradients = [p.grad.cpu().flatten() for p in network.parameters()]
        found[f"the gradient of the {name}"] = torch.cat(gradients)
    return found


def check(device: torch.device, config: TrainConfig, precision: str, find: Find = find_fault) -> None:
    """Raise UserError unless `device` takes a step of this kind, in float32, as the processor does."""
    if precision != "float32":
        reason = f"{precision} is not tried on {device.type}, and torch refuses it in places."
        raise UserError(reason, about="precision")
    ignoring = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}  # Ctrl-C is ours
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), **ignoring) as pool:
        try:
            fault = pool.submit(find, device, config).result()
        except BrokenProcessPool:
            fault = "it ends the process"
    if fault is not None:
        reason = (
            f"{device.type} does not train rightly with torch {torch.__version__}: of a small step, {fault}."
        )
        raise UserError(reason, about="device")
