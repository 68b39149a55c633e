"""Shapes become batches: all of them are kept in memory, a bit a voxel."""

import functools
import hashlib
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from rasgan.blocks import voxels_of
from rasgan.errors import UserError
from rasgan.metrics import mirror_iou
from rasgan.training.config import TrainConfig


class DataMark(NamedTuple):
    """What tells shapes from others: a checkpoint keeps it."""

    count: int
    digest: str  # of the voxels, in the order of the shapes


MIRROR_IOU = 0.8
"""Chairs of ModelNet10 and the sample chairs have 0.93 and 1.00 in the middle of the grid, and the sample
chairs 0.20 in the tutorial's place, against the grid's first layers."""

MIRRORED_SHAPES = 500
COUNTED_SHAPES = 256


class Shapes:
    """All shapes that are trained on, a byte for each block of 2x2x2 voxels (36 KB a shape at 64³).

    Made from (N, n, n, n) bools. The bytes lie on `device`, where the batches are made; `value` is that of an
    occupied voxel in a batch, an empty one is 0.
    """

    def __init__(self, occupied: np.ndarray, device: torch.device | str = "cpu", value: float = 1.0) -> None:
        packed = np.stack([pack(grid) for grid in occupied])
        self.packed = torch.from_numpy(packed).to(device)  # (N, n/2 + 1, n/2 + 1, n/2 + 1) uint8
        bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
        self.voxels_of_byte = value * torch.from_numpy(bits).to(device, torch.float32)  # (256, 8)

    def __len__(self) -> int:
        return len(self.packed)

    @property
    def device(self) -> torch.device:
        """Where the bytes lie."""
        return self.packed.device

    @functools.cached_property
    def mark(self) -> DataMark:
        """Their number and the BLAKE2 digest of their bytes."""
        content = np.ascontiguousarray(self.packed.cpu().numpy())
        return DataMark(len(self), hashlib.blake2b(content, digest_size=16).hexdigest())

    @functools.cached_property
    def occupied(self) -> np.ndarray:
        """All shapes as (N, n, n, n) bools in the memory of the processor, a byte a voxel, unpacked once."""
        edge = 2 * self.packed.shape[1] - 2
        occupied = np.empty((len(self), edge, edge, edge), dtype=bool)
        for grid, packed in zip(occupied, self.packed.cpu().numpy(), strict=True):
            grid[...] = unpack(packed)
        return occupied

    def blocks(self, indices: Tensor) -> Tensor:
        """Unpack the shapes at (B,) `indices` to blocks (`rasgan.blocks.blocks_of`), float32."""
        bytes_ = self.packed[indices]
        return embedding(bytes_.int(), self.voxels_of_byte).permute(0, 4, 1, 2, 3)

    def batch(self, indices: Tensor) -> Tensor:
        """Unpack the shapes at (B,) `indices` to (B, 1, n, n, n) float32."""
        return voxels_of(self.blocks(indices))


def pack(grid: np.ndarray) -> np.ndarray:
    """Pad an (n, n, n) bool grid by 1 and make each 2x2x2 block a byte: (n/2 + 1, ...) uint8."""
    m = grid.shape[0] // 2 + 1
    blocks = np.pad(grid, 1).reshape(m, 2, m, 2, m, 2).transpose(0, 2, 4, 1, 3, 5)
    return np.packbits(blocks.reshape(m, m, m, 8), axis=3)[..., 0]


def unpack(packed: np.ndarray) -> np.ndarray:
    """Undo `pack`."""
    m = packed.shape[0]
    bits = np.unpackbits(packed[..., None], axis=3).view(bool).reshape(m, m, m, 2, 2, 2)
    return bits.transpose(0, 3, 1, 4, 2, 5).reshape(2 * m, 2 * m, 2 * m)[1:-1, 1:-1, 1:-1]


def check_mirror(config: TrainConfig, shapes: Shapes) -> None:
    """Raise UserError if a mirroring generator could not make shapes like these.

    That is, if their mean intersection / union with their mirror image along axis 0, over `MIRRORED_SHAPES`
    of them at most, is under `MIRROR_IOU`.
    """
    if not config.mirror:
        return
    found = np.mean([mirror_iou(unpack(packed)) for packed in _spread(shapes, MIRRORED_SHAPES)])
    if found < MIRROR_IOU:
        raise UserError(
            f"the shapes are not like their mirror images along axis 0: IoU {found:.2f} on average, and a "
            f"mirroring generator needs {MIRROR_IOU}.",
            about="not mirrored",
        )


def occupied_share(shapes: Shapes) -> float:
    """Return the share of voxels that are occupied, of `COUNTED_SHAPES` shapes at most."""
    packed = _spread(shapes, COUNTED_SHAPES)
    edge = 2 * packed.shape[1] - 2
    return np.unpackbits(packed).sum() / (len(packed) * edge**3)


def _spread(shapes: Shapes, at_most: int) -> np.ndarray:
    """Return the bytes of some shapes from the whole set, in even steps."""
    chosen = np.linspace(0, len(shapes) - 1, min(len(shapes), at_most)).astype(int)
    return shapes.packed[chosen].cpu().numpy()
