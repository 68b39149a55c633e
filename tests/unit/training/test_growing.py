"""Grown networks start with the shapes and scores of the coarser ones."""

import pytest
import torch
from torch.nn.functional import avg_pool3d, interpolate

from rasgan.networks import Discriminator, Generator, inference
from rasgan.training.config import TrainConfig
from rasgan.training.growing import grow_discriminator, grow_generator, grown
from rasgan.training.state import build_gan

SETTINGS = {
    "width": 16,
    "min_width": 4,
    "norm": "none",
    "mirror": True,
    "output": "sigmoid",
    "ema": 0.9,
    "mapping_layers": 2,
}
COARSE = TrainConfig(resolution=32, **SETTINGS)
FINE = TrainConfig(resolution=64, **SETTINGS)


def trained(network, scale=20):
    """Make a generator look trained: large logits, and batch-norm statistics."""
    network.to_voxels.weight.data.mul_(scale)
    with torch.no_grad():
        for _ in range(30):
            network(torch.randn(32, 200))
    return network


@pytest.mark.parametrize("output", ["linear", "sigmoid"])
def test_grown_generator_upsamples_the_shapes_of_the_coarse_one(output):
    torch.manual_seed(0)
    coarse, fine = trained(Generator(16, 32, output)), Generator(16, 64, output)
    z = torch.randn(32, 200)
    grow_generator(fine, coarse, z)
    with torch.no_grad(), inference(coarse), inference(fine):
        expected, found = interpolate(coarse(z[:4]), scale_factor=2), fine(z[:4])
    assert (found - expected).abs().mean() < 0.1 * expected.std()
    fine.to_voxels.weight.data[2:] = 0  # without what the new channels add, the shapes are the same
    with torch.no_grad(), inference(fine):
        torch.testing.assert_close(fine(z[:4]), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_grown_discriminator_scores_block_means_like_the_coarse_one(norm):
    torch.manual_seed(0)
    coarse, fine = Discriminator(16, 32, norm), Discriminator(16, 64, norm)
    grow_discriminator(fine, coarse)
    fine.convs[0].weight.data[:, 1:] = 0  # what the new channels add
    if norm == "batch":  # the new layer has a batch norm where the coarse first layer has none
        fine.norms[0] = torch.nn.Identity()
    shapes = torch.rand(3, 1, 64, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(fine(shapes), coarse(avg_pool3d(shapes, 2)), atol=1e-4, rtol=1e-4)


def test_both_networks_and_the_averaged_generator_grow():
    torch.manual_seed(0)
    old = build_gan(COARSE, "cpu")
    trained(old.generator)
    old.ema_generator.load_state_dict(old.generator.state_dict())
    old.ema_generator.dense.bias.data.add_(0.3)
    gan = grown(old, FINE)
    z = torch.randn(2, 200)
    for fine, coarse in ((gan.generator, old.generator), (gan.ema_generator, old.ema_generator)):
        with torch.no_grad(), inference(fine), inference(coarse):
            expected, found = interpolate(coarse(z), scale_factor=2), fine(z)
        assert (found - expected).abs().mean() < 0.1 * expected.std()
    assert torch.equal(gan.discriminator.dense.weight, old.discriminator.dense.weight)
