"""One training step and one evaluation, beside the equations in `rasgan.losses`; no files, no printing."""

import contextlib
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from rasgan.blocks import as_blocks, voxels_of
from rasgan.connecting import connection_penalty
from rasgan.losses import one_centered_penalty, squared_gradient_norm, zero_centered_penalty
from rasgan.networks import frozen, inference
from rasgan.training import distributed
from rasgan.training.devices import read_later
from rasgan.training.state import GanState
from rasgan.voxels import is_occupied


class Batch(NamedTuple):
    """What one step sees: each network has its own reals and its own noise.

    Parameters
    ----------
    reals_d, reals_g : (N, 1, n, n, n) tensors, or their blocks (`rasgan.blocks.blocks_of`)
        Two independently drawn batches of real grids.
    z_d, z_g : (N, 200) tensors
        Fresh noise for each network.
    mix : (N,) tensor, optional
        Where between fake (0) and real (1) the penalty of WGAN-GP is taken; uniform random numbers.
    """

    reals_d: Tensor
    reals_g: Tensor
    z_d: Tensor
    z_g: Tensor
    mix: Tensor | None = None


@dataclass(frozen=True)
class StepResult:
    """What one step measured: both losses, whether the discriminator trained, the generator's last batch.

    The batch is in blocks (`rasgan.blocks.blocks_of`).
    """

    loss_d: float
    loss_g: float
    trained_d: bool
    fakes: Tensor
    is_last: bool = False  # whether some process was asked to stop before the step began


def train_step(gan: GanState, batch: Batch, step: int = 0, is_last: bool = False) -> StepResult:
    """Train the discriminator, if the gate is open, then the generator.

    Where several processes share a batch, each passes its own rows; the losses are those of the whole batch.

    Parameters
    ----------
    gan : GanState
        Changed in place.
    batch : Batch
    step : int
        Steps taken before this one; settles whether the penalty is due and whether the generator trains.
    is_last : bool
        Whether this process was asked to stop. All learn of it together with the losses.
    """
    with torch.no_grad():
        fakes = gan.generate(batch.z_d)
    trained_d = gan.gate.is_open
    if trained_d:
        loss_d = discriminator_step(gan, batch.reals_d, fakes, penalty_weight(gan, step), batch.mix)
    else:
        loss_d = evaluate_discriminator(gan, batch.reals_d, fakes)  # measured, not trained

    trains_g = step % gan.config.generator_every == 0
    with frozen(gan.discriminator), contextlib.nullcontext() if trains_g else torch.no_grad():
        with torch.no_grad():  # loss_G sees the reals only through the values of their scores
            c_real = gan.score(batch.reals_g)
        fakes, sums = gan.generate(batch.z_g, with_sums=True)
        loss_g = gan.loss.generator(c_real, gan.score(fakes))
        losses = torch.stack((loss_d, loss_g.detach()))
        measured = read_later(distributed.broadcast_with_flag(losses, is_last))
        if trains_g:
            descend(gan.optimizer_g, loss_g + connection_loss(gan, fakes, sums), gan.generator)
    if gan.ema_generator is not None:
        update_ema(gan.ema_generator, gan.generator, ema_decay(step, gan.config.ema))

    *losses, flags = measured()
    result = StepResult(*losses, trained_d, fakes.detach(), flags > 0)
    gan.gate.update(result.loss_d, result.loss_g)
    return result


def penalty_weight(gan: GanState, step: int) -> float:
    """Return the weight of the gradient penalty at a step: 0 where none is due.

    A penalty that is taken on every k-th step weighs k times as much there.
    """
    every = gan.config.penalty_every
    return gan.config.penalty * every if step % every == 0 else 0.0


def connection_loss(gan: GanState, fakes: Tensor, sums: Tensor) -> Tensor | float:
    """Return the weighted penalty on what keeps this process's shapes from being one piece.

    As with the discriminator's penalty, the loss that is reported is without it.
    """
    if not gan.config.connect:
        return 0.0
    occupied = is_occupied(voxels_of(fakes.detach()).squeeze(1).float().cpu().numpy())
    batchsize = len(fakes) * distributed.world_size()
    return gan.config.connect / batchsize * connection_penalty(voxels_of(sums), occupied)


def discriminator_step(
    gan: GanState, reals: Tensor, fakes: Tensor, penalty: float, mix: Tensor | None = None
) -> Tensor:
    """Update the discriminator once; return its loss without the penalty.

    Reals and fakes go through it separately, so that each batch is normalized by its own statistics.
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
    """Measure the discriminator's loss on reals that it does not train on; nothing at all changes."""
    buffers = [(b, b.clone()) for network in (gan.generator, gan.discriminator) for b in network.buffers()]
    loss = evaluate_discriminator(gan, reals, gan.generate(z)).item()
    for buffer, before in buffers:
        buffer.copy_(before)
    return loss


@torch.no_grad()
def evaluate_discriminator(gan: GanState, reals: Tensor, fakes: Tensor) -> Tensor:
    """Measure the discriminator's loss; no weight changes.

    As in the original, batch norm uses running statistics for the reals and the batch's own for the fakes.
    """
    with inference(gan.discriminator):
        c_real = gan.score(reals)
    return gan.loss.discriminator(c_real, gan.score(fakes))


def descend(optimizer: Optimizer, loss: Tensor, network: nn.Module) -> None:
    """Take one step down the gradient of `loss` with the weights of `network`."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    distributed.sum_gradients(network.parameters())
    optimizer.step()


def ema_decay(step: int, decay: float) -> float:
    """Return the share of the old average that step `step`, from 0, keeps: at first less than `decay`.

    Otherwise the average would show the untrained generator for hundreds of steps. The form is that of
    tf.train.ExponentialMovingAverage's `num_updates`.
    """
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move every floating-point number of `average` a share 1 - `decay` towards that of `network`.

    In one call for all of them: a GPU then takes a few launches, not one for every tensor.
    """
    pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
    averaged = [pair for pair in pairs if pair[0].is_floating_point()]
    get_ema_multi_avg_fn(decay)(*zip(*averaged, strict=True), None)
    for old, new in pairs:
        if not old.is_floating_point():
            old.copy_(new)
