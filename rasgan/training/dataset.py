"""Training shapes, kept in memory at one bit per voxel, and batches of them."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding, max_pool3d

from rasgan.blocks import blocks_of, voxels_of
from rasgan.metrics import mirror_iou
from rasgan.packed_grids import PackedGrids
from rasgan.training.config import TrainConfig

MIRROR_IOU = 0.8
"""Mean IoU with the mirror image above which shapes count as symmetric. Chosen between centered chairs, 0.93
for ModelNet10 and 1.00 for the sample chairs, and uncentered sample chairs, 0.20."""

MIRROR_AXES = (0, 2)  # axis 1 points up
MEASURED_SHAPES = 256  # enough for means, and read in a fraction of a second


class DataMark(NamedTuple):
    """Number and digest of the training shapes, stored in checkpoints."""

    count: int
    digest: str  # of the voxels, in the order of the shapes


class Shapes:
    """Training shapes, from (N, n, n, n) bools or packed grids.

    The packed bytes (`PackedGrids.content`) are on `device`, where batches are unpacked. An occupied voxel
    becomes `value`, an empty one 0.
    """

    def __init__(
        self, occupied: np.ndarray | PackedGrids, device: torch.device | str = "cpu", value: float = 1.0
    ) -> None:
        if not isinstance(occupied, PackedGrids):
            occupied = PackedGrids.of(occupied)
        self.occupied = occupied  # in CPU memory; indexing unpacks to bools
        self.packed = torch.from_numpy(occupied.content).to(device)  # (N, n/2 + 1, n/2 + 1, n/2 + 1) uint8
        self.device = self.packed.device
        bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
        self.voxels_of_byte = value * torch.from_numpy(bits).to(device, torch.float32)  # (256, 8)

    def __len__(self) -> int:
        return len(self.packed)

    @property
    def mark(self) -> DataMark:
        """Number and digest of the shapes."""
        return DataMark(len(self), self.occupied.digest)

    def blocks(self, indices: Tensor, resolution: int | None = None) -> Tensor:
        """Unpack the shapes at (B,) `indices` to float32 blocks (`rasgan.blocks.blocks_of`).

        With a lower `resolution`, max-pool them to it.
        """
        bytes_ = self.packed[indices]  # a byte is a block of 2x2x2 voxels: its row of the table has them
        blocks = embedding(bytes_.int(), self.voxels_of_byte).permute(0, 4, 1, 2, 3)
        edge = 2 * self.packed.shape[1] - 2
        if resolution in (None, edge):
            return blocks
        return blocks_of(max_pool3d(voxels_of(blocks), edge // resolution))


def measured_mirror(config: TrainConfig, shapes: Shapes) -> tuple[TrainConfig, str]:
    """Choose the axis along which generated shapes are mirrored, from at most `MEASURED_SHAPES` shapes.

    Returns
    -------
    config : TrainConfig
        With the horizontal axis that has the higher mean IoU with the mirror image, or without `mirror` if
        both are below `MIRROR_IOU`.
    sentence : str
        The choice and the IoU, for the user.
    """
    grids = [shapes.occupied[index] for index in _measured(shapes)]
    ious = [np.mean([mirror_iou(grid, axis) for grid in grids]) for axis in MIRROR_AXES]
    best = int(np.argmax(ious))
    found = f"the mean IoU with their mirror image along axis {MIRROR_AXES[best]} is {ious[best]:.2f}"
    if ious[best] < MIRROR_IOU:
        return replace(config, mirror=False), f"Shapes are not mirrored: {found}, below {MIRROR_IOU}."
    return replace(config, mirror_axis=MIRROR_AXES[best]), f"Shapes are mirrored: {found}."


def occupied_share(shapes: Shapes) -> float:
    """Return the fraction of occupied voxels, in at most `MEASURED_SHAPES` shapes."""
    return shapes.occupied[_measured(shapes)].mean()


def _measured(shapes: Shapes) -> np.ndarray:
    """Return the indices of evenly spaced shapes."""
    return np.linspace(0, len(shapes) - 1, min(len(shapes), MEASURED_SHAPES)).astype(int)
