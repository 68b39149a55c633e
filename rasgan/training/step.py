"""One training step. The equations are in `rasgan.losses`; nothing here reads files or prints."""

import contextlib
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from rasgan.blocks import as_blocks, voxels_of
from rasgan.losses import (
    connection_penalty,
    one_centered_penalty,
    squared_gradient_norm,
    zero_centered_penalty,
)
from rasgan.networks import frozen, inference
from rasgan.training import distributed, launcher
from rasgan.training.devices import read_later
from rasgan.training.state import GanState
from rasgan.voxels import is_occupied, repairs


class Batch(NamedTuple):
    """The inputs of one step. Each network has its own real shapes and its own latent vectors.

    Parameters
    ----------
    reals_d, reals_g : (N, 1, n, n, n) tensors, or their blocks (`rasgan.blocks.blocks_of`)
        Two independently drawn batches of real shapes.
    z_d, z_g : (N, 200) tensors
        Latent vectors from N(0, 1).
    mix : (N,) tensor, optional
        Only for WGAN-GP: the point between fake (0) and real (1) where the gradient penalty is computed,
        uniformly random.
    """

    reals_d: Tensor
    reals_g: Tensor
    z_d: Tensor
    z_g: Tensor
    mix: Tensor | None = None


@dataclass(frozen=True)
class StepResult:
    """Both losses, whether the discriminator was trained, and the generated batch in blocks."""

    loss_d: float
    loss_g: float
    trained_d: bool
    fakes: Tensor
    is_last: bool = False  # whether any process was asked to stop before this step


def train_step(gan: GanState, batch: Batch, step: int = 0, is_last: bool = False) -> StepResult:
    """Train the discriminator if the gate is open, then train the generator.

    With several processes, each passes its own rows of the batch; the losses are those of the full batch.

    Parameters
    ----------
    gan : GanState
        Changed in place.
    batch : Batch
    step : int
        Number of steps before this one; decides whether the penalty is due and whether the generator trains.
    is_last : bool
        Whether this process was asked to stop. The processes exchange this together with the losses.
    """
    with torch.no_grad():
        fakes = gan.generate(batch.z_d)
    trained_d = gan.gate.is_open
    if trained_d:
        loss_d = discriminator_step(gan, batch.reals_d, fakes, penalty_weight(gan, step), batch.mix)
    else:
        loss_d = evaluate_discriminator(gan, batch.reals_d, fakes)  # measured only

    trains_g = step % gan.config.generator_every == 0
    with frozen(gan.discriminator), contextlib.nullcontext() if trains_g else torch.no_grad():
        with torch.no_grad():  # real scores are constants for the generator
            c_real = gan.score(batch.reals_g)
        fakes, logits = gan.generate(batch.z_g, with_logits=True)
        loss_g = gan.loss.generator(c_real, gan.score(fakes))
        losses = torch.stack((loss_d, loss_g.detach()))
        measured = read_later(distributed.broadcast_with_flag(losses, is_last))  # copied while G trains
        if trains_g:
            descend(gan.optimizer_g, loss_g + connection_loss(gan, fakes, logits), gan.generator)
    if gan.ema_generator is not None:
        update_ema(gan.ema_generator, gan.generator, ema_decay(step, gan.config.ema))

    *losses, flags = measured()
    result = StepResult(*losses, trained_d, fakes.detach(), flags > 0)
    gan.gate.update(result.loss_d, result.loss_g)
    return result


def penalty_weight(gan: GanState, step: int) -> float:
    """Return the weight of the gradient penalty at a step: 0 if none is due.

    A penalty computed on every k-th step has k times the weight there (lazy regularization, Karras et al.
    2020).
    """
    every = gan.config.penalty_every
    return gan.config.penalty * every if step % every == 0 else 0.0


def connection_loss(gan: GanState, fakes: Tensor, logits: Tensor) -> Tensor | float:
    """Return this process's part of the weighted connection penalty, of every fourth shape of the batch.

    Finding the wrong voxels runs on the CPU; for all shapes, it would take a third of a step's time. Like the
    discriminator's gradient penalty, the result is not part of the reported loss.
    """
    first = -launcher.rank() * len(fakes) % 4
    fakes, logits = fakes[first::4], logits[first::4]
    if not gan.connect or not len(fakes):
        return 0.0
    occupied = is_occupied(voxels_of(fakes.detach()).squeeze(1).float().cpu().numpy())
    wrong = (np.stack(voxels) for voxels in zip(*map(repairs, occupied), strict=True))
    missing, loose = (torch.from_numpy(voxels).to(logits.device) for voxels in wrong)
    penalty = connection_penalty(voxels_of(logits).squeeze(1).float(), missing, loose)
    return gan.connect / math.ceil(gan.config.batchsize / 4) * penalty


def discriminator_step(
    gan: GanState, reals: Tensor, fakes: Tensor, penalty: float, mix: Tensor | None = None
) -> Tensor:
    """Update the discriminator once and return its loss without the penalty.

    Reals and fakes are scored separately, so that batch norm uses the statistics of each batch.
    """
    reals, fakes = as_blocks(reals), as_blocks(fakes)
    zero_centered = penalty and not gan.loss.penalty_is_one_centered
    if zero_centered:
        reals, fakes = reals.detach().requires_grad_(), fakes.detach().requires_grad_()
    c_real, c_fake = gan.score(reals), gan.score(fakes)
    loss = objective = gan.loss.discriminator(c_real, c_fake)
    if zero_centered:
        for scores, shapes in ((c_real, reals), (c_fake, fakes)):
            norms = distributed.gather(squared_gradient_norm(scores, shapes))
            objective = objective + penalty * zero_centered_penalty(norms)
    elif penalty:
        between = (fakes + mix.view(-1, 1, 1, 1, 1) * (reals - fakes)).requires_grad_()
        norms = distributed.gather(squared_gradient_norm(gan.score(between), between))
        objective = objective + penalty * one_centered_penalty(norms)
    descend(gan.optimizer_d, objective, gan.discriminator)
    return loss.detach()


@torch.no_grad()
def validate_discriminator(gan: GanState, reals: Tensor, z: Tensor) -> float:
    """Measure the discriminator's loss on validation shapes without changing any weight or buffer."""
    buffers = [(b, b.clone()) for network in (gan.generator, gan.discriminator) for b in network.buffers()]
    loss = evaluate_discriminator(gan, reals, gan.generate(z)).item()
    for buffer, before in buffers:
        buffer.copy_(before)
    return loss


@torch.no_grad()
def evaluate_discriminator(gan: GanState, reals: Tensor, fakes: Tensor) -> Tensor:
    """Measure the discriminator's loss without changing its weights.

    As in the original, batch norm uses its running statistics for the reals and batch statistics for the
    fakes.
    """
    with inference(gan.discriminator):
        c_real = gan.score(reals)
    return gan.loss.discriminator(c_real, gan.score(fakes))


def descend(optimizer: Optimizer, loss: Tensor, network: nn.Module) -> None:
    """Take one optimizer step on the parameters of `network`."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    distributed.sum_gradients(network.parameters())
    optimizer.step()


def ema_decay(step: int, decay: float) -> float:
    """Return the decay of the moving average at a step, counted from 0.

    The decay is lower at first, so that the average does not contain the untrained generator for hundreds of
    steps. Same form as `num_updates` of tf.train.ExponentialMovingAverage.
    """
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Update the moving average: average = decay * average + (1 - decay) * network.

    One call updates all tensors, which needs few kernel launches on a GPU.
    """
    pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
    averaged = [pair for pair in pairs if pair[0].is_floating_point()]
    get_ema_multi_avg_fn(decay)(*zip(*averaged, strict=True), None)
    for old, new in pairs:
        if not old.is_floating_point():
            old.copy_(new)
