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
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from filelock import FileLock

from rasgan import files
from rasgan.packed_grids import PackedGrids

Facts = dict[str, list]  # what is to be reported about the grids, as JSON
Read = Callable[[Facts], Iterator[np.ndarray]]  # yields packed grids, then fills in the facts

WAIT_S = 3600  # for another process that reads the same grids
TICK_S = 0.1  # modification times are more precise than that on common file systems


class GridCache:
    """The cache of the grids that `paths` below `folder` contain.

    `name` distinguishes the caches of one folder; `code` are the source files that decide what is read.
    """

    def __init__(self, folder: Path, name: str, paths: list[Path], code: Iterable[str]) -> None:
        self.paths, self.key = paths, _key(folder, paths, code)
        self.places = [folder / f".rasgan-{name}.npy"]
        with contextlib.suppress(RuntimeError):  # no home
            real = hashlib.blake2b(os.fsencode(folder.resolve()), digest_size=8).hexdigest()
            self.places.append(user_cache() / f"{real}-{name}.npy")

    def load(self) -> tuple[PackedGrids, Facts] | None:
        """Map the cached grids; None if there are none, they are damaged, or the files have changed since."""
        for place in self.places:
            with contextlib.suppress(Exception):  # there is no end of ways to damage a file
                content = np.lib.format.open_memmap(place, mode="c")
                with place.open("rb") as file:
                    file.seek(content.offset + content.nbytes)
                    kept = json.load(file)
                grids = PackedGrids(np.asarray(content), place)
                if kept["key"] == self.key and kept["seal"] == self._seal(grids.digest, kept["facts"]):
                    return grids, kept["facts"]
        return None

    def build(self, shape: tuple[int, ...], read: Read) -> tuple[PackedGrids, Facts] | None:
        """Read grids of a `shape` into the cache and map it; None if it cannot be written anywhere.

        Of several processes, one reads and the others wait for it.
        """
        for place in self.places:
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                with FileLock(place.with_suffix(".lock"), timeout=WAIT_S):
                    if (found := self.load()) is None:
                        self._write(place, shape, read)
                        found = self.load()
                return found
            except (OSError, NotImplementedError) as error:  # the latter where there are no locks
                if getattr(error, "filename", None) in map(str, self.paths):
                    raise
        return None

    def _write(self, place: Path, shape: tuple[int, ...], read: Read) -> None:
        """Write the cache, grid by grid: on a full disk a map would end the process."""
        for leftover in place.parent.glob(f".{place.stem}-*.npy"):  # of a process that was killed
            files.remove(leftover)
        if shutil.disk_usage(place.parent).free < 1.1 * math.prod(shape):
            raise OSError(f"{place}: too large for its disk")
        time.sleep(TICK_S)  # a file that changes once it has been read gets another modification time
        facts: Facts = {}
        digest = hashlib.blake2b(digest_size=16)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        with files.atomic_path(place) as temporary, temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for grid in read(facts):
                content = grid.tobytes()
                digest.update(content)
                file.write(content)
            kept = {"key": self.key, "facts": facts, "seal": self._seal(digest.hexdigest(), facts)}
            file.write(json.dumps(kept).encode("ascii"))

    def _seal(self, digest: str, facts: Facts) -> str:
        """Return a digest of the whole cache."""
        return hashlib.blake2b(json.dumps([self.key, digest, facts]).encode("ascii")).hexdigest()


def _key(folder: Path, paths: list[Path], code: Iterable[str]) -> str:
    """Return a digest of the files' names, sizes and modification times, and of the code that reads them."""
    key = hashlib.blake2b(digest_size=16)
    for module in (__file__, *code):
        with contextlib.suppress(OSError):  # no source files in a zip
            key.update(Path(module).read_bytes())
    for path in paths:
        status = path.stat()
        known = path.parts[len(folder.parts) :], status.st_size, status.st_mtime_ns
        key.update(ascii(known).encode("ascii"))
    return key.hexdigest()


def user_cache() -> Path:
    """Return this user's folder for caches; RuntimeError if there is none."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "rasgan"
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    return Path(os.environ.get(variable) or Path.home() / ".cache") / "rasgan"
