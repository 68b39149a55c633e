"""A folder of voxel files becomes batches: every shape is read once and kept in memory as bits."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from rasgan.errors import UserError
from rasgan.files import read_raw
from rasgan.voxels import max_pool


class Shapes:
    """All shapes of a folder, packed eight voxels to a byte (32 KB a shape at 64 cubed).

    Parameters
    ----------
    occupied : (N, n, n, n) bool array
    device : torch.device or str
        Where the bits lie and the batches are made.
    value : float
        What an occupied voxel is in a batch; an empty one is 0.
    """

    def __init__(self, occupied: np.ndarray, device: torch.device | str = "cpu", value: float = 1.0) -> None:
        self.resolution = occupied.shape[-1]
        packed = np.packbits(occupied.reshape(len(occupied), -1), axis=1)
        self.packed = torch.from_numpy(packed).to(device)  # (N, n**3 / 8) uint8
        bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
        self.voxels_of_byte = value * torch.from_numpy(bits).to(device, torch.float32)  # (256, 8)

    def __len__(self) -> int:
        return len(self.packed)

    @property
    def device(self) -> torch.device:
        """Where the bits lie."""
        return self.packed.device

    def occupied(self) -> np.ndarray:
        """Unpack all shapes to (N, n, n, n) bools, in the memory of the processor."""
        voxels = self.resolution**3
        bits = np.unpackbits(self.packed.cpu().numpy(), axis=1, count=voxels)
        return bits.view(bool).reshape(-1, *(self.resolution,) * 3)

    def batch(self, indices: np.ndarray) -> Tensor:
        """Unpack the shapes at (B,) `indices` to (B, 1, n, n, n) float32."""
        rows = self.packed[torch.from_numpy(indices).to(self.packed.device)]
        return embedding(rows.int(), self.voxels_of_byte).reshape(-1, 1, *(self.resolution,) * 3)


def load_shapes(
    folder: Path,
    resolution: int,
    device: torch.device | str = "cpu",
    progress: Callable[[Iterable[Path]], Iterable[Path]] = iter,
    value: float = 1.0,
) -> Shapes:
    """Read every .raw file of `folder`; any byte above 0 is an occupied voxel.

    Grids whose edge is a multiple of `resolution` are max-pooled: a coarse voxel is occupied where any of
    its fine ones is.

    Raises
    ------
    UserError
        If the folder is missing or holds no .raw file, or a file has an unsuitable size.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; check the path, or make it with download_data.py.")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".raw")
    paths = [path for path in paths if not path.name.startswith(".")]
    if not paths:
        raise UserError(
            f"{folder}: no .raw voxel files here; convert its meshes: python convert_data.py -m {folder}"
        )
    occupied = np.empty((len(paths), *(resolution,) * 3), dtype=bool)
    for slot, path in zip(occupied, progress(paths), strict=True):
        slot[...] = fit(read_raw(path), resolution, path)
    return Shapes(occupied, device, value)


def fit(grid: np.ndarray, resolution: int, path: Path) -> np.ndarray:
    """Bring one (m, m, m) grid to `resolution`, or say why it does not fit."""
    edge = grid.shape[0]
    if edge % resolution:
        raise UserError(
            f"{path}: this grid is {edge} cubed, which does not fit --resolution {resolution}; "
            f"convert the meshes again with --resolution {resolution}, or train with --resolution {edge}."
        )
    return max_pool(grid, edge // resolution)
