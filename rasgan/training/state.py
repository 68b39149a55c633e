"""Both networks and all that trains them, built from a run's settings."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from rasgan.gating import Gate
from rasgan.losses import LOSSES, GanLoss
from rasgan.networks import Discriminator, Generator
from rasgan.training import devices, distributed
from rasgan.training.config import TrainConfig


@dataclass
class GanState:
    """Both networks and what trains them.

    Parameters
    ----------
    loss : GanLoss
        Both players' losses.
    gate : Gate
        Says before each step whether the discriminator trains.
    penalty : float
        gamma: the discriminator minimizes loss_D + gamma * its penalty. 0 is the tutorial.
    penalty_every : int
        The penalty is computed on every so many steps, and weighs as many times more then.
    generator_every : int
        The generator trains on every so many steps.
    precision : {"float32", "bf16"}
        What the networks compute in.
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
    generator_every: int = 1
    precision: str = "float32"
    averaged: nn.Module | None = None
    averaging: float = 0.0

    def generate(self, z: Tensor) -> Tensor:
        """Map (N, 200) to the blocks of N shapes, in the precision of the run."""
        with devices.autocast(z.device, self.precision):
            return self.generator(z, as_blocks=True)

    def score(self, shapes: Tensor) -> Tensor:
        """Map this process's shapes to the scores of the whole batch, in float32 at least."""
        with devices.autocast(shapes.device, self.precision):
            scores = self.discriminator(shapes)
        return distributed.gather(scores.to(torch.promote_types(scores.dtype, torch.float32)))

    def compile(self) -> None:
        """Let torch compile both networks when they are used first."""
        self.generator.compile()
        self.discriminator.compile()

    def set_learning_rates(self, generator: float, discriminator: float) -> None:
        """Let both optimizers take steps of this size from now on."""
        for optimizer, rate in ((self.optimizer_g, generator), (self.optimizer_d, discriminator)):
            for group in optimizer.param_groups:
                group["lr"] = rate

    def state_dict(self) -> dict:
        """Return the networks and the gate."""
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
        """Return both optimizers' state, twice the size of the networks."""
        return {"g": self.optimizer_g.state_dict(), "d": self.optimizer_d.state_dict()}

    def load_optimizers_state_dict(self, state: dict) -> None:
        """Take both optimizers' moments and step counts; learning rates and the like stay as they are."""
        for optimizer, loaded in ((self.optimizer_g, state["g"]), (self.optimizer_d, state["d"])):
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({**loaded, "param_groups": groups})


def build_gan(settings: TrainConfig, device: torch.device | str, precision: str = "float32") -> GanState:
    """Make both networks, their optimizers and the gate as `settings` say; weights come from torch's seed."""
    s = settings
    generator = Generator(s.width, s.resolution, s.output)
    discriminator = Discriminator(s.width, s.resolution, s.norm, s.init)
    for network in (generator, discriminator):
        distributed.convert_batch_norm(network)
        network.to(device, memory_format=torch.channels_last_3d)
    averaged = copy.deepcopy(generator).requires_grad_(False).eval() if s.ema else None
    options = {"betas": (s.beta1, s.beta2), "fused": torch.device(device).type == "cuda"}
    return GanState(
        generator,
        discriminator,
        Adam(generator.parameters(), s.generator_learning_rate, **options),
        Adam(discriminator.parameters(), s.discriminator_learning_rate, **options),
        LOSSES[s.loss],
        Gate(enabled=s.gate),
        s.penalty,
        s.penalty_every,
        s.generator_every,
        precision,
        averaged,
        s.ema,
    )


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
