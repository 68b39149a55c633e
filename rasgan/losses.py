"""The losses of the tutorial's page and repository, each beside its equation; C: critic score, E: mean.

Every loss is written with softplus, log(1 + e^x): -log(sigmoid(x)) = softplus(-x) and
-log(1 - sigmoid(x)) = softplus(x). The literal form, log(sigmoid(x) + 1e-14), stops at 32.24 with zero
gradient in float32; softplus goes on.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from rasgan.blocks import as_voxels


class GanLoss(NamedTuple):
    """The losses of one GAN's networks; each maps (N,) scores of reals and (N,) of fakes to a scalar."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    penalty_is_one_centered: bool = False  # of WGAN-GP: it draws gradient norms to 1, the others to 0


def sgan_discriminator_loss(c_real: Tensor, c_fake: Tensor) -> Tensor:
    """-E[log sigmoid(C(x_r))] - E[log(1 - sigmoid(C(x_f)))] (Goodfellow et al. 2014)."""
    return softplus(-c_real).mean() + softplus(c_fake).mean()


def sgan_generator_loss(_c_real: Tensor, c_fake: Tensor) -> Tensor:
    """-E[log sigmoid(C(x_f))], the non-saturating form (Goodfellow et al. 2014)."""
    return softplus(-c_fake).mean()


def rsgan_discriminator_loss(c_real: Tensor, c_fake: Tensor) -> Tensor:
    """-E[log sigmoid(C(x_r) - C(x_f))], each real paired with one fake (Jolicoeur-Martineau 2018)."""
    return softplus(c_fake - c_real).mean()


def rsgan_generator_loss(c_real: Tensor, c_fake: Tensor) -> Tensor:
    """-E[log sigmoid(C(x_f) - C(x_r))]: the roles exchanged."""
    return rsgan_discriminator_loss(c_fake, c_real)


def rasgan_discriminator_loss(c_real: Tensor, c_fake: Tensor) -> Tensor:
    """-E[log D~(x_r)] - E[log(1 - D~(x_f))] (Jolicoeur-Martineau 2018).

    D~(x_r) = sigmoid(C(x_r) - E[C(x_f)]) and D~(x_f) = sigmoid(C(x_f) - E[C(x_r)]). The two terms are
    summed as the tutorial does; the paper author's own code halves the sum.
    """
    return softplus(c_fake.mean() - c_real).mean() + softplus(c_fake - c_real.mean()).mean()


def rasgan_generator_loss(c_real: Tensor, c_fake: Tensor) -> Tensor:
    """-E[log D~(x_f)] - E[log(1 - D~(x_r))]: the roles exchanged."""
    return rasgan_discriminator_loss(c_fake, c_real)


def wgan_discriminator_loss(c_real: Tensor, c_fake: Tensor) -> Tensor:
    """E[C(x_f)] - E[C(x_r)] (Gulrajani et al. 2017, equation 3, without its penalty)."""
    return c_fake.mean() - c_real.mean()


def wgan_generator_loss(_c_real: Tensor, c_fake: Tensor) -> Tensor:
    """-E[C(x_f)]."""
    return -c_fake.mean()


LOSSES = {
    "rasgan": GanLoss(rasgan_discriminator_loss, rasgan_generator_loss),
    "rsgan": GanLoss(rsgan_discriminator_loss, rsgan_generator_loss),
    "sgan": GanLoss(sgan_discriminator_loss, sgan_generator_loss),
    "wgan-gp": GanLoss(wgan_discriminator_loss, wgan_generator_loss, penalty_is_one_centered=True),
}


def zero_centered_penalty(squared_norms: Tensor) -> Tensor:
    """1/2 E[||grad_x C(x)||^2]: R1 on reals, R2 on fakes (Mescheder et al. 2018, equation 9)."""
    return squared_norms.mean() / 2


def one_centered_penalty(squared_norms: Tensor) -> Tensor:
    """E[(||grad_x C(x)|| - 1)^2], x between a real and a fake (Gulrajani et al. 2017, equation 3)."""
    return (squared_norms.sqrt() - 1).square().mean()


def squared_gradient_norm(scores: Tensor, shapes: Tensor) -> Tensor:
    """||grad_x C(x)||^2 of each grid, (N,), itself differentiable.

    Parameters
    ----------
    scores : tensor
        C(x), still attached to its graph.
    shapes : (N, 1, n, n, n) tensor, or its blocks (`rasgan.blocks.blocks_of`)
        The x that requires a gradient. The norm runs over all voxels of a grid.
    """
    (gradient,) = torch.autograd.grad(scores.sum(), shapes, create_graph=True)
    return as_voxels(gradient).square().flatten(1).sum(1)
