"""One training step and one evaluation, beside the equations in `rasgan.losses`; no files, no printing."""

import contextlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rasgan.blocks import as_blocks
from rasgan.losses import one_centered_penalty, squared_gradient_norm, zero_centered_penalty
from rasgan.training import distributed
from rasgan.training.devices import read_later
from rasgan.training.state import GanState, frozen, inference


@dataclass(frozen=True)
class StepResult:
    """What one step measured: both losses, whether the discriminator trained, the generator's last batch.

    The batch is in blocks (`rasgan.blocks.blocks_of`).
    """

    loss_d: float
    loss_g: float
    trained_d: bool
    fakes: Tensor


def train_step(
    gan: GanState,
    reals_d: Tensor,
    reals_g: Tensor,
    z_d: Tensor,
    z_g: Tensor,
    step: int = 0,
    mix: Tensor | None = None,
) -> StepResult:
    """Train the discriminator, if the gate is open, then the generator; each sees its own reals and noise.

    Where several processes share a batch, each gives its own rows; the losses are those of the whole batch.

    Parameters
    ----------
    gan : GanState
        Changed in place.
    reals_d, reals_g : (N, 1, n, n, n) tensors, or their blocks (`rasgan.blocks.blocks_of`)
        Two independently drawn batches of real grids.
    z_d, z_g : (N, 200) tensors
        Fresh noise for each player.
    step : int
        Steps taken before this one; says whether the penalty is due and whether the generator trains.
    mix : (N,) tensor, optional
        Where between fake (0) and real (1) the penalty of WGAN-GP looks; uniform random numbers.
    """
    p = gan
    with torch.no_grad():
        fakes = p.generate(z_d)
    trained_d = p.gate.is_open
    if trained_d:
        penalty = p.penalty * p.penalty_every if step % p.penalty_every == 0 else 0.0
        loss_d = discriminator_step(p, reals_d, fakes, penalty, mix)
    else:
        loss_d = evaluate_discriminator(p, reals_d, fakes)  # measured, not trained

    trains_g = step % p.generator_every == 0
    with frozen(p.discriminator), contextlib.nullcontext() if trains_g else torch.no_grad():
        with torch.no_grad():  # loss_G sees the reals only through the values of their scores
            c_real = p.score(reals_g)
        fakes = p.generate(z_g)
        loss_g = p.loss.generator(c_real, p.score(fakes))
        losses = read_later(distributed.broadcast(torch.stack((loss_d, loss_g.detach()))))
        if trains_g:
            descend(p.optimizer_g, loss_g, p.generator)
    if p.averaged is not None:
        update_ema(p.averaged, p.generator, ema_decay(step, p.averaging))

    result = StepResult(*losses(), trained_d, fakes.detach())
    p.gate.update(result.loss_d, result.loss_g)
    return result


def discriminator_step(
    p: GanState, reals: Tensor, fakes: Tensor, penalty: float, mix: Tensor | None = None
) -> Tensor:
    """Update the discriminator once; return its loss without the penalty.

    Reals and fakes go through it separately, so that each batch is normalized by its own statistics.
    """
    reals, fakes = as_blocks(reals), as_blocks(fakes)
    zero_centered = penalty and not p.loss.penalty_is_one_centered
    if zero_centered:
        reals, fakes = reals.detach().requires_grad_(), fakes.detach().requires_grad_()
    c_real, c_fake = p.score(reals), p.score(fakes)
    loss = objective = p.loss.discriminator(c_real, c_fake)
    if zero_centered:
        for scores, shapes in ((c_real, reals), (c_fake, fakes)):
            slopes = distributed.gather(squared_gradient_norm(scores, shapes))
            objective = objective + penalty * zero_centered_penalty(slopes)
    elif penalty:
        between = fakes + mix.view(-1, 1, 1, 1, 1) * (reals - fakes)
        slopes = distributed.gather(squared_gradient_norm(p.score(between.requires_grad_()), between))
        objective = objective + penalty * one_centered_penalty(slopes)
    descend(p.optimizer_d, objective, p.discriminator)
    return loss.detach()


@torch.no_grad()
def validate_discriminator(p: GanState, reals: Tensor, z: Tensor) -> float:
    """Measure the discriminator's loss on reals that it does not train on; nothing at all changes."""
    buffers = [(b, b.clone()) for network in (p.generator, p.discriminator) for b in network.buffers()]
    loss = evaluate_discriminator(p, reals, p.generate(z)).item()
    for buffer, before in buffers:
        buffer.copy_(before)
    return loss


@torch.no_grad()
def evaluate_discriminator(p: GanState, reals: Tensor, fakes: Tensor) -> Tensor:
    """Measure the discriminator's loss; no weight changes.

    As in the original, batch norm uses running statistics for the reals and the batch's own for the fakes.
    """
    with inference(p.discriminator):
        c_real = p.score(reals)
    return p.loss.discriminator(c_real, p.score(fakes))


def descend(optimizer: Optimizer, loss: Tensor, network: nn.Module) -> None:
    """Take one step down the gradient of `loss` with the weights of `network`."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    distributed.sum_gradients(network.parameters())
    optimizer.step()


def ema_decay(step: int, decay: float) -> float:
    """Share of the old average that step `step`, from 0, keeps: at first less than `decay`.

    Otherwise the average would show the untrained generator for hundreds of steps. The form is that of
    tf.train.ExponentialMovingAverage's `num_updates`.
    """
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move every floating-point number of `average` a share 1 - `decay` towards that of `network`."""
    for old, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)
