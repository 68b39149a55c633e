"""One training step and one evaluation, beside the equations in `rasgan.losses`; no files, no printing."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from rasgan.gating import Gate
from rasgan.losses import LOSSES, GanLoss, gradient_penalty
from rasgan.networks import Discriminator, Generator
from rasgan.settings import Settings


@dataclass
class Players:
    """Both networks and what trains them.

    Parameters
    ----------
    loss : GanLoss
        Both players' losses.
    gate : Gate
        Says before each step whether the discriminator trains.
    penalty : float
        gamma: the discriminator minimises loss_D + gamma / 2 * (R1 + R2). 0 is the tutorial.
    penalty_every : int
        The penalties are computed on every so many steps, and weigh as many times more then.
    averaged : nn.Module, optional
        A second generator that follows the trained one as an exponential moving average.
    averaging : float
        Share of the old average that each step keeps.
    """

    generator: nn.Module
    discriminator: nn.Module
    optimizer_g: Optimizer
    optimizer_d: Optimizer
    loss: GanLoss
    gate: Gate
    penalty: float = 0.0
    penalty_every: int = 1
    averaged: nn.Module | None = None
    averaging: float = 0.0

    def state_dict(self) -> dict:
        """Give the networks and the gate."""
        state = {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "gate": self.gate.state_dict(),
        }
        return state if self.averaged is None else {**state, "averaged": self.averaged.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """Take the networks and the gate of a checkpoint."""
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.gate.load_state_dict(state["gate"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])

    def optimizers_state_dict(self) -> dict:
        """Give both optimisers' state, twice the size of the networks."""
        return {"g": self.optimizer_g.state_dict(), "d": self.optimizer_d.state_dict()}

    def load_optimizers_state_dict(self, state: dict) -> None:
        """Take both optimisers' moments and step counts; the learning rates stay as they are."""
        for optimizer, loaded in ((self.optimizer_g, state["g"]), (self.optimizer_d, state["d"])):
            rates = [group["lr"] for group in optimizer.param_groups]
            optimizer.load_state_dict(loaded)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate


def build_players(settings: Settings, device: torch.device | str) -> Players:
    """Make both networks, their optimisers and the gate as `settings` say; weights come from torch's seed."""
    s = settings
    generator = Generator(s.width, s.resolution, s.output)
    discriminator = Discriminator(s.width, s.resolution, s.norm)
    for network in (generator, discriminator):
        network.to(device, memory_format=torch.channels_last_3d)
    averaged = copy.deepcopy(generator).requires_grad_(False).eval() if s.ema else None
    betas = (s.beta1, s.beta2)
    return Players(
        generator,
        discriminator,
        Adam(generator.parameters(), s.generator_learning_rate, betas),
        Adam(discriminator.parameters(), s.discriminator_learning_rate, betas),
        LOSSES[s.loss],
        Gate(enabled=s.gate),
        s.penalty,
        s.penalty_every,
        averaged,
        s.ema,
    )


@dataclass(frozen=True)
class StepResult:
    """What one step measured: both losses, whether the discriminator trained, the generator's last batch."""

    loss_d: float
    loss_g: float
    trained_d: bool
    fakes: Tensor


def train_step(
    players: Players, reals_d: Tensor, reals_g: Tensor, z_d: Tensor, z_g: Tensor, step: int = 0
) -> StepResult:
    """Train the discriminator, if the gate is open, then the generator; each sees its own reals and noise.

    Parameters
    ----------
    players : Players
        Changed in place.
    reals_d, reals_g : (N, 1, n, n, n) tensors
        Two independently drawn batches of real grids.
    z_d, z_g : (N, 200) tensors
        Fresh noise for each player.
    step : int
        Steps taken before this one; says whether the penalties are due.
    """
    p = players
    with torch.no_grad():
        fakes = p.generator(z_d)
    trained_d = p.gate.is_open
    if trained_d:
        penalty = p.penalty * p.penalty_every if step % p.penalty_every == 0 else 0.0
        loss_d = discriminator_step(p, reals_d, fakes, penalty)
    else:
        loss_d = evaluate_discriminator(p, reals_d, fakes)  # measured, not trained

    with frozen(p.discriminator):
        with torch.no_grad():  # loss_G sees the reals only through the values of their scores
            c_real = p.discriminator(reals_g)
        fakes = p.generator(z_g)
        loss_g = p.loss.generator(c_real, p.discriminator(fakes))
        descend(p.optimizer_g, loss_g)
    if p.averaged is not None:
        follow(p.averaged, p.generator, p.averaging)

    result = StepResult(loss_d.item(), loss_g.item(), trained_d, fakes.detach())
    p.gate.update(result.loss_d, result.loss_g)
    return result


def discriminator_step(p: Players, reals: Tensor, fakes: Tensor, penalty: float) -> Tensor:
    """Update the discriminator once; return its loss without the penalties.

    Reals and fakes go through it separately, so that each batch is normalised by its own statistics.
    """
    if penalty:
        reals, fakes = reals.detach().requires_grad_(), fakes.detach().requires_grad_()
    c_real, c_fake = p.discriminator(reals), p.discriminator(fakes)
    loss = objective = p.loss.discriminator(c_real, c_fake)
    if penalty:
        objective = loss + penalty / 2 * (gradient_penalty(c_real, reals) + gradient_penalty(c_fake, fakes))
    descend(p.optimizer_d, objective)
    return loss.detach()


@torch.no_grad()
def validate_discriminator(p: Players, reals: Tensor, z: Tensor) -> float:
    """Measure the discriminator's loss on reals that it does not train on; nothing at all changes."""
    buffers = [(b, b.clone()) for network in (p.generator, p.discriminator) for b in network.buffers()]
    loss = evaluate_discriminator(p, reals, p.generator(z)).item()
    for buffer, before in buffers:
        buffer.copy_(before)
    return loss


@torch.no_grad()
def evaluate_discriminator(p: Players, reals: Tensor, fakes: Tensor) -> Tensor:
    """Measure the discriminator's loss; no weight changes.

    As in the original, batch norm uses running statistics for the reals and the batch's own for the fakes.
    """
    with inference(p.discriminator):
        c_real = p.discriminator(reals)
    return p.loss.discriminator(c_real, p.discriminator(fakes))


def descend(optimizer: Optimizer, loss: Tensor) -> None:
    """Take one step down the gradient of `loss`."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move every floating-point number of `average` a share 1 - `decay` towards that of `network`."""
    for old, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)


@contextmanager
def inference(network: nn.Module) -> Iterator[None]:
    """Put `network` into inference mode and back into the mode it was in."""
    mode = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(mode)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Keep autograd from computing gradients for the weights of `network`."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
