"""Layer shapes, parameter counts and the eight-channel identity, against the original's description."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from rasgan.blocks import (
    ConvFromOneChannel,
    ConvTransposeToOneChannel,
    as_blocks,
    as_voxels,
    blocks_of,
    blurred,
    fold,
    mirror_mean,
    mirrored,
    unfold,
    voxels_of,
)
from rasgan.networks import Discriminator, Generator, channel_counts, count_parameters


def literal_generator(width: int) -> nn.Sequential:
    """Write the original's layers out, one by one, for 64³."""
    c = [width, width // 2, width // 4, width // 8]
    return nn.Sequential(
        nn.Linear(200, 4 * 4 * 4 * c[0]), nn.Unflatten(1, (c[0], 4, 4, 4)), nn.BatchNorm3d(c[0]), nn.ReLU(),
        nn.ConvTranspose3d(c[0], c[1], 4, 2, 1), nn.BatchNorm3d(c[1]), nn.ReLU(),
        nn.ConvTranspose3d(c[1], c[2], 4, 2, 1), nn.BatchNorm3d(c[2]), nn.ReLU(),
        nn.ConvTranspose3d(c[2], c[3], 4, 2, 1), nn.BatchNorm3d(c[3]), nn.ReLU(),
        nn.ConvTranspose3d(c[3], 1, 4, 2, 1),
    )  # fmt: skip


def literal_discriminator(width: int) -> nn.Sequential:
    """Write the original's layers out, one by one, for 64³."""
    c = [width // 8, width // 4, width // 2, width]
    return nn.Sequential(
        nn.Conv3d(1, c[0], 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv3d(c[0], c[1], 4, 2, 1), nn.BatchNorm3d(c[1]), nn.LeakyReLU(0.2),
        nn.Conv3d(c[1], c[2], 4, 2, 1), nn.BatchNorm3d(c[2]), nn.LeakyReLU(0.2),
        nn.Conv3d(c[2], c[3], 4, 2, 1), nn.BatchNorm3d(c[3]), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(c[3] * 64, 1), nn.Flatten(0),
    )  # fmt: skip


def copy_in_order(source: nn.Module, target: nn.Module) -> None:
    """Copy weights layer by layer; ours lists the norms apart from the convolutions."""
    groups = [[m for m in target.modules() if isinstance(m, kind)] for kind in (nn.BatchNorm3d, nn.Linear)]
    ours = [[m for m in source.modules() if isinstance(m, kind)] for kind in (nn.BatchNorm3d, nn.Linear)]
    groups.append([m for m in target.modules() if isinstance(m, (nn.Conv3d, nn.ConvTranspose3d))])
    convs = (
        [source.from_voxels, *source.convs]
        if hasattr(source, "from_voxels")
        else [*source.deconvs, source.to_voxels]
    )
    for theirs, mine in zip(groups, [*ours, convs], strict=True):
        for a, b in zip(theirs, mine, strict=True):
            a.load_state_dict(b.state_dict())


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(
    ("kind", "literal", "shape"),
    [(Generator, literal_generator, (3, 200)), (Discriminator, literal_discriminator, (3, 1, 64, 64, 64))],
)
def test_networks_equal_the_originals_layers_written_out(kind, literal, shape, mode):
    ours, theirs = kind(width=16).double(), literal(16).double()
    copy_in_order(ours, theirs)
    x = torch.randn(shape, dtype=torch.float64)
    ours.train(mode == "train")
    theirs.train(mode == "train")
    torch.testing.assert_close(ours(x), theirs(x))


def test_parameter_counts_at_full_width():
    dense_g = 200 * 32768 + 32768
    dense_d = 32768 + 1
    kernels = 64 * (512 * 256 + 256 * 128 + 128 * 64 + 64 * 1)
    generator = dense_g + kernels + (256 + 128 + 64 + 1) + 2 * (512 + 256 + 128 + 64)
    discriminator = dense_d + kernels + (64 + 128 + 256 + 512) + 2 * (128 + 256 + 512)
    assert count_parameters(Generator()) == generator == 17_602_881
    assert count_parameters(Discriminator()) == discriminator == 11_049_665


@pytest.mark.parametrize(("resolution", "width"), [(32, 8), (64, 8), (128, 16)])
def test_every_resolution_maps_noise_to_grids_to_scores(resolution, width):
    generator, discriminator = Generator(width, resolution), Discriminator(width, resolution)
    voxels = generator(torch.randn(2, 200))
    assert voxels.shape == (2, 1, resolution, resolution, resolution)
    assert discriminator(voxels).shape == (2,)


def test_channels_stop_halving_at_the_lower_bound():
    assert channel_counts(64, 64, 16) == [64, 32, 16, 16]
    assert channel_counts(8, 32, 64) == [8, 8, 8]  # never more than the coarsest grid has
    generator, discriminator = Generator(16, 32, min_width=8), Discriminator(16, 32, min_width=8)
    assert [norm.num_features for norm in generator.norms] == [16, 8, 8]
    assert discriminator(generator(torch.randn(2, 200))).shape == (2,)


def test_mapping_layers_bend_the_latent_vectors_before_the_dense_layer():
    mapped, plain = Generator(8, 32, mapping_layers=2), Generator(8, 32)
    plain.load_state_dict(mapped.state_dict(), strict=False)
    z = torch.randn(3, 200)
    w = z
    for layer in (0, 2):
        w = functional.leaky_relu(w @ mapped.mapping[layer].weight.T + mapped.mapping[layer].bias, 0.2)
    torch.testing.assert_close(mapped(z), plain(w))
    assert w.std().item() == pytest.approx(1, abs=0.4)  # neither loud nor quiet when training begins
    assert plain.state_dict().keys() == {name for name in mapped.state_dict() if "mapping" not in name}


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("edge", [2, 4, 16])
def test_blocks_are_mirrored_as_their_voxels_are(edge, axis):
    voxels = torch.randn(2, 1, edge, edge, edge)
    assert torch.equal(voxels_of(mirrored(blocks_of(voxels), axis)), voxels.flip(2 + axis))


@pytest.mark.parametrize("output", ["linear", "sigmoid"])
def test_a_mirroring_generator_averages_its_logits_with_their_mirror_image(output):
    torch.manual_seed(0)
    generator = Generator(8, 32, output, filters=[partial(mirror_mean, axis=0)])
    plain = Generator(8, 32)
    plain.load_state_dict(generator.state_dict())
    z = torch.randn(3, 200)
    voxels, sums = generator(z), plain(z)
    assert torch.equal(voxels, voxels.flip(2))  # left is like right, to the last bit
    expected = (sums + sums.flip(2)) / 2
    torch.testing.assert_close(voxels, expected.sigmoid() if output == "sigmoid" else expected)
    assert not torch.allclose(sums, sums.flip(2))


def test_a_blurring_generator_ends_in_a_larger_and_smoother_kernel():
    torch.manual_seed(0)
    layer, x = ConvTransposeToOneChannel(5), torch.randn(2, 5, 6, 6, 6)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    binomial = torch.tensor([1.0, 2.0, 1.0]) / 4
    smooth = torch.einsum("i,j,k->ijk", binomial, binomial, binomial)[None, None]
    kernel = functional.conv3d(layer.weight, smooth, padding=2)  # of 6 voxels
    expected = functional.conv_transpose3d(x, kernel, layer.bias, stride=2, padding=2)
    torch.testing.assert_close(voxels_of(blurred(layer(x))), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("width", "resolution"), [(512, 48), (512, 4), (12, 64), (0, 64), (512, 0), (512, -64)]
)
def test_impossible_sizes_are_refused(width, resolution):
    with pytest.raises(ValueError, match="must be"):
        channel_counts(width, resolution)


def test_weights_start_as_the_original_draws_them():
    torch.manual_seed(0)
    generator, discriminator = Generator(64), Discriminator(64)
    for weight in (generator.dense.weight, generator.deconvs[0].weight, discriminator.convs[-1].weight):
        assert weight.mean().abs().item() < 5e-4
        assert weight.std().item() == pytest.approx(0.02, rel=0.02)
    scales = torch.cat([norm.weight for norm in generator.norms])
    assert scales.mean().item() == pytest.approx(1, abs=0.01)
    assert scales.std().item() == pytest.approx(0.02, rel=0.25)
    scales = torch.cat([norm.weight for norm in discriminator.norms])
    assert scales.std().item() == pytest.approx(0.002, rel=0.25)
    for network in (generator, discriminator):
        assert all(not p.any() for name, p in network.named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize(("width", "resolution"), [(32, 32), (64, 64), (32, 128)])
def test_scaled_weights_let_narrow_networks_tell_shapes_apart_from_the_start(width, resolution):
    torch.manual_seed(0)
    shapes = (torch.rand(6, 1, *(resolution,) * 3) > 0.9).float()
    spread = {}
    for init in ("normal", "scaled"):
        network = Discriminator(width, resolution, norm="none", init=init)
        spread[init] = network(shapes).std().item()
        assert all(not p.any() for name, p in network.named_parameters() if name.endswith("bias"))
    assert spread["scaled"] > 5 * spread["normal"]
    fan_in = 64 * network.convs[-1].in_channels
    assert network.convs[-1].weight.std().item() == pytest.approx((2 / 1.04 / fan_in) ** 0.5, rel=0.05)


def test_the_tutorials_output_is_linear_and_a_sigmoid_can_be_asked_for():
    torch.manual_seed(0)
    linear, sigmoid = Generator(8, 32), Generator(8, 32, output="sigmoid")
    sigmoid.load_state_dict(linear.state_dict())
    z = torch.randn(4, 200)
    torch.testing.assert_close(sigmoid(z), torch.sigmoid(linear(z)))


def test_unfold_undoes_fold_and_keeps_each_block_together():
    x = torch.arange(2 * 6**3, dtype=torch.float32).reshape(2, 1, 6, 6, 6)
    folded = fold(x)
    assert folded.shape == (2, 8, 3, 3, 3)
    assert torch.equal(folded[1, :, 1, 2, 0], x[1, 0, 2:4, 4:6, 0:2].flatten())
    assert torch.equal(unfold(folded), x)


def test_blocks_hold_the_voxels_and_a_border_of_zeros():
    voxels = torch.rand(2, 1, 6, 6, 6)
    blocks = blocks_of(voxels)
    assert blocks.shape == (2, 8, 4, 4, 4)
    assert blocks.sum().item() == pytest.approx(voxels.sum().item())
    assert torch.equal(voxels_of(blocks), voxels)
    assert as_blocks(blocks) is blocks
    assert as_voxels(voxels) is voxels
    assert torch.equal(as_blocks(voxels), blocks)
    assert torch.equal(as_voxels(blocks), voxels)


@pytest.mark.parametrize("output", ["linear", "sigmoid"])
def test_generated_blocks_are_those_of_the_generated_voxels(output):
    generator, discriminator = Generator(8, 32, output), Discriminator(8, 32)
    nn.init.constant_(generator.to_voxels.bias, 0.7)
    z = torch.randn(2, 200)
    voxels, blocks = generator(z), generator(z, as_blocks=True)
    assert torch.equal(blocks, blocks_of(voxels))
    assert torch.equal(discriminator(voxels), discriminator(blocks))


def test_one_channel_layers_equal_torchs_own_with_gradients():
    conv, deconv = ConvFromOneChannel(6).double(), ConvTransposeToOneChannel(6).double()
    for layer in (conv, deconv):
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    fine = torch.randn(2, 1, 8, 8, 8, dtype=torch.float64, requires_grad=True)
    coarse = torch.randn(2, 6, 4, 4, 4, dtype=torch.float64, requires_grad=True)
    pairs = [
        (
            conv(blocks_of(fine)),
            functional.conv3d(fine, conv.weight, conv.bias, stride=2, padding=1),
            (fine, conv.weight, conv.bias),
        ),
        (
            voxels_of(deconv(coarse)),
            functional.conv_transpose3d(coarse, deconv.weight, deconv.bias, stride=2, padding=1),
            (coarse, deconv.weight, deconv.bias),
        ),
    ]
    for ours, theirs, inputs in pairs:
        torch.testing.assert_close(ours, theirs)
        grad = torch.randn_like(ours)
        for a, b in zip(
            torch.autograd.grad(ours, inputs, grad), torch.autograd.grad(theirs, inputs, grad), strict=True
        ):
            torch.testing.assert_close(a, b)
