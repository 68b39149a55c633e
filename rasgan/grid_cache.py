"""Packed grids in a file: read from a folder once, later starts and other processes map them into memory.

The file is an .npy of `PackedGrids.content`, followed by JSON: a key, what the reader reported, and a digest
of all. It is used only if the key is that of the files as they are now, and the digest is right. It lies in
the folder of the grids, or in the user's cache folder where that cannot be written to.
"""

import contextlib
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
from filelock import FileLock

from rasgan import files
from rasgan.packed_grids import PackedGrids

Facts = dict[str, list]  # what is to be reported about the grids, as JSON
Read = Callable[[Facts], Iterator[np.ndarray]]  # yields packed grids, then fills in the facts

WAIT_S = 3600  # for another process that reads the same grids


def cached(
    folder: Path, name: str, paths: Collection[Path], shape: tuple[int, ...], read: Read
) -> tuple[PackedGrids, Facts] | None:
    """Map the cached grids of `paths` below `folder`, after reading them if they are new or have changed.

    `name` distinguishes the caches of one folder, and `shape` is that of the content. Of several processes,
    one reads and the others wait for it. None if the cache cannot be written anywhere.
    """
    key = _key(folder, paths)
    places = [folder / f".rasgan-{name}.npy"]
    with contextlib.suppress(RuntimeError):  # no home
        real = hashlib.blake2b(os.fsencode(folder.resolve()), digest_size=8).hexdigest()
        places.append(user_cache() / f"{real}-{name}.npy")
    for place in places:
        if found := _load(place, key):
            return found
    for place in places:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(place.with_suffix(".lock"), timeout=WAIT_S):
                if not (found := _load(place, key)):
                    _write(place, key, shape, read)
                    found = _load(place, key)
            return found
        except (OSError, NotImplementedError) as error:  # the latter where there are no locks
            if getattr(error, "filename", None) in map(str, paths):
                raise
    return None


def _load(place: Path, key: str) -> tuple[PackedGrids, Facts] | None:
    with contextlib.suppress(Exception):  # there is no end of ways to damage a file
        content = np.lib.format.open_memmap(place, mode="c")
        with place.open("rb") as file:
            file.seek(content.offset + content.nbytes)
            kept = json.load(file)
        grids = PackedGrids(np.asarray(content), place)
        if kept["key"] == key and kept["seal"] == _seal(key, grids.digest, kept["facts"]):
            return grids, kept["facts"]
    return None


def _write(place: Path, key: str, shape: tuple[int, ...], read: Read) -> None:
    """Write the cache, grid by grid: on a full disk a map would end the process."""
    for leftover in place.parent.glob(f".{place.stem}-*.npy"):  # of a process that was killed
        files.remove(leftover)
    if shutil.disk_usage(place.parent).free < 1.1 * math.prod(shape):
        raise OSError(f"{place}: too large for its disk")
    facts: Facts = {}
    digest = hashlib.blake2b(digest_size=16)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with files.atomic_path(place) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for grid in read(facts):
            content = grid.tobytes()
            digest.update(content)
            file.write(content)
        kept = {"key": key, "facts": facts, "seal": _seal(key, digest.hexdigest(), facts)}
        file.write(json.dumps(kept).encode("ascii"))


def _seal(key: str, digest: str, facts: Facts) -> str:
    return hashlib.blake2b(json.dumps([key, digest, facts]).encode("ascii")).hexdigest()


def _key(folder: Path, paths: Collection[Path]) -> str:
    """Return a digest of the files' names, sizes and modification times, and of the code that reads them."""
    key = hashlib.blake2b(digest_size=16)
    for module in sorted(Path(__file__).parent.glob("*.py")):
        key.update(module.read_bytes())
    for path in paths:
        status = path.stat()
        known = path.relative_to(folder).parts, status.st_size, status.st_mtime_ns
        key.update(ascii(known).encode("ascii"))
    return key.hexdigest()


def user_cache() -> Path:
    """Return the folder for caches in this user's home, beside PyTorch's; RuntimeError without a home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rasgan"
