"""A run on a finer grid that begins where one on a grid half as fine ended.

The finer networks have one more layer at their fine end. They begin by computing what the coarser ones did:
the generator's sums, before any blur, come out upsampled, the discriminator scores the mean of each block of
2x2x2 voxels. So nothing is forgotten, as in Net2Net (Chen et al. 2016); networks that grow towards finer
grids are those of Karras et al. 2018, who blend the new layer in instead.
"""

import torch
from torch import Tensor

from rasgan.errors import UserError
from rasgan.networks import LATENT_SIZE, Discriminator, Generator, channel_counts, inference
from rasgan.seeding import GROWTH, noise, rng_for
from rasgan.training.checkpoints import Checkpoint
from rasgan.training.config import TrainConfig
from rasgan.training.state import GanState, check_fit, new_discriminator, new_generator

MEASURED = 64  # shapes, for the first statistics of the new layer's batch norm
SIGNS = (1, -1)  # of the coarse sums in the channels of the new layer that carry them
SUM_CHANNELS = len(SIGNS)
QUIET = 0.25  # what the new channels begin to add, as a share of their usual weights
SHARED = (*("width", "min_width", "norm", "output", "mirror", "mapping_layers", "occupied"),)


def check_suits(config: TrainConfig, coarse: TrainConfig) -> None:
    """Raise UserError unless a run of settings `config` can grow from one of settings `coarse`."""
    differing = [name for name in SHARED if getattr(config, name) != getattr(coarse, name)]
    if differing:
        has = ", ".join(f"{name} {getattr(coarse, name)}" for name in differing)
        raise UserError(f"a run grows from one of the same networks; that one has {has}.", about="grow")
    if channel_counts(config.width, config.resolution, config.min_width)[-1] < SUM_CHANNELS:
        raise UserError(
            f"the finest hidden grid of a grown run has {SUM_CHANNELS} channels at least; here it is one.",
            about="too narrow",
        )
    if config.output_bias:
        raise UserError(
            "a grown run begins with the shapes of the other: no output bias.", about="grown bias"
        )
    if config.resolution != 2 * coarse.resolution:
        raise UserError(
            f"a run grows from one on a grid half as fine; that one has {coarse.resolution}³.", about="grow"
        )


def grow(gan: GanState, coarse: Checkpoint) -> None:
    """Let both new networks, and the average, begin as those of the checkpoint do; `check_suits` first.

    Adam's moments and the gate begin afresh. UserError if the checkpoint has no discriminator.
    """
    if coarse.discriminator is None:
        reason = "that checkpoint has no discriminator: shapes can be generated from it, but no run can grow"
        raise UserError(f"{reason} from it.", about="grow")
    config, seed = coarse.config, gan.config.seed
    check_fit(config, coarse.generator, coarse.discriminator)
    device = next(gan.generator.parameters()).device
    z = noise(rng_for(seed, GROWTH), MEASURED, LATENT_SIZE).to(device)
    states = [(gan.generator, coarse.generator)]
    if gan.ema_generator is not None:
        states.append((gan.ema_generator, coarse.ema_generator or coarse.generator))
    for fine, state in states:
        generator = new_generator(config)
        generator.load_state_dict(state)
        grow_generator(fine, generator.to(device), z)
    discriminator = new_discriminator(config)
    discriminator.load_state_dict(coarse.discriminator)
    grow_discriminator(gan.discriminator, discriminator.to(device))


@torch.no_grad()
def grow_generator(fine: Generator, coarse: Generator, z: Tensor) -> None:
    """Make `fine`, of one more layer, generate the shapes of `coarse` upsampled to twice the resolution.

    Two channels of the new layer carry the coarse sums and their opposite through its ReLU. Batch norm leaves
    both as they are: its scale and shift undo the statistics that the (N, 200) `z` have.
    """
    fine.mapping.load_state_dict(coarse.mapping.state_dict())
    fine.dense.load_state_dict(coarse.dense.state_dict())
    for new, old in (
        *zip(fine.norms, coarse.norms, strict=False),
        *zip(fine.deconvs, coarse.deconvs, strict=False),
    ):
        new.load_state_dict(old.state_dict())
    deconv, norm, last = fine.deconvs[-1], fine.norms[-1], fine.to_voxels
    for channel, sign in enumerate(SIGNS):
        deconv.weight[:, channel] = sign * coarse.to_voxels.weight[:, 0]
        deconv.bias[channel] = sign * coarse.to_voxels.bias[0]
    sums = deconv(_coarse_features(coarse, z)).float()
    mean, variance = sums.mean((0, 2, 3, 4)), sums.var((0, 2, 3, 4), unbiased=False)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight[:SUM_CHANNELS] = (variance[:SUM_CHANNELS] + norm.eps).sqrt()
    norm.bias[:SUM_CHANNELS] = mean[:SUM_CHANNELS]
    last.weight.mul_(QUIET)
    last.weight[:SUM_CHANNELS] = 0
    for channel, sign in enumerate(SIGNS):
        last.weight[channel, 0, 1:3, 1:3, 1:3] = sign  # each sum to 2x2x2 voxels
    last.bias.zero_()


def _coarse_features(coarse: Generator, z: Tensor) -> Tensor:
    """Return what the coarse generator's last layer gets, its batch norm at its running statistics."""
    found: list[Tensor] = []
    hook = coarse.to_voxels.register_forward_pre_hook(lambda _, inputs: found.extend(inputs))
    with inference(coarse):
        coarse(z)
    hook.remove()
    return found[0]


@torch.no_grad()
def grow_discriminator(fine: Discriminator, coarse: Discriminator) -> None:
    """Make `fine`, of one more layer, score the mean of each block of 2x2x2 voxels as `coarse` does.

    One channel of the new layer takes that mean, which passes the leaky ReLU where it is positive.
    """
    fine.dense.load_state_dict(coarse.dense.state_dict())
    for new, old in (
        *zip(fine.convs[1:], coarse.convs, strict=True),
        *zip(fine.norms[1:], coarse.norms, strict=True),
    ):
        new.load_state_dict(old.state_dict())
    first, conv = fine.from_voxels, fine.convs[0]
    first.weight[0] = 0
    first.weight[0, 0, 1:3, 1:3, 1:3] = 1 / 8
    conv.weight.mul_(QUIET)
    conv.weight[:, 0] = coarse.from_voxels.weight[:, 0]
    conv.bias.copy_(coarse.from_voxels.bias)
