"""What the scripts share at their edge to the shell: exceptions become one sentence and an exit code."""

import errno
import functools
import sys
from collections.abc import Callable, Sequence

from rasgan.errors import UserError

Main = Callable[[Sequence[str] | None], int]


def ends_cleanly(main: Main) -> Main:
    """Wrap a script's ``main(argv=None) -> int`` so that what the user can mend is said in one sentence.

    Exit codes: what `main` returns; 1 after a `UserError`, a failed read or write, or Ctrl-C. argparse
    itself ends with 2 on wrong usage.
    """

    @functools.wraps(main)
    def wrapped(argv: Sequence[str] | None = None) -> int:
        try:
            return main(argv)
        except UserError as error:
            return fail(str(error))
        except OSError as error:
            return fail(describe_os_error(error))
        except MemoryError:
            return fail("The memory of this machine is full: close other programs or work on less at a time.")
        except KeyboardInterrupt:
            return fail("Stopped by Ctrl-C. Every file written so far is whole; the same command goes on.")

    return wrapped


def fail(sentence: str) -> int:
    """Print `sentence` on stderr and return the exit code 1."""
    print(f"error: {sentence}", file=sys.stderr)
    return 1


def describe_os_error(error: OSError) -> str:
    """Say what failed, on which file, and what to do about it."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"{where}the disk is full; free some space, then run the same command again."
    if isinstance(error, FileNotFoundError):
        return f"{where}no such file or folder; check the path."
    if isinstance(error, PermissionError):
        return f"{where}permission denied; choose a place that you may read and write."
    return f"{where}{error.strerror or error}."
