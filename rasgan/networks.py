"""The generator and the discriminator of the tutorial: a 3D-GAN (Wu et al. 2016) with batch normalization.

As in jpjuvo/64-3D-RaSGAN, 64-3D-RaSGan.py: kernel size 4, stride 2, TensorFlow's "same" padding (padding 1 in
PyTorch), weights from N(0, 0.02), biases 0, and both outputs linear.
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
BASE_RESOLUTION = 4  # edge of the generator's first grid, the output of its dense layer
WEIGHT_STD = 0.02
NORM_SCALE_STD = {"generator": 0.02, "discriminator": 0.002}  # TensorLayer 1.9's default for the second
NORM_MOMENTUM = 0.1  # weight of the new batch; TensorFlow's decay of 0.9
NORM_EPS = 1e-5
LEAKY_SLOPE = 0.2


def channel_counts(width: int, resolution: int, min_width: int = 1) -> list[int]:
    """Return the number of channels at each resolution of the generator, coarse to fine.

    Each level doubles the resolution and halves the channels, down to `min_width`. For example,
    ``channel_counts(512, 64)`` is ``[512, 256, 128, 64]`` at 4³, 8³, 16³ and 32³. The discriminator has the
    same numbers in reverse. Raises ValueError if `resolution` is not 8, 16, 32, ..., or `width` cannot be
    halved often enough.
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
        Channels of the first, coarsest grid; each following grid has half as many.
    resolution : int
        Edge of the generated grid in voxels.
    output : {"linear", "sigmoid"}
        Activation of the last layer. The tutorial's is linear; a voxel is occupied above 0.3.
    min_width : int
        Minimum number of channels of any grid.
    filters : functions of blocks, (N, 8, m, m, m) each
        Applied to the logits before `output`: `blocks.blurred`, `blocks.mirror_mean`.
    mapping_layers : int
        Fully connected layers before the dense layer, the mapping network of Karras et al. 2019. The latent
        space has no gaps, but the variety of real shapes does. These layers can map most latent vectors away
        from the gaps, so that fewer shapes are blends of two kinds.
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
        self, z: Tensor, as_blocks: bool = False, with_logits: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Map latent vectors `z`, (N, 200), to (N, 1, n, n, n) scores, or to their blocks (`blocks_of`).

        With `with_logits`, also return the logits: the blocks before `output`, whose padding is not zero. The
        padding of the scores is set to zero (`inside`), as the discriminator's first layer needs it.
        """
        x = self.dense(self.mapping(z)).unflatten(1, self.base_shape)  # (N, 512, 4, 4, 4)
        x = x.contiguous(memory_format=torch.channels_last_3d)
        x = functional.relu(self.norms[0](x), inplace=True)
        for deconv, norm in zip(self.deconvs, self.norms[1:], strict=True):
            # (N, 256, 8, 8, 8), (N, 128, 16, 16, 16), (N, 64, 32, 32, 32)
            x = functional.relu(norm(deconv(x)), inplace=True)
        logits = self.to_voxels(x)  # (N, 8, 33, 33, 33)
        for filtered in self.filters:
            logits = filtered(logits)
        blocks = self.output(logits) * self.inside.to(x.dtype)
        shapes = blocks if as_blocks else voxels_of(blocks)  # (N, 1, 64, 64, 64)
        return (shapes, logits) if with_logits else shapes


class Discriminator(nn.Module):
    """Map voxel grids to critic scores: unbounded, higher means more realistic.

    Parameters
    ----------
    width, resolution, min_width : int
        As for the `Generator`, whose layers it has in reverse order.
    norm : {"batch", "none"}
        Normalization after every convolution but the first.
    init : {"normal", "scaled"}
        Initial weights: N(0, 0.02), or scaled by the number of inputs of each layer (He et al. 2015), which
        keeps the scores of narrow networks without normalization from starting near 0.
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
        x = self.from_voxels(as_blocks(shapes))  # (N, 64, 32, 32, 32)
        x = functional.leaky_relu(x, LEAKY_SLOPE, inplace=True)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(conv(x))  # (N, 128, 16, 16, 16), (N, 256, 8, 8, 8), (N, 512, 4, 4, 4)
            x = functional.leaky_relu(x, LEAKY_SLOPE, inplace=True)
        return self.dense(x.flatten(1)).squeeze(1)


def mapping_network(layers: int) -> nn.Sequential:
    """Return fully connected layers that map (N, 200) to (N, 200); the identity for 0 layers."""
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
    """Draw weights from N(0, 0.02) and batch-norm scales from N(1, `norm_scale_std`); set biases to 0."""
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif parameter.dim() == 1:
            nn.init.normal_(parameter, 1.0, norm_scale_std)
        else:
            nn.init.normal_(parameter, 0.0, WEIGHT_STD)


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


@contextmanager
def inference(network: nn.Module) -> Iterator[None]:
    """Set `network` to evaluation mode and restore its previous mode afterwards."""
    mode = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(mode)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Disable gradients of the parameters of `network` inside the block."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
