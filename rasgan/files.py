"""Files on disk: atomic writes, locks and checks."""

import contextlib
import errno
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from rasgan.errors import UserError

HELD = (5, 32, 33)
"""Errors of Windows for a file that another program has open: access denied, sharing and lock violations."""

HELD_S = 2.5  # how long to try again

UNSUPPORTED = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)
"""Errors of file systems, mostly of network disks, without locks or without syncing of folders."""


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which is renamed to `path` if the block succeeds.

    The temporary file has the suffix of `path`, for writers that choose the format by it. Missing folders are
    created. After an exception or Ctrl-C, the temporary file is deleted and an existing file at `path` is
    unchanged. After the block, the file survives a power failure. OS errors name `path`.
    """
    path = Path(path)
    missing = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem[:40]}-{secrets.token_hex(4)}{path.suffix}")
    try:
        with naming(path, temporary):
            temporary.touch(exist_ok=False)
            yield temporary
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            replace(temporary, path)
            for folder in (path, *missing):
                _sync_names(folder.parent)
    finally:
        remove(temporary)


def replace(source: Path, target: Path) -> None:
    """Replace a file by another; if a program on Windows has one of them open, try again for `HELD_S` s.

    Virus scanners, OneDrive and Excel affect 4 % of such renames (zarr-developers/zarr-python 4358).
    """
    until = time.monotonic() + HELD_S
    while True:
        try:
            source.replace(target)
        except PermissionError as error:
            if getattr(error, "winerror", None) not in HELD or time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def _sync_names(folder: Path) -> None:
    """Flush the names in a folder to the disk, if the file system can. Windows cannot open folders for it."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(PermissionError):  # a folder may be writable but not readable
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
        finally:
            os.close(descriptor)


def remove(path: Path) -> None:
    """Delete a file, unless it does not exist or another program has it open."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        path.unlink()


@contextlib.contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Add `path` to any OSError raised in the block that names no file, or only the `temporary` one."""
    try:
        yield
    except OSError as error:
        # A failed write to an open file does not name it. Only errors of the system have a number.
        if error.errno is not None and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files of killed processes in `folder`; no process may be writing to it."""
    for path in folder.glob(".*"):
        if re.fullmatch(r"\..{0,40}-[0-9a-f]{8}(\.\w+)?", path.name):
            remove(path)


def check_is_file(path: Path) -> None:
    """Raise UserError for a folder, and for a pipe or device, reading which may never end."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: not an ordinary file; give the path of one.")


def check_is_folder(path: Path) -> None:
    """Raise UserError if `path` is a file or does not exist."""
    if path.is_file():
        raise UserError(f"{path}: a file, not a folder; give the folder that contains it, {path.parent}.")
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; check the path.")


def check_room(place: Path, needed: int, purpose: str) -> None:
    """Raise UserError if the disk of the folder `place` has less than `needed` bytes free."""
    free = shutil.disk_usage(place).free
    if free < needed:
        need = f"{needed / 1e9:.1f} GB are needed to {purpose}, {free / 1e9:.1f} GB are free"
        raise UserError(f"{place}: {need}; free some space.", about="room")


@contextlib.contextmanager
def exclusive(path: Path, refusal: str) -> Iterator[None]:
    """Lock the file `path` in the block. Raises UserError with the text `refusal` if it is already locked.

    The system releases the lock when the process ends, in whatever way. On file systems without locks, such
    as some network disks, the block runs without one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(refusal) from None
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    try:
        yield
    finally:
        if sys.platform == "win32":  # an open file cannot be removed there
            lock.release()
        with contextlib.suppress(OSError):
            path.unlink()  # elsewhere before the release: later it could be another process's
        lock.release()
