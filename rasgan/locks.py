"""One process at a time: a lock file that the system lets go of when its holder ends, however it ends."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from rasgan.errors import UserError

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


HELD_ELSEWHERE = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}


@contextlib.contextmanager
def exclusive(path: Path, refusal: str) -> Iterator[None]:
    """Hold the lock file `path` inside the block; it is gone afterwards.

    Where the file system knows no locks (some network disks) the block runs without one.

    Raises
    ------
    UserError
        With the sentence `refusal`, if another process holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno in HELD_ELSEWHERE:
                raise UserError(refusal) from None
        if not _is_still_named(descriptor, path):  # its last holder removed it after it was opened here
            raise UserError(refusal)
        try:
            yield
        finally:
            if sys.platform != "win32":  # while the lock is held, so that nobody else's file is removed
                path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    if sys.platform == "win32":  # an open file cannot be removed there
        with contextlib.suppress(OSError):
            path.unlink()


def _is_still_named(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
