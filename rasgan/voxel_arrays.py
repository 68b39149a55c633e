"""Voxel grids as arrays in files: .npy, .npz, and MATLAB's .mat. Nothing is allocated on a header's word."""

import contextlib
import errno
import functools
import io
import math
import re
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
MAT_CLASSES = re.compile(r"logical|double|single|u?int(8|16|32|64)")
COMPRESSED = 15  # data type miCOMPRESSED of a .mat, as MATLAB's MAT-File Format describes it
HEADER = 128  # bytes before a .mat's first element
LARGEST_HEADER = 1 << 12  # bytes of one of its variables: type, shape and name
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
    _check_kind(path, array)
    shape = batch_shape(array.shape)
    if shape is None:
        raise UserError(
            f"{path}: has shape {array.shape}; a voxel grid is n x n x n (n at most {LARGEST_SIDE}), "
            f"or a batch of them (at most {LARGEST_BATCH})."
        )
    return array.reshape(shape)


def _check_kind(path: Path, array: np.ndarray) -> None:
    """Raise UserError for an array of anything but real numbers and bools."""
    if array.dtype.kind not in NUMBERS:
        raise UserError(f"{path}: holds {array.dtype} values; a voxel grid is bool, integer or float.")


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
    """Read the variables of a .mat, MATLAB's versions 5 to 7.2, that are grids."""
    from scipy.io import loadmat  # takes half a second

    if path.stat().st_size > LARGEST_UNPACKED:
        raise UserError(f"{path}: too large to be read at once; save its grids as .npy files.")
    content = path.read_bytes()
    if any(content.startswith(HDF5, place) for place in HDF5_PLACES):
        fault = "in MATLAB's format 7.3, which is HDF5 and not read here; save it in format 7"
        raise UserError(f"{path}: {fault}, in MATLAB: save('{path.name}', '-v7').")
    with _whole(path, ".mat file of MATLAB 5 to 7.2"):
        variables = _mat_variables(content)
        headers = {name: about for name, (about, _) in variables.items()}
        names = _choose(path, headers)
        grids = []
        for name in names:
            shape = headers[name][0]
            size = LARGEST_HEADER + 2 * 8 * math.prod(shape)  # complex doubles are the largest
            array = loadmat(io.BytesIO(content[:HEADER] + _inflate(variables[name][1], size)))[name]
            _check_kind(path, array)
            grids.append(array.reshape(batch_shape(shape)))
    return Arrays(grids, [name for name in headers if name not in names])


def _mat_variables(content: bytes) -> dict[str, tuple[tuple[tuple[int, ...], str], bytes]]:
    """Return the variables of a .mat by name: shape and kind as in `Headers`, and bytes, packed or not."""
    from scipy.io import whosmat

    order = {b"\x00\x01IM": "little", b"\x01\x00MI": "big"}[content[HEADER - 4 : HEADER]]
    variables, place = {}, HEADER
    while place < len(content):
        size = 8 + int.from_bytes(content[place + 4 : place + 8], order)
        element = content[place : place + size]
        if len(element) < size:
            raise ValueError("cut")
        for name, shape, kind in whosmat(io.BytesIO(content[:HEADER] + _inflate(element, LARGEST_HEADER))):
            variables[name] = (tuple(shape), "u" if MAT_CLASSES.fullmatch(kind) else kind), element
        place += size
    return variables


def _inflate(element: bytes, most: int) -> bytes:
    """Return the first bytes of an element of a .mat, unpacked; `scipy.io.loadmat` knows no bound."""
    if COMPRESSED not in (element[0], element[3]):  # little endian, big endian
        return element[:most]
    return zlib.decompressobj().decompress(element[8:], most)
