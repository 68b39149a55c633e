"""Growing: continue a training at twice the resolution.

The finer networks have one more layer at their fine end. They start by computing what the coarser ones did:
the generator's logits are upsampled, and the discriminator scores the mean of each block of 2x2x2 voxels. So
nothing that was learned is lost, as in Net2Net (Chen et al. 2016). Networks that grow towards finer grids are
those of Karras et al. 2018, who fade the new layer in instead.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from rasgan.networks import LATENT_SIZE, Discriminator, Generator, inference
from rasgan.seeding import GROWTH, noise, rng_for, seed_weights
from rasgan.training.config import TrainConfig
from rasgan.training.state import GanState, build_gan

MEASURED = 64  # shapes from which the statistics of the new layer's batch norm are estimated
SIGNS = (1, -1)
"""Two channels of the new layer carry the coarse logits s through its ReLU: s = relu(s) - relu(-s)."""

QUIET = 0.25
"""Initial weights of the other new channels, relative to an untrained layer. A chosen value: they can learn
from the first step, but change the grown shapes little."""


def grown(gan: GanState, config: TrainConfig) -> GanState:
    """Return the networks of settings `config`, at twice the resolution, with what those of `gan` learned.

    Adam's moments and the gate start from scratch.
    """
    device = next(gan.generator.parameters()).device
    seed_weights(config.seed)
    fine = build_gan(config, device, gan.precision)
    z = noise(rng_for(config.seed, GROWTH), MEASURED, LATENT_SIZE).to(device)
    grow_generator(fine.generator, gan.generator, z)
    if gan.ema_generator is not None:
        grow_generator(fine.ema_generator, gan.ema_generator, z)
    grow_discriminator(fine.discriminator, gan.discriminator)
    return fine


@torch.no_grad()
def grow_generator(fine: Generator, coarse: Generator, z: Tensor) -> None:
    """Make `fine`, which has one more layer, generate the shapes of `coarse` upsampled by a factor of 2.

    Batch norm leaves the two channels of `SIGNS` unchanged: its scale and shift undo the normalization by the
    statistics of the shapes of `z`, (N, 200).
    The finest grid needs at least two channels.
    """
    copy_weights(
        (fine.mapping, fine.dense, *fine.norms[:-1], *fine.deconvs[:-1], *fine.conditions[:-1]),
        (coarse.mapping, coarse.dense, *coarse.norms, *coarse.deconvs, *coarse.conditions),
    )
    deconv, norm, last = fine.deconvs[-1], fine.norms[-1], fine.to_voxels
    for channel, sign in enumerate(SIGNS):
        deconv.weight[:, channel] = sign * coarse.to_voxels.weight[:, 0]
        deconv.bias[channel] = sign * coarse.to_voxels.bias[0]
    outputs = deconv(_features(coarse, z)).float()
    mean, variance = outputs.mean((0, 2, 3, 4)), outputs.var((0, 2, 3, 4), unbiased=False)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    carried = slice(len(SIGNS))
    norm.weight[carried] = (variance[carried] + norm.eps).sqrt()
    norm.bias[carried] = mean[carried]
    last.weight.mul_(QUIET)
    last.weight[carried] = 0
    for channel, sign in enumerate(SIGNS):
        last.weight[channel, 0, 1:3, 1:3, 1:3] = sign  # each logit becomes 2x2x2 voxels
    last.bias.zero_()


def copy_weights(targets: Iterable[nn.Module], sources: Iterable[nn.Module]) -> None:
    """Copy parameters and buffers from each source to the target at the same place."""
    for target, source in zip(targets, sources, strict=True):
        target.load_state_dict(source.state_dict())


def _features(coarse: Generator, z: Tensor) -> Tensor:
    """Return the input of the coarse generator's last layer, in evaluation mode."""
    found: list[Tensor] = []
    hook = coarse.to_voxels.register_forward_pre_hook(lambda _, inputs: found.extend(inputs))
    with inference(coarse):
        coarse(z)
    hook.remove()
    return found[0]


@torch.no_grad()
def grow_discriminator(fine: Discriminator, coarse: Discriminator) -> None:
    """Make `fine`, which has one more layer, score the mean of each block of 2x2x2 voxels as `coarse` does.

    One channel of the new layer computes the mean, which is not negative and so passes the leaky ReLU.
    """
    copy_weights((fine.dense, *fine.convs[1:], *fine.norms[1:]), (coarse.dense, *coarse.convs, *coarse.norms))
    first, conv = fine.from_voxels, fine.convs[0]
    first.weight[0] = 0
    first.weight[0, 0, 1:3, 1:3, 1:3] = 1 / 8
    conv.weight.mul_(QUIET)
    conv.weight[:, 0] = coarse.from_voxels.weight[:, 0]
    conv.bias.copy_(coarse.from_voxels.bias)
