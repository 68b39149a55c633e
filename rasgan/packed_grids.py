"""Voxel grids packed to one bit per voxel."""

import functools
import hashlib
from pathlib import Path

import numpy as np


class PackedGrids:
    """N grids of n x n x n voxels, 36 kB each at 64³; indexing returns bools.

    `content` is the result of `pack` for each grid, (N, n/2 + 1, n/2 + 1, n/2 + 1) uint8. `file` is the file
    from which it is memory-mapped, if any.
    """

    def __init__(self, content: np.ndarray, file: Path | None = None) -> None:
        self.content, self.file = content, file

    @classmethod
    def of(cls, grids: np.ndarray) -> "PackedGrids":
        """Pack (N, n, n, n) bools."""
        return cls(np.stack([pack(grid) for grid in grids]))

    def __len__(self) -> int:
        return len(self.content)

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        """Unpack one grid to (n, n, n) bools, or those of a slice or (k,) indices to (k, n, n, n)."""
        return unpack(self.content[index])

    @functools.cached_property
    def digest(self) -> str:
        """The BLAKE2 digest of the bytes, in the order of the grids."""
        return hashlib.blake2b(np.ascontiguousarray(self.content), digest_size=16).hexdigest()


def pack(grid: np.ndarray) -> np.ndarray:
    """Pad an (n, n, n) bool grid by 1 and pack each 2x2x2 block into a byte: (n/2 + 1, ...) uint8.

    The first voxel of a block is the highest bit, as in `numpy.packbits`. n must be even.
    """
    bits = np.zeros((len(grid) + 2,) * 3, dtype=np.uint8)
    bits[1:-1, 1:-1, 1:-1] = grid
    bits = bits[0::2] << 4 | bits[1::2]
    bits = bits[:, 0::2] << 2 | bits[:, 1::2]
    return bits[:, :, 0::2] << 1 | bits[:, :, 1::2]


def unpack(packed: np.ndarray) -> np.ndarray:
    """Invert `pack` for any number of grids: (..., m, m, m) uint8 to (..., n, n, n) bools."""
    *counts, m = packed.shape[:-2]
    pairs = np.unpackbits(packed.reshape(-1)).view(np.uint16)  # neighbors along the last axis stay together
    blocks = pairs.reshape(*counts, m, m, m, 2, 2)
    grids = np.empty((*counts, m, 2, m, 2, m), dtype=np.uint16)
    grids[...] = np.moveaxis(blocks, (-2, -1), (-4, -2))
    return grids.view(bool).reshape(*counts, 2 * m, 2 * m, 2 * m)[..., 1:-1, 1:-1, 1:-1]
