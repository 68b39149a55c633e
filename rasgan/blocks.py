"""Voxels in blocks of 2x2x2: the layout that makes the two one-channel layers fast.

Libraries are slow at one channel. With padding 1, kernel 4 and stride 2, every sum of such a layer runs over
whole blocks, so that a grid of blocks with eight channels, and a kernel of size 2, give the same sums::

    voxel        . 0 1 2 3 .        . is the padding
    block        |---|---|---|      n voxels a side become n/2 + 1 blocks
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


def blocks_of(voxels: Tensor) -> Tensor:
    """Pad (N, 1, n, n, n) voxels by 1 and move each 2x2x2 block into eight channels: (N, 8, n/2 + 1, ...).

    In this form shapes go from the data and the generator to the discriminator, whose first layer wants it.
    """
    return fold(functional.pad(voxels, (1,) * 6)).contiguous(memory_format=torch.channels_last_3d)


def voxels_of(blocks: Tensor) -> Tensor:
    """Undo `blocks_of`."""
    return unfold(blocks)[:, :, 1:-1, 1:-1, 1:-1]


def as_blocks(shapes: Tensor) -> Tensor:
    """Return the blocks of voxels, or blocks as they are."""
    return shapes if shapes.shape[1] == 8 else blocks_of(shapes)


def as_voxels(shapes: Tensor) -> Tensor:
    """Return the voxels of blocks, or voxels as they are."""
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


def mirrored(blocks: Tensor) -> Tensor:
    """Return the blocks of the voxels' mirror image along axis 0 (left and right), (N, 8, m, m, m).

    Counted with its padding, voxel 2j + b of n + 2 goes to n + 1 - (2j + b): block j to m - 1 - j, and the
    four voxels of its one side to the other.
    """
    return blocks.unflatten(1, (2, 4)).flip(1, 3).flatten(1, 2)


def mirror_mean(blocks: Tensor) -> Tensor:
    """Average each voxel with its mirror image along axis 0, so that left is like right: (N, 8, m, m, m)."""
    return (blocks + mirrored(blocks)) / 2


def blurred(blocks: Tensor) -> Tensor:
    """Average each voxel with its neighbors, by 1, 2, 1 along each axis: (N, 8, m, m, m).

    Zhang 2019's filter of second order, which Karras et al. 2019 put behind each upsampling layer. The
    padding is read as it is, and is zero afterwards.
    """
    voxels = unfold(blocks)
    for axis in (2, 3, 4):
        before, here, after = (voxels.narrow(axis, start, voxels.shape[axis] - 2) for start in range(3))
        voxels = (before + 2 * here + after) / 4
    return blocks_of(voxels)


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
    neighboring inputs, the kernel's halves in reversed order. The padding is not zero yet.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, 4, 4, 4))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, n, n, n) to blocks of (N, 1, 2n, 2n, 2n) voxels."""
        kernel = fold(self.weight).flip(2, 3, 4).transpose(0, 1)  # (8, channels, 2, 2, 2)
        return functional.conv3d(x, kernel, self.bias.expand(8), padding=1)  # (N, 8, n + 1, n + 1, n + 1)
