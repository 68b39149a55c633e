"""Voxel grids as arrays in files: .npy, .npz, and MATLAB's .mat. Nothing is allocated on a header's word."""

import contextlib
import errno
import functools
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from rasgan.errors import UserError
from rasgan.files import naming

ARRAY_SUFFIXES = (".npy", ".npz", ".mat")
LARGEST_SIDE = 512  # in voxels: nothing here makes larger grids, and they would fill the memory
LARGEST_BATCH = 100_000  # grids: a damaged header can announce any number of the smallest ones
LARGEST_UNPACKED = 1 << 31  # bytes: an .npz or .mat is read whole, an .npy grid by grid

NUMBERS = "biuf"  # numpy's letters: bool, integers, floats
MAT_HEADER = 128  # bytes before a .mat's first variable; the last four are its version and byte order
MAT_ORDERS = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}
LARGEST_MAT_HEADER = 1 << 12  # bytes of one variable: flags, shape and name
MAT_MATRIX, MAT_COMPRESSED = 14, 15  # types of elements
MAT_NUMBERS = range(6, 16)  # classes of arrays: double, single, then integers; bools are integers
MAT_COMPLEX = 0x0800  # flag
MAT_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
HDF5 = b"\x89HDF\r\n\x1a\n"
HDF5_PLACES = (0, 512)  # v7.3 is HDF5 behind 512 bytes

Headers = dict[str, tuple[tuple[int, ...], str]]  # by an array's name: its shape, and what its values are


class Arrays(NamedTuple):
    """The voxel grids of one file."""

    grids: list[np.ndarray]  # each (..., n, n, n)
    left_out: list[str]  # names of the file's other arrays, labels for example


def read_grid(path: Path, index: int) -> np.ndarray:
    """Read grid number `index` of a file: (n, n, n) bools, or floats as they are."""
    for grids in open_arrays(path).grids:
        count = math.prod(grids.shape[:-3])
        if index < count:
            break
        index -= count
    grid = grids[np.unravel_index(index, grids.shape[:-3])]
    if grid.dtype.kind == "f":
        return np.array(grid, dtype=grid.dtype.newbyteorder("="), order="C")
    return np.array(grid > 0, order="C")


def open_arrays(path: Path) -> Arrays:
    """Map an .npy into memory, or read an .npz or .mat, of which the last one read is kept.

    UserError if there is no voxel grid in it, or more than one wants.
    """
    if path.suffix.lower() == ".npy":
        return Arrays([_map_npy(path)], [])
    about = path.stat()
    return _unpacked(path, (path.absolute(), about.st_mtime_ns, about.st_size))


@functools.lru_cache(maxsize=1)
def _unpacked(path: Path, _version: tuple) -> Arrays:
    return (_read_npz if path.suffix.lower() == ".npz" else _read_mat)(path)


def forget() -> None:
    """Free the memory of the .npz or .mat that was read last."""
    _unpacked.cache_clear()


def batch_shape(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape of grids, (..., n, n, n), without a last axis of one channel; None if it is none."""
    for batch in (shape, shape[:-1] if shape[-1:] == (1,) else ()):
        sides = batch[-3:]
        is_cube = len(sides) == 3 and len(set(sides)) == 1 and 0 < sides[0] <= LARGEST_SIDE
        if is_cube and 0 < math.prod(batch[:-3]) <= LARGEST_BATCH:
            return batch
    return None


@contextlib.contextmanager
def _whole(path: Path, kind: str) -> Iterator[None]:
    """Turn what a damaged file makes of the parsers into a sentence, and keep their warnings back."""
    try:
        with naming(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # a place before the file's beginning; a cut file
            error.filename = str(path)  # a map that is too large does not say of what
            raise
        raise _not_whole(path, kind) from error
    except (MemoryError, UserError):
        raise
    except Exception as error:  # numpy hands a damaged header to Python's parser, which fails in many ways
        raise _not_whole(path, kind) from error


def _not_whole(path: Path, kind: str) -> UserError:
    return UserError(f"{path}: not a whole {kind}; save or download it again.")


def _map_npy(path: Path) -> np.ndarray:
    """Map an .npy file of one or more grids into memory: (..., n, n, n)."""
    # Mapped, so that no header, true or false, makes us allocate memory; pickles cannot be mapped at all.
    with _whole(path, ".npy file of plain numbers"):
        array = np.lib.format.open_memmap(path, mode="r")
    if array.dtype.kind not in NUMBERS:
        raise UserError(f"{path}: holds {array.dtype} values; a voxel grid is bool, integer or float.")
    shape = batch_shape(array.shape)
    if shape is None:
        raise UserError(
            f"{path}: has shape {array.shape}; a voxel grid is n x n x n (n at most {LARGEST_SIDE}), "
            f"or a batch of them (at most {LARGEST_BATCH})."
        )
    return array.reshape(shape)


def _choose(path: Path, headers: Headers) -> list[str]:
    """Return which arrays of a file are voxel grids; UserError if none are, or only some to train on."""
    names = [name for name, (shape, kind) in headers.items() if kind in NUMBERS and batch_shape(shape)]
    if not names:
        there = ", ".join(f"{name} {shape}" for name, (shape, _) in list(headers.items())[:5])
        raise UserError(
            f"{path}: holds no voxel grids, n x n x n numbers (n at most {LARGEST_SIDE}) or a batch of them "
            f"(at most {LARGEST_BATCH}), but {there or 'nothing'}."
        )
    training = [name for name in names if "train" in name.lower()]
    if training and training != names:
        raise UserError(
            f"{path}: holds {', '.join(names)}; which of them is meant? Save each as a file of its own: "
            f"numpy.save('{training[0]}.npy', numpy.load('{path.name}')['{training[0]}'])"
        )
    if sum(math.prod(headers[name][0]) for name in names) > LARGEST_UNPACKED:
        raise UserError(f"{path}: too large to be read at once; save its grids as .npy files.")
    return names


def _read_npz(path: Path) -> Arrays:
    """Read the arrays of an .npz that are grids, as `numpy.savez` writes them, packed or not."""
    with _whole(path, ".npz file of plain numbers"), zipfile.ZipFile(path) as archive:
        members = {info.filename[:-4]: info for info in archive.infolist() if info.filename.endswith(".npy")}
        if any(i.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for i in members.values()):
            raise ValueError("numpy packs by deflate; other kinds unpack without a bound")
        headers = {}
        for name, info in members.items():
            with archive.open(info) as file:
                shape, _, dtype = _npy_header(file)
            headers[name] = shape, dtype.kind
        names = _choose(path, headers)
        grids = []
        for name in names:
            with archive.open(members[name]) as file:
                grids.append(_npy_grids(file))
    return Arrays(grids, [name for name in headers if name not in names])


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read an .npy header: shape, whether the first index varies fastest, and type."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    return readers[np.lib.format.read_magic(file)](file)


def _npy_grids(file: IO[bytes]) -> np.ndarray:
    """Read a packed .npy of which the header is known to be sound: (..., n, n, n)."""
    shape, is_fortran, dtype = _npy_header(file)
    numbers = file.read(math.prod(shape) * dtype.itemsize)
    if file.read(1):  # at the end the checksum is compared
        raise ValueError("more numbers than the header says")
    array = np.frombuffer(numbers, dtype).reshape(shape, order="F" if is_fortran else "C")
    return array.reshape(batch_shape(shape))


def _read_mat(path: Path) -> Arrays:
    """Read the variables of a .mat, MATLAB's versions 5 to 7.2, that are grids.

    By MATLAB's description of the format, "MAT-File Format". `scipy.io.loadmat` reads it too, but ends Python
    itself (a segmentation fault, scipy 1.17) on damaged files, and unpacks any number of bytes.
    """
    if path.stat().st_size > LARGEST_UNPACKED:
        raise UserError(f"{path}: too large to be read at once; save its grids as .npy files.")
    content = path.read_bytes()
    if any(content.startswith(HDF5, place) for place in HDF5_PLACES):
        fault = "in MATLAB's format 7.3, which is HDF5 and not read here; save it in format 7"
        raise UserError(f"{path}: {fault}, in MATLAB: save('{path.name}', '-v7').")
    with _whole(path, ".mat file of MATLAB 5 to 7.2"):
        order = MAT_ORDERS[content[MAT_HEADER - 4 : MAT_HEADER]]
        variables = {}
        for element in _mat_elements(content, order):
            shape, kind, name, _ = _mat_header(_inflate(element, order, LARGEST_MAT_HEADER), order)
            variables[name] = element, (shape, kind)
        headers = {name: header for name, (_, header) in variables.items()}
        names = _choose(path, headers)
        grids = [_mat_grids(variables[name][0], order) for name in names]
    return Arrays(grids, [name for name in headers if name not in names])


def _mat_elements(content: bytes, order: str) -> Iterator[bytes]:
    """Yield the variables of a .mat, packed or not, each with its tag."""
    place = MAT_HEADER
    while place < len(content):
        _, size = struct.unpack_from(order + "II", content, place)
        element = content[place : place + 8 + size]
        if len(element) < 8 + size:
            raise ValueError("cut")
        yield element
        place += 8 + size


def _inflate(element: bytes, order: str, most: int) -> bytes:
    """Return at most so many bytes of a variable, unpacked."""
    if struct.unpack_from(order + "I", element)[0] != MAT_COMPRESSED:
        return element[:most]
    return zlib.decompressobj().decompress(element[8:], most)


def _mat_header(element: bytes, order: str) -> tuple[tuple[int, ...], str, str, int]:
    """Read a variable's shape, its kind as in `Headers`, its name, and where its numbers begin."""
    if struct.unpack_from(order + "I", element)[0] != MAT_MATRIX:
        raise ValueError("not a variable")
    flags, place = _mat_part(element, 8, order)
    sides, place = _mat_part(element, place, order)
    letters, place = _mat_part(element, place, order)
    name = letters.tobytes().decode("ascii")
    if not name.isprintable():
        raise ValueError("a name that MATLAB does not allow")
    is_real = flags[0] & 0xFF in MAT_NUMBERS and not flags[0] & MAT_COMPLEX
    return tuple(map(int, sides)), "u" if is_real else "other", name, place


def _mat_part(element: bytes, place: int, order: str) -> tuple[np.ndarray, int]:
    """Read the numbers behind a tag, and where the next tag is; up to four bytes share eight with theirs."""
    kind, size = struct.unpack_from(order + "II", element, place)
    start, end = place + 8, place + 8 + size + -size % 8
    if kind >> 16:
        kind, size, start, end = kind & 0xFFFF, kind >> 16, place + 4, place + 8
    if start + size > min(end, len(element)):
        raise ValueError("cut")
    return np.frombuffer(element[start : start + size], order + MAT_TYPES[kind]), end


def _mat_grids(element: bytes, order: str) -> np.ndarray:
    """Read a variable of which the header is known to be sound: (..., n, n, n)."""
    shape, _, _, place = _mat_header(_inflate(element, order, LARGEST_MAT_HEADER), order)
    most = place + 8 + 8 * math.prod(shape) + 8  # doubles are the largest
    numbers, _ = _mat_part(_inflate(element, order, most), place, order)
    return numbers.reshape(shape, order="F").reshape(batch_shape(shape))
