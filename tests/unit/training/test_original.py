"""The training step compared with a literal second implementation of the original's loop, in float64.

As in the original: separate batches of reals and fakes, log-sigmoid losses, a gate on
smoothed losses, batch norm by the batch except for the reals of a step that only measures, Adam, beta 0.5.
"""

import pytest
import torch
from torch import nn, sigmoid

from rasgan.training.config import TrainConfig
from rasgan.training.state import build_gan
from rasgan.training.step import Batch, train_step

STEPS, BATCH = 14, 3
SETTINGS = TrainConfig(
    resolution=32,
    width=8,
    batchsize=BATCH,
    generator_learning_rate=0.002,
    discriminator_learning_rate=0.01,  # high, so that the gate shuts and opens within a few steps
)


class Norm:
    """Batch norm over channels, decay 0.9, epsilon 1e-5."""

    def __init__(self, scale, shift):
        self.scale, self.shift = scale, shift
        self.mean, self.variance = torch.zeros_like(shift), torch.ones_like(shift)

    def __call__(self, x, is_train=True):
        mean, variance = self.mean, self.variance
        if is_train:
            mean = x.mean((0, 2, 3, 4))
            variance = ((x - mean.view(1, -1, 1, 1, 1)) ** 2).mean((0, 2, 3, 4))
            count = x.numel() / x.shape[1]
            self.mean = 0.9 * self.mean + 0.1 * mean.detach()
            self.variance = 0.9 * self.variance + 0.1 * variance.detach() * count / (count - 1)
        mean, variance, scale, shift = (
            v.view(1, -1, 1, 1, 1) for v in (mean, variance, self.scale, self.shift)
        )
        return scale * (x - mean) / torch.sqrt(variance + 1e-5) + shift


class Reference:
    """The loop, with weights copied from our gan."""

    def __init__(self, gan):
        g, d = gan.generator, gan.discriminator
        self.weights_g = {name: p.detach().clone().requires_grad_() for name, p in g.named_parameters()}
        self.weights_d = {name: p.detach().clone().requires_grad_() for name, p in d.named_parameters()}
        self.norms_g = [self.norm(self.weights_g, i) for i in range(len(g.norms))]
        self.norms_d = [self.norm(self.weights_d, i) for i in range(len(d.norms))]
        self.moments = {}
        self.smooth_d = self.smooth_g = 0.0
        self.trains_d = True

    @staticmethod
    def norm(weights, index):
        return Norm(weights[f"norms.{index}.weight"], weights[f"norms.{index}.bias"])

    def generate(self, z):
        w = self.weights_g
        x = (z @ w["dense.weight"].T + w["dense.bias"]).view(len(z), 8, 4, 4, 4)
        x = torch.relu(self.norms_g[0](x))
        for i, norm in enumerate(self.norms_g[1:]):
            x = nn.functional.conv_transpose3d(
                x, w[f"deconvs.{i}.weight"], w[f"deconvs.{i}.bias"], stride=2, padding=1
            )
            x = torch.relu(norm(x))
        return nn.functional.conv_transpose3d(
            x, w["to_voxels.weight"], w["to_voxels.bias"], stride=2, padding=1
        )

    def score(self, voxels, is_train=True):
        w = self.weights_d
        x = nn.functional.conv3d(voxels, w["from_voxels.weight"], w["from_voxels.bias"], stride=2, padding=1)
        x = torch.where(x > 0, x, 0.2 * x)
        for i, norm in enumerate(self.norms_d):
            x = nn.functional.conv3d(x, w[f"convs.{i}.weight"], w[f"convs.{i}.bias"], stride=2, padding=1)
            x = norm(x, is_train)
            x = torch.where(x > 0, x, 0.2 * x)
        return x.flatten(1) @ w["dense.weight"][0] + w["dense.bias"]

    @staticmethod
    def losses(c_real, c_fake):
        d_real, d_fake = sigmoid(c_real - c_fake.mean()), sigmoid(c_fake - c_real.mean())
        eps = 1e-14
        loss_d = -torch.log(d_real + eps).mean() - torch.log(1 - d_fake + eps).mean()
        loss_g = -torch.log(d_fake + eps).mean() - torch.log(1 - d_real + eps).mean()
        return loss_d, loss_g

    def adam(self, weights, loss, rate, beta1=0.5, beta2=0.999):
        gradients = torch.autograd.grad(loss, list(weights.values()))
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            key = (id(weights), name)
            m, v, t = self.moments.get(key, (0.0, 0.0, 0))
            m, v, t = beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**2, t + 1
            self.moments[key] = m, v, t
            with torch.no_grad():
                weight -= rate * (m / (1 - beta1**t)) / (torch.sqrt(v / (1 - beta2**t)) + 1e-8)

    def step(self, reals_d, reals_g, z_d, z_g):
        fakes = self.generate(z_d).detach()
        trained = self.trains_d
        loss_d, _ = self.losses(self.score(reals_d, is_train=trained), self.score(fakes))
        if trained:
            self.adam(self.weights_d, loss_d, SETTINGS.discriminator_learning_rate)
        _, loss_g = self.losses(self.score(reals_g), self.score(self.generate(z_g)))
        self.adam(self.weights_g, loss_g, SETTINGS.generator_learning_rate)
        self.smooth_d = 0.3 * loss_d.item() + 0.7 * self.smooth_d
        self.smooth_g = 0.3 * loss_g.item() + 0.7 * self.smooth_g
        self.trains_d = 2 * self.smooth_d > self.smooth_g
        return loss_d.item(), loss_g.item(), trained


def test_steps_and_gate_equal_those_of_the_original():
    torch.manual_seed(4)
    gan = build_gan(SETTINGS, "cpu")
    for network in (gan.generator, gan.discriminator):
        network.double()
    reference = Reference(gan)
    numbers = torch.Generator().manual_seed(5)
    decisions = []
    for step in range(STEPS):
        reals = (torch.rand(2, BATCH, 1, 32, 32, 32, generator=numbers) > 0.7).double()
        z = torch.randn(2, BATCH, 200, generator=numbers, dtype=torch.float64)
        loss_d, loss_g, trained = reference.step(*reals, *z)
        result = train_step(gan, Batch(*reals, *z), step)
        assert (result.loss_d, result.loss_g) == pytest.approx((loss_d, loss_g), rel=1e-7)
        assert result.trained_d == trained
        decisions.append(trained)
    assert True in decisions[1:]
    assert False in decisions
    for ours, theirs in (
        (gan.generator, reference.weights_g),
        (gan.discriminator, reference.weights_d),
    ):
        for name, parameter in ours.named_parameters():
            # biases before a batch norm have no gradient but rounding, which Adam makes visible
            torch.testing.assert_close(parameter.detach(), theirs[name].detach(), rtol=1e-5, atol=1e-6)
