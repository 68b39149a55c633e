"""Training shapes, packed in memory, and batches of them."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding, max_pool3d

from rasgan.blocks import blocks_of, voxels_of
from rasgan.errors import UserError
from rasgan.metrics import mirror_iou
from rasgan.packed_grids import PackedGrids
from rasgan.training.config import TrainConfig


class DataMark(NamedTuple):
    """Number and digest of the training shapes, which checkpoints contain."""

    count: int
    digest: str  # of the voxels, in the order of the shapes


MIRROR_IOU = 0.8
"""Chairs of ModelNet10 and the sample chairs have 0.93 and 1.00 in the middle of the grid, and the sample
chairs 0.20 in the tutorial's place, against the grid's first layers."""

MIRRORED_SHAPES = 500
COUNTED_SHAPES = 256


class Shapes:
    """All shapes that are trained on, a byte for each block of 2x2x2 voxels (36 KB a shape at 64³).

    Made from (N, n, n, n) bools, or from grids that are packed. The bytes lie on `device`, where the batches
    are made; `value` is that of an occupied voxel in a batch, an empty one is 0.
    """

    def __init__(
        self, occupied: np.ndarray | PackedGrids, device: torch.device | str = "cpu", value: float = 1.0
    ) -> None:
        if not isinstance(occupied, PackedGrids):
            occupied = PackedGrids.of(occupied)
        self.occupied = occupied  # in the memory of the processor; indexed, they are bools
        self.packed = torch.from_numpy(occupied.content).to(device)  # (N, n/2 + 1, n/2 + 1, n/2 + 1) uint8
        bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
        self.voxels_of_byte = value * torch.from_numpy(bits).to(device, torch.float32)  # (256, 8)

    def __len__(self) -> int:
        return len(self.packed)

    @property
    def device(self) -> torch.device:
        """Where the bytes lie."""
        return self.packed.device

    @property
    def mark(self) -> DataMark:
        """Their number and the digest of their bytes."""
        return DataMark(len(self), self.occupied.digest)

    def blocks(self, indices: Tensor, resolution: int | None = None) -> Tensor:
        """Unpack the shapes at (B,) `indices` to blocks (`rasgan.blocks.blocks_of`), float32.

        With a lower `resolution`, max-pool them to it first.
        """
        bytes_ = self.packed[indices]
        blocks = embedding(bytes_.int(), self.voxels_of_byte).permute(0, 4, 1, 2, 3)
        edge = 2 * self.packed.shape[1] - 2
        if resolution in (None, edge):
            return blocks
        return blocks_of(max_pool3d(voxels_of(blocks), edge // resolution))

    def batch(self, indices: Tensor) -> Tensor:
        """Unpack the shapes at (B,) `indices` to (B, 1, n, n, n) float32."""
        return voxels_of(self.blocks(indices))


def check_mirror(config: TrainConfig, shapes: Shapes) -> None:
    """Raise UserError if a mirroring generator could not make shapes like these.

    That is, if their mean intersection / union with their mirror image along axis 0, over `MIRRORED_SHAPES`
    of them at most, is under `MIRROR_IOU`.
    """
    if not config.mirror:
        return
    found = np.mean([mirror_iou(shapes.occupied[index]) for index in _spread(shapes, MIRRORED_SHAPES)])
    if found < MIRROR_IOU:
        raise UserError(
            f"the shapes are not like their mirror images along axis 0: IoU {found:.2f} on average, and a "
            f"mirroring generator needs {MIRROR_IOU}.",
            about="not mirrored",
        )


def occupied_share(shapes: Shapes) -> float:
    """Return the share of voxels that are occupied, of `COUNTED_SHAPES` shapes at most."""
    return shapes.occupied[_spread(shapes, COUNTED_SHAPES)].mean()


def _spread(shapes: Shapes, at_most: int) -> np.ndarray:
    """Return the indices of some shapes from the whole set, in even steps."""
    return np.linspace(0, len(shapes) - 1, min(len(shapes), at_most)).astype(int)
