"""The generator and the discriminator of the tutorial: a 3D-GAN (Wu et al. 2016) with batch normalisation.

Measured from jpjuvo/64-3D-RaSGAN, 64-3D-RaSGan.py: kernel 4, stride 2, TensorFlow's 'same' padding (which is
padding 1 here), weights N(0, 0.02), biases 0, both outputs linear.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from rasgan.training import distributed

LATENT_SIZE = 200
BASE_RESOLUTION = 4  # edge of the grid that the generator's dense layer fills, in voxels
RESOLUTIONS = (32, 64, 128)
WEIGHT_STD = 0.02
NORM_SCALE_STD = {"generator": 0.02, "discriminator": 0.002}  # TensorLayer 1.9's default for the second
NORM_MOMENTUM = 0.1  # torch counts the share of the new batch: TensorFlow's decay of 0.9
NORM_EPS = 1e-5
LEAKY_SLOPE = 0.2


def channel_counts(width: int, resolution: int) -> list[int]:
    """List the channels of the generator's hidden grids, coarse to fine; the discriminator mirrors them.

    Each level doubles the resolution and halves the channels: ``channel_counts(512, 64)`` is
    ``[512, 256, 128, 64]`` at 4, 8, 16 and 32 cubed.

    Raises
    ------
    ValueError
        If `resolution` is not 4 times a power of two from 8 on, or `width` cannot be halved often enough.
    """
    levels = (resolution // BASE_RESOLUTION).bit_length() - 1
    if levels < 1 or resolution != BASE_RESOLUTION << levels:
        raise ValueError(f"resolution must be 8, 16, 32, 64, 128, ...: {resolution}")
    if width < 1 or width % (1 << (levels - 1)):
        raise ValueError(
            f"at resolution {resolution} the width must be a multiple of {1 << (levels - 1)}: {width}"
        )
    return [width >> level for level in range(levels)]


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
    """

    def __init__(self, width: int = 512, resolution: int = 64, output: str = "linear") -> None:
        super().__init__()
        self.output = {"linear": nn.Identity, "sigmoid": nn.Sigmoid}[output]()
        channels = channel_counts(width, resolution)
        self.base_shape = (width, BASE_RESOLUTION, BASE_RESOLUTION, BASE_RESOLUTION)
        self.dense = nn.Linear(LATENT_SIZE, width * BASE_RESOLUTION**3)
        self.norms = nn.ModuleList(BatchNorm(c) for c in channels)
        self.deconvs = nn.ModuleList(
            nn.ConvTranspose3d(c_in, c_out, kernel_size=4, stride=2, padding=1)
            for c_in, c_out in itertools.pairwise(channels)
        )
        self.to_voxels = ConvTransposeToOneChannel(channels[-1])
        self.register_buffer("inside", blocks_of(torch.ones(1, 1, *(resolution,) * 3)), persistent=False)
        initialise(self, NORM_SCALE_STD["generator"])

    def forward(self, z: Tensor, as_blocks: bool = False) -> Tensor:
        """Map `z`, (N, 200) normal numbers, to (N, 1, n, n, n) scores, or to their blocks (`blocks_of`)."""
        x = self.dense(z).unflatten(1, self.base_shape)  # (N, 512, 4, 4, 4)
        x = x.contiguous(memory_format=torch.channels_last_3d)
        x = functional.relu(self.norms[0](x), inplace=True)
        for deconv, norm in zip(self.deconvs, self.norms[1:], strict=True):
            x = functional.relu(
                norm(deconv(x)), inplace=True
            )  # (N, 256, 8, 8, 8), (N, 128, 16, 16, 16), (N, 64, 32, 32, 32)
        blocks = self.output(self.to_voxels(x)) * self.inside.to(x.dtype)  # (N, 8, 33, 33, 33)
        return blocks if as_blocks else voxels_of(blocks)  # (N, 1, 64, 64, 64)


class Discriminator(nn.Module):
    """Give each voxel grid a critic score: unbounded, higher for what looks real.

    Parameters
    ----------
    width, resolution : int
        As for the `Generator`, which it mirrors.
    norm : {"batch", "none"}
        Normalisation after every convolution but the first.
    init : {"normal", "scaled"}
        How weights start: from N(0, 0.02), or scaled by the inputs of their layer (He et al. 2015), so that
        without normalisation the scores of narrow networks do not start near 0.
    """

    def __init__(
        self, width: int = 512, resolution: int = 64, norm: str = "batch", init: str = "normal"
    ) -> None:
        super().__init__()
        channels = channel_counts(width, resolution)[::-1]
        layer = {"batch": BatchNorm, "none": lambda _: nn.Identity()}[norm]
        self.from_voxels = ConvFromOneChannel(channels[0])
        self.convs = nn.ModuleList(
            nn.Conv3d(c_in, c_out, kernel_size=4, stride=2, padding=1)
            for c_in, c_out in itertools.pairwise(channels)
        )
        self.norms = nn.ModuleList(layer(c) for c in channels[1:])
        self.dense = nn.Linear(width * BASE_RESOLUTION**3, 1)
        initialise(self, NORM_SCALE_STD["discriminator"])
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


class ConvFromOneChannel(nn.Module):
    """``Conv3d(1, channels, kernel_size=4, stride=2, padding=1)``, computed on the input's blocks.

    Libraries are slow at one channel. On eight channels the kernel, cut into blocks like the voxels, is of
    size 2 and stride 1. Same parameters, same sums.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, 4, 4, 4))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, blocks: Tensor) -> Tensor:
        """Map the blocks of (N, 1, n, n, n) voxels to (N, channels, n/2, n/2, n/2)."""
        return functional.conv3d(blocks, fold(self.weight), self.bias)


class ConvTransposeToOneChannel(nn.Module):
    """``ConvTranspose3d(channels, 1, kernel_size=4, stride=2, padding=1)``, as blocks of its output.

    The mirror of `ConvFromOneChannel`: each of the n + 1 blocks a side of the padded output sums over two
    neighbouring inputs, the kernel's halves in reversed order. The padding is not zero yet.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, 4, 4, 4))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, n, n, n) to blocks of (N, 1, 2n, 2n, 2n) voxels."""
        kernel = fold(self.weight).flip(2, 3, 4).transpose(0, 1)  # (8, channels, 2, 2, 2)
        return functional.conv3d(x, kernel, self.bias.expand(8), padding=1)  # (N, 8, n + 1, n + 1, n + 1)


def blocks_of(voxels: Tensor) -> Tensor:
    """Pad (N, 1, n, n, n) voxels by 1 and move each 2x2x2 block into eight channels: (N, 8, n/2 + 1, ...).

    In this form shapes go from the data and the generator to the discriminator, whose first layer wants it.
    """
    return fold(functional.pad(voxels, (1,) * 6)).contiguous(memory_format=torch.channels_last_3d)


def voxels_of(blocks: Tensor) -> Tensor:
    """Undo `blocks_of`."""
    return unfold(blocks)[:, :, 1:-1, 1:-1, 1:-1]


def as_blocks(shapes: Tensor) -> Tensor:
    """Give the blocks of voxels, or blocks as they are."""
    return shapes if shapes.shape[1] == 8 else blocks_of(shapes)


def as_voxels(shapes: Tensor) -> Tensor:
    """Give the voxels of blocks, or voxels as they are."""
    return shapes if shapes.shape[1] == 1 else voxels_of(shapes)


def fold(x: Tensor) -> Tensor:
    """Move each 2x2x2 block into eight channels: (N, 1, 2m, 2m, 2m) to (N, 8, m, m, m)."""
    m = x.shape[-1] // 2
    x = x.reshape(-1, m, 2, m, 2, m, 2)  # fine index = 2 * coarse + bit, along each axis
    return x.permute(0, 2, 4, 6, 1, 3, 5).reshape(-1, 8, m, m, m)


def unfold(blocks: Tensor) -> Tensor:
    """Undo `fold`: (N, 8, m, m, m) to (N, 1, 2m, 2m, 2m)."""
    m = blocks.shape[-1]
    x = blocks.reshape(-1, 2, 2, 2, m, m, m).permute(0, 4, 1, 5, 2, 6, 3)
    return x.reshape(-1, 1, 2 * m, 2 * m, 2 * m)


def initialise(network: nn.Module, norm_scale_std: float) -> None:
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


class BatchNorm(nn.BatchNorm3d):
    """Batch normalisation by the statistics of the whole batch, also where several processes share it."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=NORM_EPS, momentum=NORM_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, n, n, n) over all but the channels."""
        if not self.training or distributed.size() == 1:
            return super().forward(x)
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = torch.var_mean(values, (0, 2, 3, 4), correction=0)
        mean, square = distributed.average(torch.stack((mean, variance + mean.square())))  # E[x], E[x^2]
        variance = square - mean.square()
        self._follow(mean.detach(), variance.detach(), x.numel() // x.shape[1] * distributed.size())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        scale, shift = (v.view(-1, 1, 1, 1) for v in (scale, self.bias - mean * scale))
        return (values * scale + shift).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
