"""Losses against the literal log-sigmoid form of the papers, in float64."""

import pytest
import torch
from torch import sigmoid

from rasgan.blocks import blocks_of
from rasgan.losses import (
    LOSSES,
    connection_penalty,
    squared_gradient_norm,
    zero_centered_penalty,
)
from rasgan.networks import Discriminator


def literal(name, c_r, c_f):
    """Evaluate the equations of the tutorial's page as they stand there."""
    if name == "sgan":
        loss_d = -sigmoid(c_r).log().mean() - (1 - sigmoid(c_f)).log().mean()
        return loss_d, -sigmoid(c_f).log().mean()
    if name == "wgan-gp":
        return c_f.mean() - c_r.mean(), -c_f.mean()
    if name == "rsgan":
        return -sigmoid(c_r - c_f).log().mean(), -sigmoid(c_f - c_r).log().mean()
    d_r, d_f = sigmoid(c_r - c_f.mean()), sigmoid(c_f - c_r.mean())
    loss_d = -d_r.log().mean() - (1 - d_f).log().mean()
    return loss_d, -d_f.log().mean() - (1 - d_r).log().mean()


@pytest.fixture
def scores(rng):
    return [torch.from_numpy(rng.normal(mean, 2, 24)) for mean in (1, -1)]


@pytest.mark.parametrize("name", LOSSES)
def test_losses_equal_the_papers_equations(name, scores):
    loss_d, loss_g = literal(name, *scores)
    torch.testing.assert_close(LOSSES[name].discriminator(*scores), loss_d)
    torch.testing.assert_close(LOSSES[name].generator(*scores), loss_g)


def test_gradients_go_on_where_the_literal_form_stops():
    c_real = torch.full((4,), 100.0)
    c_fake = torch.full((4,), -100.0, requires_grad=True)
    stopped = -(sigmoid(c_fake - c_real.mean()) + 1e-14).log().mean()
    assert stopped.item() == pytest.approx(32.24, abs=0.01)
    assert not torch.autograd.grad(stopped, c_fake)[0].any()
    loss = LOSSES["rasgan"].generator(c_real, c_fake)
    assert loss.item() == pytest.approx(400)
    assert torch.autograd.grad(loss, c_fake)[0].sum().item() == pytest.approx(-2)


def test_a_penalty_averages_over_the_batch_and_can_be_trained_on():
    voxels = torch.rand(2, 1, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    scores = (weight * voxels.square()).flatten(1).sum(1)  # gradient: 2 * weight * x
    penalty = zero_centered_penalty(squared_gradient_norm(scores, voxels))
    expected = 4 * weight**2 * voxels.square().sum() / 2 / 2
    torch.testing.assert_close(penalty, expected)
    (slope,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(slope, 2 * expected / weight)


def test_slopes_are_the_same_for_voxels_and_for_their_blocks():
    discriminator = Discriminator(8, 32, norm="none").double()
    voxels = torch.rand(2, 1, 32, 32, 32, dtype=torch.float64)
    slopes = []
    for shapes in (voxels.requires_grad_(), blocks_of(voxels.detach()).requires_grad_()):
        slopes.append(squared_gradient_norm(discriminator(shapes), shapes))
    assert (slopes[0] > 0).all()
    torch.testing.assert_close(slopes[0], slopes[1])


def test_the_connection_penalty_moves_the_logits_of_wrong_voxels_across_0_and_no_others():
    missing, loose = torch.zeros(2, 1, 4, 4, 4)
    missing[0, 1, 2, 3], loose[0, 3, :2, 0] = 1, 0.5
    logits = torch.where(missing > 0, -50.0, 50.0).requires_grad_()
    penalty = connection_penalty(logits, missing, loose)
    assert penalty.item() == 51 * (missing.sum() + loose.sum())
    penalty.backward()
    assert torch.equal(logits.grad, loose - missing)
    assert connection_penalty(missing - loose.sign(), missing, loose).item() == 0
