"""Growing: continue a training at twice the resolution.

The finer networks have one more layer at their fine end. At first they compute what the coarser ones did: the
generator's logits are upsampled, and the discriminator scores the mean of each block of 2x2x2 voxels. So
nothing that was learned is lost, as in Net2Net (Chen et al. 2016). Karras et al. 2018 introduced GANs that
grow; they fade the new layer in instead.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from rasgan.networks import LATENT_SIZE, Discriminator, Generator, inference
from rasgan.seeding import GROWTH, noise, rng_for, seed_weights
from rasgan.training.config import TrainConfig
from rasgan.training.state import GanState, build_gan

MEASURED = 64  # shapes that estimate the statistics of the new layer's batch norm
SIGNS = (1, -1)
"""Two channels of the new layer carry the coarse logits s through its ReLU: s = relu(s) - relu(-s)."""

QUIET = 0.25
"""Initial weights of the other new channels, relative to an untrained layer. Chosen by us, not tuned: small
enough to change the grown shapes little, and not 0, so that these channels learn from the first step."""


def grown(gan: GanState, config: TrainConfig) -> GanState:
    """Return networks with settings `config`, twice the resolution and the knowledge of those in `gan`.

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
    """Make `fine`, which has one more layer, generate the shapes of `coarse`, upsampled by a factor of 2.

    Batch norm leaves the two channels of `SIGNS` unchanged: its scale and shift undo the normalization by the
    statistics of the shapes of `z`, (N, 200). The finest grid needs at least two channels.
    """
    copy_weights(
        (fine.mapping, fine.dense, *fine.norms[:-1], *fine.deconvs[:-1]),
        (coarse.mapping, coarse.dense, *coarse.norms, *coarse.deconvs),
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
    """Copy parameters and buffers from each source to its target."""
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

    One channel of the new layer computes the mean. It is not negative, so the leaky ReLU does not change it.
    """
    copy_weights((fine.dense, *fine.convs[1:], *fine.norms[1:]), (coarse.dense, *coarse.convs, *coarse.norms))
    first, conv = fine.from_voxels, fine.convs[0]
    first.weight[0] = 0
    first.weight[0, 0, 1:3, 1:3, 1:3] = 1 / 8
    conv.weight.mul_(QUIET)
    conv.weight[:, 0] = coarse.from_voxels.weight[:, 0]
    conv.bias.copy_(coarse.from_voxels.bias)
