"""Blocks of 2x2x2 voxels: a layout that makes the networks' two one-channel layers fast.

Convolution libraries are slow for tensors of one channel. With kernel size 4, stride 2 and padding 1, every
output of such a layer is a sum over whole 2x2x2 blocks of the padded grid. The same sums are computed by a
kernel of size 2 on a grid of blocks with eight channels::

    voxel        . 0 1 2 3 .        "." is the padding
    block        |---|---|---|      n voxels along an edge become n/2 + 1 blocks
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


def blocks_of(voxels: Tensor) -> Tensor:
    """Pad (N, 1, n, n, n) voxels by 1 and move each 2x2x2 block into eight channels: (N, 8, n/2 + 1, ...).

    Shapes go in this form from the data and from the generator to the discriminator's first layer.
    """
    return fold(functional.pad(voxels, (1,) * 6)).contiguous(memory_format=torch.channels_last_3d)


def voxels_of(blocks: Tensor) -> Tensor:
    """Invert `blocks_of`."""
    return unfold(blocks)[:, :, 1:-1, 1:-1, 1:-1]


def as_blocks(shapes: Tensor) -> Tensor:
    """Convert (N, 1, n, n, n) voxels to blocks; return blocks unchanged."""
    return shapes if shapes.shape[1] == 8 else blocks_of(shapes)


def as_voxels(shapes: Tensor) -> Tensor:
    """Convert blocks to (N, 1, n, n, n) voxels; return voxels unchanged."""
    return shapes if shapes.shape[1] == 1 else voxels_of(shapes)


def fold(x: Tensor) -> Tensor:
    """Move each 2x2x2 block into eight channels: (N, 1, 2m, 2m, 2m) to (N, 8, m, m, m)."""
    m = x.shape[-1] // 2
    x = x.reshape(-1, m, 2, m, 2, m, 2)  # index of a voxel = 2 * index of its block + 0 or 1, on each axis
    return x.permute(0, 2, 4, 6, 1, 3, 5).reshape(-1, 8, m, m, m)


def unfold(blocks: Tensor) -> Tensor:
    """Invert `fold`: (N, 8, m, m, m) to (N, 1, 2m, 2m, 2m)."""
    m = blocks.shape[-1]
    x = blocks.reshape(-1, 2, 2, 2, m, m, m).permute(0, 4, 1, 5, 2, 6, 3)
    return x.reshape(-1, 1, 2 * m, 2 * m, 2 * m)


def mirrored(blocks: Tensor, axis: int) -> Tensor:
    """Return the blocks of the mirror image along axis 0, 1 or 2 of the grid, (N, 8, m, m, m).

    Voxel 2j + b of the padded grid moves to 2m - 1 - (2j + b) = 2(m - 1 - j) + (1 - b): the order of the
    blocks is reversed, and so are the two halves of each block.
    """
    reversed_ = blocks.permute(0, 2, 3, 4, 1).flip(1 + axis)  # channels last, as they lie in memory
    halves = reversed_.unflatten(4, (1 << axis, 2, 4 >> axis)).roll(1, dims=5)
    return halves.flatten(4).permute(0, 4, 1, 2, 3)


def mirror_mean(blocks: Tensor, axis: int) -> Tensor:
    """Average each voxel with its mirror image along an axis of the grid, (N, 8, m, m, m)."""
    return (blocks + mirrored(blocks, axis)) / 2


def blurred(blocks: Tensor) -> Tensor:
    """Average each voxel with its neighbors, weighted 1, 2, 1 along each axis: (N, 8, m, m, m).

    The binomial filter of Zhang 2019, which Karras et al. 2019 apply after each upsampling layer. The values
    in the padding are used as they are; afterwards the padding is zero.
    """
    voxels = unfold(blocks)
    for axis in (2, 3, 4):
        before, here, after = (voxels.narrow(axis, start, voxels.shape[axis] - 2) for start in range(3))
        voxels = (before + 2 * here + after) / 4
    return blocks_of(voxels)


class ConvFromOneChannel(nn.Module):
    """``Conv3d(1, channels, kernel_size=4, stride=2, padding=1)``, computed on the input's blocks.

    The parameters and the results are the same; the kernel of size 4 becomes one of size 2 on eight channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, 4, 4, 4))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, blocks: Tensor) -> Tensor:
        """Map the blocks of (N, 1, n, n, n) voxels to (N, channels, n/2, n/2, n/2)."""
        return functional.conv3d(blocks, fold(self.weight), self.bias)


class ConvTransposeToOneChannel(nn.Module):
    """``ConvTranspose3d(channels, 1, kernel_size=4, stride=2, padding=1)``, computed as blocks of its output.

    The mirror of `ConvFromOneChannel`: each of the n + 1 output blocks along an edge is a sum over two
    neighboring inputs, with the halves of the kernel in reversed order. The output's padding is not zero.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, 4, 4, 4))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, n, n, n) to blocks of (N, 1, 2n, 2n, 2n) voxels."""
        kernel = fold(self.weight).flip(2, 3, 4).transpose(0, 1)  # (8, channels, 2, 2, 2)
        return functional.conv3d(x, kernel, self.bias.expand(8), padding=1)  # (N, 8, n + 1, n + 1, n + 1)
