"""Voxel grids in files: Binvox's .raw and .binvox, and .npy."""

import itertools
import math
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import numpy as np

from rasgan.errors import UserError
from rasgan.files import atomic_path, check_is_file
from rasgan.voxels import max_pool

LARGEST_SIDE = 512  # in voxels: nothing here makes larger grids, and they would fill the memory
LARGEST_BATCH = 100_000  # grids: a damaged header can announce any number of the smallest ones
VOXEL_SUFFIXES = (".raw", ".npy", ".binvox")


def read_voxels(path: Path, index: int = 0) -> np.ndarray:
    """Read a voxel grid from a .raw, .npy or .binvox file; UserError if it holds none.

    `index`, less than `count_shapes`, is for an .npy file that holds a batch (more than three axes).

    Returns
    -------
    grid : (n, n, n) bool or float array
        Bools: occupied or not. Floats: the scores of an .npy file of floats, unchanged. Axes as sketched in
        `rasgan.voxels`.
    """
    path = Path(path)
    check_is_file(path)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _read_npy(path, index)
    readers = {".raw": read_raw, ".binvox": _read_binvox}
    if suffix not in readers:
        raise UserError(f"{path}: not a voxel file; give one that ends in {', '.join(VOXEL_SUFFIXES)}.")
    return readers[suffix](path)


def count_shapes(path: Path) -> int:
    """Count the grids that `read_voxels` finds in a file: those of an .npy file's batch, 1 in others."""
    check_is_file(path)
    return math.prod(_open_npy(path).shape[:-3]) if path.suffix.lower() == ".npy" else 1


def read_raw(path: Path) -> np.ndarray:
    """Read Binvox's raw format: n**3 bytes without a header, 0 for empty, 255 (or 1) for occupied.

    Returns (n, n, n) bools. UserError if the size is no cube or other bytes occur.
    """
    path = Path(path)
    size = path.stat().st_size
    side = round(size ** (1 / 3))
    if side**3 != size or not 0 < side <= LARGEST_SIDE:
        raise UserError(
            f"{path}: {size} bytes are no grid of n x n x n voxels (n at most {LARGEST_SIDE}); "
            "convert the mesh again."
        )
    values = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    highest = values.max()
    if highest not in (0, 1, 255) or not ((values == 0) | (values == highest)).all():
        raise UserError(f"{path}: holds other bytes than 0 and 255 (or 0 and 1); convert the mesh again.")
    return values.reshape(side, side, side) > 0


def write_raw(path: Path, occupied: np.ndarray) -> None:
    """Write (n, n, n) bools as Binvox does: one byte a voxel, 0 or 255."""
    with atomic_path(path) as temporary:
        temporary.write_bytes((occupied.astype(np.uint8) * 255).tobytes())


def write_npy(path: Path, array: np.ndarray) -> None:
    """Write one .npy file."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(SimpleNamespace(write=file.write), array)  # to a file itself it hides that the disk is full


def write_binvox(path: Path, occupied: np.ndarray) -> None:
    """Write (n, n, n) bools in Binvox's own format, as patrickmin.com/binvox/binvox.html describes it.

    Its axes are those of our grids. The object's place and size are not kept: it fills a box of edge 1.
    """
    voxels = np.asarray(occupied, dtype=bool).ravel()
    starts = np.flatnonzero(np.diff(voxels, prepend=~voxels[:1]))
    lengths = np.diff(starts, append=voxels.size)
    pieces = -(-lengths // 255)  # a byte holds no longer run
    counts = np.full(pieces.sum(), 255, dtype=np.uint8)
    counts[np.cumsum(pieces) - 1] = lengths - 255 * (pieces - 1)
    pairs = np.stack([np.repeat(voxels[starts], pieces).astype(np.uint8), counts], axis=1)
    sides = " ".join(str(side) for side in occupied.shape)
    with atomic_path(path) as temporary:
        header = f"#binvox 1\ndim {sides}\ntranslate 0 0 0\nscale 1\ndata\n"
        temporary.write_bytes(header.encode("ascii") + pairs.tobytes())


def write_voxels(path: Path, occupied: np.ndarray) -> None:
    """Write (n, n, n) bools in the format that the suffix of `path` names, one of `VOXEL_SUFFIXES`."""
    {".raw": write_raw, ".npy": write_npy, ".binvox": write_binvox}[path.suffix](path, occupied)


def fit(occupied: np.ndarray, resolution: int, path: Path) -> np.ndarray:
    """Max-pool the (m, m, m) bools of `path` to `resolution`; UserError if that does not divide m."""
    edge = len(occupied)
    if edge % resolution:
        reason = f"{path}: this grid is {edge}³, which does not fit the resolution {resolution}."
        raise UserError(reason, about="resolution", value=resolution)
    return max_pool(occupied, edge // resolution)


def _read_npy(path: Path, index: int) -> np.ndarray:
    """Read one grid of an .npy file; a batch may have any axes before the last three."""
    array = _open_npy(path)
    array = array[np.unravel_index(index, array.shape[:-3])]
    if array.dtype.kind == "f":
        return np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    return np.array(array > 0, order="C")


def _open_npy(path: Path) -> np.ndarray:
    """Map an .npy file of one or more grids, (..., n, n, n), into memory."""
    try:
        # Mapped, so that no header, true or false, makes us allocate memory; pickles cannot be mapped at all.
        array = np.lib.format.open_memmap(path, mode="r")
    except OSError as error:
        error.filename = str(path)  # a map that is too large does not say of what
        raise
    except MemoryError:
        raise
    except Exception as error:  # numpy hands a damaged header to Python's parser, which fails in many ways
        fault = "not a whole .npy file of plain numbers; save or download it again."
        raise UserError(f"{path}: {fault}") from error
    if array.dtype.kind not in "biuf":
        raise UserError(f"{path}: holds {array.dtype} values; a voxel grid is bool, integer or float.")
    sides = array.shape[-3:]
    is_cube = len(sides) == 3 and len(set(sides)) == 1 and 0 < sides[0] <= LARGEST_SIDE
    if not is_cube or not 0 < math.prod(array.shape[:-3]) <= LARGEST_BATCH:
        raise UserError(
            f"{path}: has shape {array.shape}; a voxel grid is n x n x n (n at most {LARGEST_SIDE}), "
            f"or a batch of them (at most {LARGEST_BATCH})."
        )
    return array


def _read_binvox(path: Path) -> np.ndarray:
    """Read Binvox's own format: a text header, then pairs of bytes (value, how many times)."""
    with path.open("rb") as file:
        side = _read_binvox_header(path, file)
        data = file.read(2 * LARGEST_SIDE**3)
    pairs = np.frombuffer(data, dtype=np.uint8, count=len(data) // 2 * 2).reshape(-1, 2)
    filled = np.cumsum(pairs[:, 1], dtype=np.int64)
    used = int(np.searchsorted(filled, side**3)) + 1
    # Programs that open it as text add a line break at its end.
    if used > len(filled) or filled[used - 1] != side**3 or data[2 * used :].strip(b"\r\n"):
        fault = f"its data do not fill {side} x {side} x {side} voxels; the file is cut or damaged."
        raise UserError(f"{path}: {fault}")
    return np.repeat(pairs[:used, 0] > 0, pairs[:used, 1]).reshape(side, side, side)


def _read_binvox_header(path: Path, file: BinaryIO) -> int:
    """Read up to and including the line `data`; return the number of voxels a side."""
    lines = itertools.islice(iter(lambda: file.readline(200).split(), [b"data"]), 20)
    header = {words[0]: words[1:] for words in lines if words}
    sides = set(header.get(b"dim", ()))
    side = int(sides.pop()) if len(sides) == 1 and min(sides).isdigit() else 0
    if b"#binvox" not in header or not 0 < side <= LARGEST_SIDE:
        raise UserError(f"{path}: has no .binvox header of n x n x n voxels (n at most {LARGEST_SIDE}).")
    return side
