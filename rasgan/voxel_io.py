"""Read and write voxel files: Binvox's .raw and .binvox, and arrays (`rasgan.voxel_arrays`)."""

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import numpy as np

from rasgan.errors import UserError
from rasgan.files import atomic_path, check_is_file
from rasgan.voxel_arrays import ARRAY_SUFFIXES, LARGEST_SIDE, PIECE, damaged, grids_in, read_grid
from rasgan.voxels import RESOLUTIONS, max_pool

VOXEL_SUFFIXES = (".raw", ".binvox", *ARRAY_SUFFIXES)


def read_voxels(path: Path, index: int = 0) -> np.ndarray:
    """Read voxel grid number `index`, below `count_shapes`, of a file with one of the `VOXEL_SUFFIXES`.

    Returns (n, n, n) bools, or the unchanged scores of an array of floats; integers are occupied above 0. The
    axes are sketched in `rasgan.voxels`. Raises UserError if the file contains no grid.
    """
    path = Path(path)
    check_is_file(path)
    suffix = path.suffix.lower()
    if suffix in ARRAY_SUFFIXES:
        return read_grid(path, index)
    if suffix == ".raw":
        return read_raw(path)
    if suffix == ".binvox":
        return _read_binvox(path)
    if suffix == ".mat":
        raise matlab_error(path)
    raise UserError(f"{path}: not a voxel file; choose one that ends in {', '.join(VOXEL_SUFFIXES)}.")


def matlab_error(path: Path) -> UserError:
    """Return the error for a .mat file, which is not read, with the lines of Python that convert it."""
    saved = f"numpy.savez({str(path.with_suffix('.npz'))!r}, **scipy.io.loadmat({str(path)!r}))"
    advice = f"Convert them to .npz files in Python:\n  import numpy, scipy.io\n  {saved}"
    return UserError(f"{path}: .mat files are not read. {advice}")


def count_shapes(path: Path) -> int:
    """Count the grids in a voxel file: 1 unless it contains arrays."""
    check_is_file(path)
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        return 1
    return sum(array.count for array in grids_in(path))


def read_raw(path: Path) -> np.ndarray:
    """Read Binvox's raw format: n³ bytes without a header, 0 for empty, 255 (or 1) for occupied.

    Returns (n, n, n) bools. Raises UserError if the size is not a cube or other bytes occur.
    """
    path = Path(path)
    size = path.stat().st_size
    side = round(size ** (1 / 3))
    if side**3 != size or not 0 < side <= LARGEST_SIDE:
        fault = f"{size} bytes are not a grid of n x n x n voxels (n at most {LARGEST_SIDE})"
        raise damaged(path, f"{fault}; convert the mesh again")
    values = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    highest, occupied = values.max(), values > 0
    if highest not in (0, 1, 255) or (occupied & (values != highest)).any():
        raise damaged(path, "contains bytes other than 0 and 255 (or 0 and 1); convert the mesh again")
    return occupied.reshape(side, side, side)


def write_raw(path: Path, occupied: np.ndarray) -> None:
    """Write (n, n, n) bools as Binvox does: one byte per voxel, 0 or 255."""
    with atomic_path(path) as temporary:
        temporary.write_bytes((occupied.astype(np.uint8) * 255).tobytes())


def write_npy(path: Path, array: np.ndarray) -> None:
    """Write an .npy file."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(SimpleNamespace(write=file.write), array)  # to a real file, numpy hides a full disk


def fit(occupied: np.ndarray, resolution: int, path: Path) -> np.ndarray:
    """Bring the (m, m, m) bools of `path` to `resolution`: pad evenly, by at most m / 8, then max-pool.

    30³ becomes 32³ by one voxel on each side; of an odd number, one more is added at the ends of the axes.
    Raises UserError for sizes that do not fit, such as those of coarser grids.
    """
    padded = padded_edge(len(occupied), resolution)
    if padded is None:
        reason = f"{path}: this grid is {len(occupied)}³, which does not fit the resolution {resolution}."
        suitable = [other for other in RESOLUTIONS if padded_edge(len(occupied), other)]
        if not suitable:
            raise UserError(reason, about="odd resolution")
        raise UserError(reason, about="resolution", value=suitable[-1])
    missing = padded - len(occupied)
    occupied = np.pad(occupied, (missing // 2, missing - missing // 2))
    return max_pool(occupied, padded // resolution)


def padded_edge(edge: int, resolution: int) -> int | None:
    """Return the smallest multiple of `resolution` that is at least `edge`; None if it is over 1/8 larger."""
    padded = -(-edge // resolution) * resolution
    return padded if 8 * (padded - edge) <= edge else None


def _read_binvox(path: Path) -> np.ndarray:
    """Read Binvox's own format: a text header, then pairs of bytes (value, number of voxels)."""
    with path.open("rb") as file:
        side = _read_binvox_header(path, file)
        missing, unread = side**3, 2 * side**3  # voxels, and the bytes of as many runs
        pieces, rest = [], b""
        while missing > 0 and (data := file.read(min(unread, PIECE))):
            unread -= len(data)
            pairs = np.frombuffer(data, dtype=np.uint8, count=len(data) // 2 * 2).reshape(-1, 2)
            used = int(np.searchsorted(np.cumsum(pairs[:, 1], dtype=np.int64), missing)) + 1
            pieces.append(np.repeat(pairs[:used, 0] > 0, pairs[:used, 1]))
            missing -= len(pieces[-1])
            rest = data[2 * used :]
        # Programs that open the file as text add a line break at its end.
        if missing or (rest + file.read(PIECE)).strip(b"\r\n"):
            raise damaged(path, f"does not contain exactly {side} x {side} x {side} voxels; cut or damaged")
    return np.concatenate(pieces).reshape(side, side, side)


def _read_binvox_header(path: Path, file: BinaryIO) -> int:
    """Read up to and including the line `data`; return the number of voxels per side."""
    lines = itertools.islice(iter(lambda: file.readline(200).split(), [b"data"]), 20)
    header = {words[0]: words[1:] for words in lines if words}
    sides = set(header.get(b"dim", ()))
    side = int(sides.pop()) if len(sides) == 1 and min(sides).isdigit() else 0
    if b"#binvox" not in header or not 0 < side <= LARGEST_SIDE:
        raise damaged(path, f"no .binvox header of n x n x n voxels (n at most {LARGEST_SIDE})")
    return side
