"""Both networks, their optimizers and the gate, built from a run's settings."""

import copy
import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from rasgan.blocks import blurred, mirror_mean
from rasgan.gating import Gate
from rasgan.losses import LOSSES, GanLoss
from rasgan.networks import Discriminator, Generator
from rasgan.training import devices, distributed
from rasgan.training.config import TrainConfig

RELATIVE_RATE = "relative_rate"
"""Key of a parameter group: its learning rate relative to the optimizer's."""


@dataclass
class GanState:
    """Everything that one training step reads or changes."""

    config: TrainConfig
    precision: str  # "float32" or "bf16", for autocast
    generator: nn.Module
    discriminator: nn.Module
    optimizer_g: Optimizer
    optimizer_d: Optimizer
    gate: Gate  # decides before each step whether the discriminator trains
    ema_generator: nn.Module | None = None  # exponential moving average of the generator
    connect: float = 0.0  # current weight of the connection penalty

    @property
    def loss(self) -> GanLoss:
        """The losses of both networks, by the name in the settings."""
        return LOSSES[self.config.loss]

    @property
    def best_generator(self) -> nn.Module:
        """The averaged generator if there is one, else the trained one."""
        return self.ema_generator or self.generator

    def generate(self, z: Tensor, with_logits: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Map latent vectors, (N, 200), to the blocks of N shapes; see `Generator.forward`."""
        with devices.autocast(z.device, self.precision):
            return self.generator(z, as_blocks=True, with_logits=with_logits)

    def score(self, shapes: Tensor) -> Tensor:
        """Map this process's shapes to the scores of the complete batch, in float32 or better."""
        with devices.autocast(shapes.device, self.precision):
            scores = self.discriminator(shapes)
        return distributed.gather(scores.to(torch.promote_types(scores.dtype, torch.float32)))

    def set_learning_rates(self, generator: float, discriminator: float) -> None:
        """Set both optimizers' learning rates."""
        for optimizer, rate in ((self.optimizer_g, generator), (self.optimizer_d, discriminator)):
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get(RELATIVE_RATE, 1)

    def load_moments(self, state_g: dict, state_d: dict) -> None:
        """Load both optimizers' moments and step counts, but not their learning rates and decays."""
        for optimizer, loaded in ((self.optimizer_g, state_g), (self.optimizer_d, state_d)):
            groups = optimizer.state_dict()["param_groups"]
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            for number, moments in loaded["state"].items():
                for name in ("exp_avg", "exp_avg_sq"):
                    if moments[name].shape != parameters[number].shape:
                        raise ValueError(f"{name} of parameter {number} has a different shape")
            optimizer.load_state_dict({**loaded, "param_groups": groups})


def new_generator(config: TrainConfig) -> Generator:
    """Build the generator that the settings describe."""
    filters = [blurred] if config.blur else []
    if config.mirror:  # last, so that both sides are equal
        filters.append(functools.partial(mirror_mean, axis=config.mirror_axis))
    return Generator(
        config.width,
        config.resolution,
        config.output,
        config.min_width,
        filters,
        config.mapping_layers,
    )


def new_discriminator(config: TrainConfig) -> Discriminator:
    """Build the discriminator that the settings describe."""
    return Discriminator(config.width, config.resolution, config.norm, config.init, config.min_width)


def check_fit(config: TrainConfig, generator: dict, discriminator: dict | None = None) -> None:
    """Raise RuntimeError or ValueError if the weights do not fit the settings' networks.

    The networks are built on the meta device, so no memory is allocated for them.
    """
    if config.mapping_layers > len(generator):
        raise ValueError(f"{config.mapping_layers} mapping layers in {len(generator)} tensors")
    with torch.device("meta"):
        # load_state_dict(assign=True) marks the metadata of its argument, so pass a copy
        new_generator(config).load_state_dict(dict(generator), assign=True)
        if discriminator is not None:
            new_discriminator(config).load_state_dict(dict(discriminator), assign=True)


def set_output_bias(gan: GanState, share: float) -> None:
    """Set the last layer's bias to log(p / (1 - p)), so that a share p of the voxels is occupied at first.

    As in Lin et al. 2017, "Focal loss for dense object detection", section 4.1.
    """
    for generator in filter(None, (gan.generator, gan.ema_generator)):
        nn.init.constant_(generator.to_voxels.bias, torch.logit(torch.tensor(share), eps=1e-4).item())


def parameter_groups(generator: Generator, config: TrainConfig) -> list[dict]:
    """Return the generator's parameters in order, the mapping network's in a group of their own.

    In Karras et al. 2019 the mapping network's learning rate is a hundredth of the others'.
    """
    others, mapping = [], []
    for name, parameter in generator.named_parameters():
        (mapping if name.startswith("mapping.") else others).append(parameter)
    groups = [{"params": others}]
    return [*groups, {"params": mapping, RELATIVE_RATE: config.mapping_rate}] if mapping else groups


def build_gan(config: TrainConfig, device: torch.device | str, precision: str = "float32") -> GanState:
    """Build both networks, their optimizers and the gate; torch's seed determines the weights."""
    generator = new_generator(config)
    discriminator = new_discriminator(config)
    for network in (generator, discriminator):
        distributed.convert_batch_norm(network)
        network.to(device, memory_format=torch.channels_last_3d)
    options = {"betas": (config.beta1, config.beta2), "fused": torch.device(device).type == "cuda"}
    return GanState(
        config,
        precision,
        generator,
        discriminator,
        Adam(parameter_groups(generator, config), config.generator_learning_rate, **options),
        Adam(discriminator.parameters(), config.discriminator_learning_rate, **options),
        Gate(enabled=config.gate),
        copy.deepcopy(generator).requires_grad_(False).eval() if config.ema else None,
        config.connect,
    )
