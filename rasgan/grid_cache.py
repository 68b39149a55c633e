"""A cache of packed grids, which later starts and other processes map into memory.

The cache is a hidden file in the folder of the grids: an .npy of `PackedGrids.content`, followed by JSON with
a key, what the reader reported, and a digest of everything. It is used only if the key matches the files as
they are now, and the digest is right.
"""

import contextlib
import hashlib
import json
import math
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
from filelock import FileLock

from rasgan import files
from rasgan.packed_grids import PackedGrids

Facts = dict[str, list]  # what to report about the grids, as JSON
Read = Callable[[Facts], Iterator[np.ndarray]]  # yields packed grids, then fills in the facts

WAIT_S = 3600  # how long to wait for another process that reads the same grids


def cached(
    folder: Path, name: str, paths: Collection[Path], shape: tuple[int, ...], read: Read
) -> tuple[PackedGrids, Facts] | None:
    """Map the cached grids of `paths` below `folder`, after reading them if they are new or have changed.

    `name` distinguishes the caches of one folder, and `shape` is that of the content. Of several processes,
    one reads and the others wait for it. Returns None if the cache cannot be written.
    """
    key, place = _key(folder, paths), folder / f".rasgan-{name}.npy"
    if found := _load(place, key):
        return found
    try:
        with FileLock(place.with_suffix(".lock"), timeout=WAIT_S):
            if not (found := _load(place, key)):
                _write(place, key, shape, read)
                found = _load(place, key)
    except (OSError, NotImplementedError) as error:  # the latter where there are no locks
        if getattr(error, "filename", None) in map(str, paths):
            raise
    return found


def _load(place: Path, key: str) -> tuple[PackedGrids, Facts] | None:
    """Map a cache into memory. Returns None if it is missing, damaged or outdated."""
    with contextlib.suppress(Exception):  # a damaged file can fail in any way
        content = np.lib.format.open_memmap(place, mode="c")
        with place.open("rb") as file:
            file.seek(content.offset + content.nbytes)
            found = json.load(file)
        grids = PackedGrids(np.asarray(content), place)
        if found["key"] == key and found["seal"] == _seal(key, grids.digest, found["facts"]):
            return grids, found["facts"]
    return None


def _write(place: Path, key: str, shape: tuple[int, ...], read: Read) -> None:
    """Write the cache grid by grid: writing to a memory map would crash the process on a full disk."""
    for leftover in place.parent.glob(f".{place.stem}-*.npy"):  # of killed processes
        files.remove(leftover)
    if shutil.disk_usage(place.parent).free < 1.1 * math.prod(shape):
        raise OSError(f"{place}: the disk is too small")
    facts: Facts = {}
    digest = hashlib.blake2b(digest_size=16)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with files.atomic_path(place) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for grid in read(facts):
            content = grid.tobytes()
            digest.update(content)
            file.write(content)
        end = {"key": key, "facts": facts, "seal": _seal(key, digest.hexdigest(), facts)}
        file.write(json.dumps(end).encode("ascii"))


def _seal(key: str, digest: str, facts: Facts) -> str:
    return hashlib.blake2b(json.dumps([key, digest, facts]).encode("ascii")).hexdigest()


def _key(folder: Path, paths: Collection[Path]) -> str:
    """Return a digest of the files' names, sizes and modification times, and of the code that reads them."""
    key = hashlib.blake2b(digest_size=16)
    for module in sorted(Path(__file__).parent.glob("*.py")):
        key.update(module.read_bytes())
    for path in paths:
        status = path.stat()
        version = path.relative_to(folder).parts, status.st_size, status.st_mtime_ns
        key.update(ascii(version).encode("ascii"))
    return key.hexdigest()
