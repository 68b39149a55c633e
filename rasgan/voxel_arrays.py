"""Voxel grids as arrays in .npy and .npz files.

Sizes in headers are checked before memory is allocated, and grids are read one at a time.
"""

import contextlib
import errno
import functools
import itertools
import math
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from rasgan.data.meshes.sniff import SNIFFED, foreign
from rasgan.errors import UserError
from rasgan.files import naming

ARRAY_SUFFIXES = (".npy", ".npz")
LARGEST_SIDE = 512  # voxels; nothing in this project makes larger grids
SMALLEST_SIDE = 8  # voxels; smaller cubes beside larger ones are scales, rotations or convolution kernels
LARGEST_BATCH = 100_000  # grids: a damaged header can announce any number of the smallest ones
LARGEST_GRID = 1 << 28  # bytes
PIECE = 1 << 20  # bytes

NUMBERS = "biuf"  # numpy's letters: bool, integers, floats
STARTS = {".npy": b"\x93NUMPY", ".npz": b"PK", ".binvox": b"#binvox"}


class Array(NamedTuple):
    """An array in a file, as its header describes it."""

    name: str  # empty in an .npy
    shape: tuple[int, ...]
    dtype: np.dtype
    is_fortran: bool  # the first index varies fastest
    start: int  # bytes before the first value, in the file or the unpacked member

    @property
    def grids(self) -> tuple[int, ...] | None:
        """Its shape as grids, (..., n, n, n), without a last axis of one channel; None if it has none."""
        shape = self.shape[:-1] if len(self.shape) > 3 and self.shape[-1] == 1 else self.shape
        is_cube = len(shape) > 2 and len(set(shape[-3:])) == 1 and 0 < shape[-1] <= LARGEST_SIDE
        is_batch = is_cube and 0 < math.prod(shape[:-3]) <= LARGEST_BATCH
        return shape if is_batch and self.dtype.kind in NUMBERS else None

    @property
    def count(self) -> int:
        """The number of its grids."""
        return math.prod(self.grids[:-3])

    def __str__(self) -> str:
        return f"{self.name} {self.shape} {self.dtype}".lstrip()


class Contents(NamedTuple):
    """The arrays of one file."""

    grids: list[Array]
    others: list[Array]  # labels, for example


def read_grid(path: Path, index: int) -> np.ndarray:
    """Read grid number `index` of a file: (n, n, n) bools, or unchanged floats."""
    for array in grids_in(path):
        if index < array.count:
            break
        index -= array.count
    with _complete(path):
        grid = _read(path, array, index).reshape(array.grids[-3:], order="F" if array.is_fortran else "C")
    if index == array.count - 1:
        forget()
    if grid.dtype.kind == "f":
        return np.array(grid, dtype=grid.dtype.newbyteorder("="), order="C")
    return np.greater(grid, 0, order="C")


def grids_in(path: Path) -> list[Array]:
    """Return the headers of a file's voxel grids. Raises UserError if it has none."""
    contents = open_arrays(path)
    if contents.grids:
        return contents.grids
    advice = f"a voxel grid is n x n x n numbers (n at most {LARGEST_SIDE}), or a batch of {LARGEST_BATCH}"
    there = ", ".join(map(str, contents.others[:5])) or "no array"
    raise UserError(f"{path}: contains no voxel grid but {there}; {advice}.")


def open_arrays(path: Path) -> Contents:
    """Read the headers of a file's arrays.

    Raises UserError if the file is damaged or too large, or if it contains both training and test shapes.
    """
    return _contents(path, _version(path))


def forget() -> None:
    """Close the .npz that was read last."""
    _member.cache_clear()


def damaged(path: Path, fault: str) -> UserError:
    """Return the error for a file that cannot be read: its real format by its first bytes, or `fault`."""
    with path.open("rb") as file:
        start = file.read(SNIFFED)
    is_own = start.startswith(STARTS.get(path.suffix.lower(), b"\0")) or not start.strip(b"\0")
    if not is_own and (kind := foreign(start)):
        fault = f"not a {path.suffix} file but {kind}; unpack, convert or download it again"
    return UserError(f"{path}: {fault}.")


@contextlib.contextmanager
def _complete(path: Path) -> Iterator[None]:
    """Convert the parsers' errors about a damaged file into a UserError, and suppress their warnings."""
    try:
        with naming(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (MemoryError, UserError):
        raise
    except Exception as error:  # numpy passes a damaged header to Python's parser, which fails in many ways
        forget()
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        fault = "file, or longer than its header says; save or download it again"
        raise damaged(path, f"not a complete {path.suffix} {fault}") from error


def _version(path: Path) -> tuple:
    status = path.stat()
    return path.absolute(), status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=1 << 14)  # files: those of a folder are listed first, then read
def _contents(path: Path, _version: tuple) -> Contents:
    read = _npy_arrays if path.suffix.lower() == ".npy" else _npz_arrays
    with _complete(path), path.open("rb") as file:
        arrays = list(itertools.islice(read(path, file), LARGEST_BATCH))
    cubes = [array for array in arrays if array.grids]
    grids = [array for array in cubes if array.grids[-1] >= SMALLEST_SIDE] or cubes
    names = [array.name for array in grids]
    training = [name for name in names if "train" in name.lower()]
    if training and len(training) < len(names):
        advice = f"save the ones to use in a separate file, {training[0]}.npy"
        raise UserError(f"{path}: contains {', '.join(names)}; {advice}.")
    if sum(array.count for array in grids) > LARGEST_BATCH or len(arrays) == LARGEST_BATCH:
        raise UserError(f"{path}: contains more than {LARGEST_BATCH} arrays or grids; save several files.")
    for array in grids:
        if array.is_fortran and array.count > 1:
            raise UserError(f"{path}: {array} is in Fortran order; save numpy.ascontiguousarray of it.")
        if math.prod(array.grids[-3:]) * array.dtype.itemsize > LARGEST_GRID:
            raise UserError(f"{path}: {array} needs more than 268 MB per grid; save it as bool.")
    chosen = set(map(id, grids))
    return Contents(grids, [array for array in arrays if id(array) not in chosen])


@functools.lru_cache(maxsize=1)  # open until its last grid is read: packed members can be read forward only
def _member(path: Path, _version: tuple, name: str) -> BinaryIO:
    return zipfile.ZipFile(path).open(f"{name}.npy")


def _read(path: Path, array: Array, index: int) -> np.ndarray:
    """Read the values of grid number `index`, (n³,). Raises ValueError if there are fewer."""
    count = math.prod(array.grids[-3:])
    size = count * array.dtype.itemsize
    start = array.start + index * size
    if path.suffix.lower() == ".npz":
        member = _member(path, _version(path), array.name)
        member.seek(start)
        content = member.read(size)
    else:
        with path.open("rb") as file:
            file.seek(start)
            content = file.read(size)
    return np.frombuffer(content, array.dtype, count)


def _npy_arrays(path: Path, file: BinaryIO) -> Iterator[Array]:
    yield _npy_header(file, "", path.stat().st_size)


def _npz_arrays(path: Path, file: BinaryIO) -> Iterator[Array]:
    """Yield the arrays of an .npz, as `numpy.savez` and `numpy.savez_compressed` write them."""
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist() if info.filename.endswith(".npy")}
        for info in members.values():
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # they unpack unbounded
                raise UserError(f"{path}: not packed by deflate; save it again with numpy.savez_compressed.")
            with archive.open(info) as member:
                yield _npy_header(member, info.filename[:-4], info.file_size)


def _npy_header(file: BinaryIO, name: str, size: int) -> Array:
    """Read the header of an .npy of `size` bytes."""
    if np.lib.format.read_magic(file) != (1, 0):  # later ones, with headers of up to 4 GB, are for records
        raise ValueError("not an array of numbers")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
    array = Array(name, shape, dtype, is_fortran, file.tell())
    if not dtype.hasobject and array.start + math.prod(shape) * dtype.itemsize != size:
        raise ValueError("cut, or more values than the header says")
    return array
