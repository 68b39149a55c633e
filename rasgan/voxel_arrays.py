"""Voxel grids as arrays in files: .npy, .npz, and MATLAB's .mat.

Sizes in headers are checked before memory is allocated. Arrays in C order are read grid by grid; those in
Fortran order, as all of a .mat are, are read at once.
"""

import contextlib
import errno
import functools
import io
import itertools
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from rasgan.data.meshes.sniff import SNIFFED, foreign
from rasgan.errors import UserError
from rasgan.files import naming

ARRAY_SUFFIXES = (".npy", ".npz", ".mat")
LARGEST_SIDE = 512  # voxels; nothing in this project makes larger grids
SMALLEST_SIDE = 8  # voxels; smaller cubes beside larger ones are scales, rotations or convolution kernels
LARGEST_BATCH = 100_000  # grids: a damaged header can announce any number of the smallest ones
LARGEST_READ = 1 << 28  # bytes that are read at once: one grid, or an array in Fortran order
PIECE = 1 << 20  # bytes

NUMBERS = "biuf"  # numpy's letters: bool, integers, floats
LARGEST_HEADER = 1 << 14  # bytes; of an array of numbers about 100
STARTS = {".npy": b"\x93NUMPY", ".npz": b"PK", ".mat": b"MATLAB", ".binvox": b"#binvox"}
MAT_HEADER = 128  # bytes before a .mat's first variable
MAT_VERSION = b"\x00\x01IM"  # the last of them, little-endian
MAT_MATRIX, MAT_COMPRESSED = 14, 15  # types of elements
MAT_NUMBERS = range(6, 16)  # classes of arrays: double, single, then integers; bools are integers
MAT_CLASSES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 16: "function", 17: "object"}
MAT_OPAQUE = 17  # the class of strings and tables, which has no shape
MAT_COMPLEX = 0x0800  # flag
MAT_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
HDF5 = b"\x89HDF\r\n\x1a\n"
HDF5_START = 512  # bytes before it in MATLAB's version 7.3


class Array(NamedTuple):
    """An array in a file, as its header describes it."""

    name: str  # empty in an .npy
    shape: tuple[int, ...]
    kind: np.dtype | str  # MATLAB's name for arrays that are not numbers
    is_fortran: bool  # the first index varies fastest
    start: int  # bytes before the first value, in the file or the unpacked member or variable
    place: int = 0  # bytes before a .mat's variable

    @property
    def grids(self) -> tuple[int, ...] | None:
        """Its shape as grids, (..., n, n, n), without a last axis of one channel; None if it has none."""
        if isinstance(self.kind, str) or self.kind.kind not in NUMBERS:
            return None
        shape = self.shape[:-1] if len(self.shape) > 3 and self.shape[-1] == 1 else self.shape
        is_cube = len(shape) > 2 and len(set(shape[-3:])) == 1 and 0 < shape[-1] <= LARGEST_SIDE
        return shape if is_cube and 0 < math.prod(shape[:-3]) <= LARGEST_BATCH else None

    @property
    def count(self) -> int:
        """The number of its grids."""
        return math.prod(self.grids[:-3])

    def __str__(self) -> str:
        return f"{self.name} {self.shape} {self.kind}".lstrip()


class Contents(NamedTuple):
    """The arrays of one file: voxel grids, and others, such as labels."""

    grids: list[Array]
    others: list[Array]


def read_grid(path: Path, index: int) -> np.ndarray:
    """Read grid number `index` of a file: (n, n, n) bools, or floats unchanged."""
    for array in grids_in(path):
        if index < array.count:
            break
        index -= array.count
    with _complete(path):
        if array.is_fortran:
            grid = _read_all(path, _version(path), array)[np.unravel_index(index, array.grids[:-3])]
        else:
            voxels = math.prod(array.grids[-3:])
            grid = _numbers(path, array, index * voxels, voxels).reshape(array.grids[-3:])
    if index == array.count - 1:
        forget()
    if grid.dtype.kind == "f":
        return np.array(grid, dtype=grid.dtype.newbyteorder("="), order="C")
    return np.greater(grid, 0, order="C")


def grids_in(path: Path) -> list[Array]:
    """Return the headers of a file's voxel grids. UserError if it has none."""
    contents = open_arrays(path)
    if contents.grids:
        return contents.grids
    advice = f"a voxel grid is n x n x n numbers (n at most {LARGEST_SIDE}), or a batch of {LARGEST_BATCH}"
    if any(str(array.kind) in ("struct", "cell") for array in contents.others):
        advice = "in MATLAB, save the array in it by itself: x = s.voxels; save('x.mat', 'x', '-v7')"
    there = ", ".join(map(str, contents.others[:5])) or "no array"
    raise UserError(f"{path}: contains no voxel grid but {there}; {advice}.")


def open_arrays(path: Path) -> Contents:
    """Read the headers of a file's arrays. UserError if it is damaged, too large, or mixes train and test."""
    return _contents(path, _version(path))


def forget() -> None:
    """Close the .npz that was read last, and free the memory of arrays that were read at once."""
    _member.cache_clear()
    _read_all.cache_clear()


def damaged(path: Path, fault: str) -> UserError:
    """Return the error for a file that cannot be read: what else it is by its first bytes, or `fault`."""
    with path.open("rb") as file:
        start = file.read(SNIFFED)
    is_own = start.startswith(STARTS.get(path.suffix.lower(), b"\0")) or not start.strip(b"\0")
    if not is_own and (kind := foreign(start)):
        fault = f"not a {path.suffix} file but {kind}; unpack, convert or download it again"
    return UserError(f"{path}: {fault}.")


@contextlib.contextmanager
def _complete(path: Path) -> Iterator[None]:
    """Turn the parsers' errors about a damaged file into a UserError, and suppress their warnings."""
    try:
        with naming(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (MemoryError, UserError):
        raise
    except Exception as error:  # numpy hands a damaged header to Python's parser, which fails in many ways
        forget()
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        kind = "MATLAB (5 to 7.2, little-endian)" if path.suffix.lower() == ".mat" else path.suffix
        fault = f"not a complete {kind} file, or longer than its header says; save or download it again"
        raise damaged(path, fault) from error


def _version(path: Path) -> tuple:
    status = path.stat()
    return path.absolute(), status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=1 << 14)  # files: those of a folder are listed first, then read
def _contents(path: Path, _version: tuple) -> Contents:
    readers = {".npy": _npy_arrays, ".npz": _npz_arrays, ".mat": _mat_arrays}
    with _complete(path), path.open("rb") as file:
        arrays = list(itertools.islice(readers[path.suffix.lower()](path, file), LARGEST_BATCH))
    cubes = [array for array in arrays if array.grids]
    grids = [array for array in cubes if array.grids[-1] >= SMALLEST_SIDE] or cubes
    names = [array.name for array in grids]
    training = [name for name in names if "train" in name.lower()]
    if training and len(training) < len(names):
        advice = f"save those to read as a file of their own, {training[0]}.npy"
        raise UserError(f"{path}: contains {', '.join(names)}; {advice}.")
    if sum(array.count for array in grids) > LARGEST_BATCH or len(arrays) == LARGEST_BATCH:
        fault = f"contains more than {LARGEST_BATCH} arrays or grids"
        raise UserError(f"{path}: {fault}; save them in several files.")
    for array in grids:
        size = math.prod(array.grids if array.is_fortran else array.grids[-3:]) * array.kind.itemsize
        if size > LARGEST_READ:
            advice = "save it as bool, in C order or in several files"
            raise UserError(f"{path}: {array} takes {size / 1e9:.1f} GB at once; {advice}.")
    chosen = set(map(id, grids))
    return Contents(grids, [array for array in arrays if id(array) not in chosen])


@functools.lru_cache(maxsize=1)
def _read_all(path: Path, _version: tuple, array: Array) -> np.ndarray:
    """Read all grids of an array in Fortran order: (..., n, n, n)."""
    numbers = _numbers(path, array, 0, math.prod(array.shape))
    return numbers.reshape(array.shape, order="F").reshape(array.grids)


@functools.lru_cache(maxsize=1)  # open until its last grid is read: packed members can be read forward only
def _member(path: Path, _version: tuple, name: str) -> BinaryIO:
    return zipfile.ZipFile(path).open(f"{name}.npy")


def _numbers(path: Path, array: Array, first: int, count: int) -> np.ndarray:
    """Read (count,) values of an array from the one at `first` on. ValueError if there are fewer."""
    start, size = array.start + first * array.kind.itemsize, count * array.kind.itemsize
    if path.suffix.lower() == ".npz":
        member = _member(path, _version(path), array.name)
        member.seek(start)
        return np.frombuffer(member.read(size), array.kind, count)
    with path.open("rb") as file:
        if path.suffix.lower() == ".mat":
            content = _read_variable(file, array.place, start + size + 8)  # up to the checksum behind it
            return np.frombuffer(content, array.kind, count, start)
        file.seek(start)
        return np.frombuffer(file.read(size), array.kind, count)


def _npy_arrays(_path: Path, file: BinaryIO) -> Iterator[Array]:
    yield _npy_header(file, "", file.seek(0, io.SEEK_END))


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
    """Read the header of an .npy of `size` bytes, in any of its versions."""
    file.seek(0)
    header = io.BytesIO(file.read(LARGEST_HEADER))
    is_first_version = np.lib.format.read_magic(header) == (1, 0)  # in later ones its length has four bytes
    read = np.lib.format.read_array_header_1_0 if is_first_version else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(header)
    array = Array(name, shape, dtype, is_fortran, header.tell())
    if not dtype.hasobject and array.start + math.prod(shape) * dtype.itemsize != size:
        raise ValueError("cut, or more values than the header says")
    return array


def _mat_arrays(path: Path, file: BinaryIO) -> Iterator[Array]:
    """Yield the variables of a .mat, MATLAB's versions 5 to 7.2.

    By MATLAB's description of the format, "MAT-File Format". `scipy.io.loadmat` reads it too, but ends Python
    itself (a segmentation fault, scipy 1.17) on damaged files, and unpacks any number of bytes.
    """
    content = file.read(HDF5_START + len(HDF5))
    if content.endswith(HDF5):
        fault = "in MATLAB's format 7.3, which is HDF5 and not read here; save it in format 7"
        raise UserError(f"{path}: {fault}, in MATLAB: save('{path.name}', '-v7').")
    if content[:MAT_HEADER][-len(MAT_VERSION) :] != MAT_VERSION:
        raise ValueError("no header, or of another version or byte order")
    place, end = MAT_HEADER, file.seek(0, io.SEEK_END)
    while place < end:
        array = _mat_header(_read_variable(file, place, LARGEST_HEADER), place)
        if array.name:  # what belongs to objects has none
            yield array
        file.seek(place)
        place += 8 + struct.unpack("<II", file.read(8))[1]
    if place > end:
        raise ValueError("cut")


def _read_variable(file: BinaryIO, place: int, most: int) -> bytes:
    """Read at most so many bytes of a variable of a .mat, unpacked."""
    file.seek(place)
    kind, size = struct.unpack("<II", file.read(8))
    if kind == MAT_COMPRESSED:
        packed = file.read(min(size, 2 * most))  # packing adds a thousandth at most
        return zlib.decompressobj().decompress(packed, most)
    file.seek(place)
    return file.read(min(8 + size, most))


def _mat_header(content: bytes, place: int) -> Array:
    """Read what a variable is from its first bytes."""
    if struct.unpack_from("<I", content)[0] != MAT_MATRIX:
        raise ValueError("not a variable")
    _, start, _, after = _mat_tag(content, 8)
    (flags,) = struct.unpack_from("<I", content, start)
    number, shape = flags & 0xFF, ()
    if number != MAT_OPAQUE:
        _, start, size, after = _mat_tag(content, after)
        shape = struct.unpack_from(f"<{size // 4}i", content, start)
    _, start, size, after = _mat_tag(content, after)
    name = content[start : start + size].decode("ascii")
    if len(name) < size or not name.isprintable():
        raise ValueError("not a name that MATLAB allows")
    if number not in MAT_NUMBERS or flags & MAT_COMPLEX:
        return Array(name, shape, MAT_CLASSES.get(number, "complex"), True, after, place)
    code, start, size, _ = _mat_tag(content, after)
    array = Array(name, shape, np.dtype(MAT_TYPES[code]).newbyteorder("<"), True, start, place)
    if size != math.prod(shape) * array.kind.itemsize:
        raise ValueError("more or fewer values than the shape says")
    return array


def _mat_tag(content: bytes, place: int) -> tuple[int, int, int, int]:
    """Read a tag: the type of its values, where they start, their bytes, and where the next tag is."""
    code, size = struct.unpack_from("<II", content, place)
    if code >> 16:  # up to four bytes share eight with their tag
        return code & 0xFFFF, place + 4, code >> 16, place + 8
    return code, place + 8, size, place + 8 + size + -size % 8
