"""The generator and the discriminator of the tutorial: a 3D-GAN (Wu et al. 2016) with batch normalization.

Measured from jpjuvo/64-3D-RaSGAN, 64-3D-RaSGan.py: kernel 4, stride 2, TensorFlow's 'same' padding (which is
padding 1 here), weights N(0, 0.02), biases 0, both outputs linear.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from rasgan.blocks import (
    ConvFromOneChannel,
    ConvTransposeToOneChannel,
    as_blocks,
    blocks_of,
    voxels_of,
)

LATENT_SIZE = 200
BASE_RESOLUTION = 4  # edge of the grid that the generator's dense layer fills, in voxels
WEIGHT_STD = 0.02
NORM_SCALE_STD = {"generator": 0.02, "discriminator": 0.002}  # TensorLayer 1.9's default for the second
NORM_MOMENTUM = 0.1  # torch counts the share of the new batch: TensorFlow's decay of 0.9
NORM_EPS = 1e-5
LEAKY_SLOPE = 0.2


def channel_counts(width: int, resolution: int, min_width: int = 1) -> list[int]:
    """List the channels of the generator's hidden grids, coarse to fine; the discriminator mirrors them.

    Each level doubles the resolution and halves the channels: ``channel_counts(512, 64)`` is
    ``[512, 256, 128, 64]`` at 4³, 8³, 16³ and 32³. They stop halving at `min_width`. ValueError if
    `resolution` is not 4 times a power of two from 8 on, or `width` cannot be halved often enough.
    """
    levels = (resolution // BASE_RESOLUTION).bit_length() - 1
    if levels < 1 or resolution != BASE_RESOLUTION << levels:
        raise ValueError(f"resolution must be 8, 16, 32, 64, 128, ...: {resolution}")
    if width < 1 or width % (1 << (levels - 1)):
        raise ValueError(
            f"at resolution {resolution} the width must be a multiple of {1 << (levels - 1)}: {width}"
        )
    return [max(width >> level, min(min_width, width)) for level in range(levels)]


class Generator(nn.Module):
    """Map latent vectors to voxel grids.

    Parameters
    ----------
    width : int
        Channels of the first, coarsest grid; the others follow by halves.
    resolution : int
        Edge of the generated grid in voxels.
    output : {"linear", "sigmoid"}
        What the last layer's sums pass through. The tutorial's output is linear; occupied means above 0.3.
    min_width : int
        Where the channels stop halving.
    filters : functions of blocks, (N, 8, m, m, m) each
        What the last layer's sums pass before `output`: `blocks.blurred`, `blocks.mirror_mean`.
    mapping_layers : int
        Fully connected layers between the latent vectors and the dense layer, the mapping network of Karras
        et al. 2019. Normal numbers fill their space without a gap, kinds of chairs do not: these layers can
        make the way from one kind to another short, so that few shapes fall in between.
    """

    def __init__(
        self,
        width: int = 512,
        resolution: int = 64,
        output: str = "linear",
        min_width: int = 1,
        filters: Sequence[Callable[[Tensor], Tensor]] = (),
        mapping_layers: int = 0,
    ) -> None:
        super().__init__()
        self.output = {"linear": nn.Identity, "sigmoid": nn.Sigmoid}[output]()
        self.filters = tuple(filters)
        channels = channel_counts(width, resolution, min_width)
        self.base_shape = (width, BASE_RESOLUTION, BASE_RESOLUTION, BASE_RESOLUTION)
        self.dense = nn.Linear(LATENT_SIZE, width * BASE_RESOLUTION**3)
        self.norms = nn.ModuleList(batch_norm(c) for c in channels)
        self.deconvs = nn.ModuleList(
            nn.ConvTranspose3d(c_in, c_out, kernel_size=4, stride=2, padding=1)
            for c_in, c_out in itertools.pairwise(channels)
        )
        self.to_voxels = ConvTransposeToOneChannel(channels[-1])
        self.register_buffer("inside", blocks_of(torch.ones(1, 1, *(resolution,) * 3)), persistent=False)
        initialize(self, NORM_SCALE_STD["generator"])
        self.mapping = mapping_network(mapping_layers)

    def forward(
        self, z: Tensor, as_blocks: bool = False, with_sums: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Map `z`, (N, 200) normal numbers, to (N, 1, n, n, n) scores, or to their blocks (`blocks_of`).

        With sums, those that the output function got come second, in blocks whose padding is not zero.
        """
        x = self.dense(self.mapping(z)).unflatten(1, self.base_shape)  # (N, 512, 4, 4, 4)
        x = x.contiguous(memory_format=torch.channels_last_3d)
        x = functional.relu(self.norms[0](x), inplace=True)
        for deconv, norm in zip(self.deconvs, self.norms[1:], strict=True):
            x = functional.relu(
                norm(deconv(x)), inplace=True
            )  # (N, 256, 8, 8, 8), (N, 128, 16, 16, 16), (N, 64, 32, 32, 32)
        sums = self.to_voxels(x)  # (N, 8, 33, 33, 33)
        for filtered in self.filters:
            sums = filtered(sums)
        blocks = self.output(sums) * self.inside.to(x.dtype)
        shapes = blocks if as_blocks else voxels_of(blocks)  # (N, 1, 64, 64, 64)
        return (shapes, sums) if with_sums else shapes


class Discriminator(nn.Module):
    """Return each voxel grid a critic score: unbounded, higher for what looks real.

    Parameters
    ----------
    width, resolution, min_width : int
        As for the `Generator`, which it mirrors.
    norm : {"batch", "none"}
        Normalization after every convolution but the first.
    init : {"normal", "scaled"}
        How weights start: from N(0, 0.02), or scaled by the inputs of their layer (He et al. 2015), so that
        without normalization the scores of narrow networks do not start near 0.
    """

    def __init__(
        self,
        width: int = 512,
        resolution: int = 64,
        norm: str = "batch",
        init: str = "normal",
        min_width: int = 1,
    ) -> None:
        super().__init__()
        channels = channel_counts(width, resolution, min_width)[::-1]
        layer = {"batch": batch_norm, "none": lambda _: nn.Identity()}[norm]
        self.from_voxels = ConvFromOneChannel(channels[0])
        self.convs = nn.ModuleList(
            nn.Conv3d(c_in, c_out, kernel_size=4, stride=2, padding=1)
            for c_in, c_out in itertools.pairwise(channels)
        )
        self.norms = nn.ModuleList(layer(c) for c in channels[1:])
        self.dense = nn.Linear(width * BASE_RESOLUTION**3, 1)
        initialize(self, NORM_SCALE_STD["discriminator"])
        if init == "scaled":
            for layer in (self.from_voxels, *self.convs):
                nn.init.kaiming_normal_(layer.weight, LEAKY_SLOPE)
            nn.init.kaiming_normal_(self.dense.weight, nonlinearity="linear")
        elif init != "normal":
            raise ValueError(f"init must be normal or scaled: {init}")

    def forward(self, shapes: Tensor) -> Tensor:
        """Map (N, 1, n, n, n) voxels, or their blocks (`blocks_of`), to (N,) critic scores."""
        x = functional.leaky_relu(
            self.from_voxels(as_blocks(shapes)), LEAKY_SLOPE, inplace=True
        )  # (N, 64, 32, 32, 32)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = functional.leaky_relu(
                norm(conv(x)), LEAKY_SLOPE, inplace=True
            )  # (N, 128, 16, 16, 16) ... (N, 512, 4, 4, 4)
        return self.dense(x.flatten(1)).squeeze(1)


def mapping_network(layers: int) -> nn.Sequential:
    """Return `layers` layers that map latent vectors to others; none leaves them as they are."""
    mapping = nn.Sequential()
    for _ in range(layers):
        linear = nn.Linear(LATENT_SIZE, LATENT_SIZE)
        nn.init.kaiming_normal_(linear.weight, LEAKY_SLOPE)
        nn.init.zeros_(linear.bias)
        mapping.extend((linear, nn.LeakyReLU(LEAKY_SLOPE)))
    return mapping


def batch_norm(channels: int) -> nn.BatchNorm3d:
    """Return the batch normalization of both networks."""
    return nn.BatchNorm3d(channels, eps=NORM_EPS, momentum=NORM_MOMENTUM)


def initialize(network: nn.Module, norm_scale_std: float) -> None:
    """Draw all weights from N(0, 0.02) and batch-norm scales from N(1, `norm_scale_std`); biases are 0."""
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif parameter.dim() == 1:
            nn.init.normal_(parameter, 1.0, norm_scale_std)
        else:
            nn.init.normal_(parameter, 0.0, WEIGHT_STD)


def count_parameters(network: nn.Module) -> int:
    """Count the trained numbers of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


@contextmanager
def inference(network: nn.Module) -> Iterator[None]:
    """Put `network` into inference mode and back into the mode it was in."""
    mode = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(mode)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Keep autograd from computing gradients for the weights of `network`."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
