"""Losses of the tutorial and its repository, each beside its equation. C is the critic score, E the mean.

Every loss uses softplus(x) = log(1 + e^x): -log(sigmoid(x)) = softplus(-x) and
-log(1 - sigmoid(x)) = softplus(x). The tutorial's log(sigmoid(x) + 1e-14) saturates at 32.24 with zero
gradient in float32; softplus does not.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from rasgan.blocks import as_voxels

MARGIN = 1.0
"""Logit beyond which a voxel has no connection penalty, as in the hinge loss; sigmoid(1) = 0.73."""


class GanLoss(NamedTuple):
    """Both losses of a GAN. Each maps (N,) scores of reals and (N,) scores of fakes to a scalar."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    penalty_is_one_centered: bool = False  # WGAN-GP's penalty has its minimum at gradient norm 1, not 0


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
    """-E[log sigmoid(C(x_f) - C(x_r))], with reals and fakes exchanged."""
    return rsgan_discriminator_loss(c_fake, c_real)


def rasgan_discriminator_loss(c_real: Tensor, c_fake: Tensor) -> Tensor:
    """-E[log D~(x_r)] - E[log(1 - D~(x_f))] (Jolicoeur-Martineau 2018).

    D~(x_r) = sigmoid(C(x_r) - E[C(x_f)]) and D~(x_f) = sigmoid(C(x_f) - E[C(x_r)]). The two terms are
    summed as the tutorial does; the paper author's own code halves the sum.
    """
    return softplus(c_fake.mean() - c_real).mean() + softplus(c_fake - c_real.mean()).mean()


def rasgan_generator_loss(c_real: Tensor, c_fake: Tensor) -> Tensor:
    """-E[log D~(x_f)] - E[log(1 - D~(x_r))], with reals and fakes exchanged."""
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
    """1/2 E[||grad_x C(x)||^2]: R1 for reals, R2 for fakes (Mescheder et al. 2018, equation 9)."""
    return squared_norms.mean() / 2


def one_centered_penalty(squared_norms: Tensor) -> Tensor:
    """E[(||grad_x C(x)|| - 1)^2], x between a real and a fake (Gulrajani et al. 2017, equation 3)."""
    return (squared_norms.sqrt() - 1).square().mean()


def connection_penalty(logits: Tensor, missing: Tensor, loose: Tensor) -> Tensor:
    """Sum of missing * max(0, 1 - s) + loose * max(0, 1 + s) over all voxels, s being the logits.

    Counting components has no gradient, but the voxels that must change to leave one component
    (`rasgan.voxels.repairs`) are known, and this hinge loss moves their logits across 0. The idea of a
    topological loss on a generator's output is that of Brüel-Gabrielsson et al. 2020, "A topology layer for
    machine learning", whose gradient reaches only the two voxels where a component is born and dies. The
    logits are used because a sigmoid has almost no gradient near 0 and 1.

    Parameters
    ----------
    logits, missing, loose : (N, n, n, n) tensors
    """
    return ((MARGIN - logits).relu() * missing + (MARGIN + logits).relu() * loose).sum()


def squared_gradient_norm(scores: Tensor, shapes: Tensor) -> Tensor:
    """||grad_x C(x)||^2 of each grid, (N,), itself differentiable.

    Parameters
    ----------
    scores : tensor
        C(x), with its autograd graph.
    shapes : (N, 1, n, n, n) tensor, or its blocks (`rasgan.blocks.blocks_of`)
        x, which requires a gradient. The norm is over all voxels of a grid.
    """
    (gradient,) = torch.autograd.grad(scores.sum(), shapes, create_graph=True)
    return as_voxels(gradient).square().flatten(1).sum(1)
