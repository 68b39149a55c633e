"""What the scripts share at their edge to the shell: exceptions become one sentence and an exit code."""

import argparse
import errno
import functools
import math
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


def say(sentence: str) -> None:
    """Print a line on stdout at once, also where stdout is a file."""
    print(sentence, flush=True)


def positive(text: str) -> int:
    """Parse an option's whole number of at least 1 (argparse type)."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1: {text}")
    return number


def whole_number(text: str) -> int:
    """Parse an option's whole number of at least 0 (argparse type)."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0: {text}")
    return number


def positive_real(text: str) -> float:
    """Parse an option's finite number above 0 (argparse type)."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0: {text}")
    return number


def non_negative_real(text: str) -> float:
    """Parse an option's finite number of at least 0 (argparse type)."""
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be at least 0: {text}")
    return number


def share(text: str) -> float:
    """Parse an option's number from 0 up to, not including, 1 (argparse type)."""
    number = float(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 0 and under 1: {text}")
    return number


def describe_os_error(error: OSError) -> str:
    """Say what failed, on which file, and what to do about it."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"{where}the disk is full; free some space, then run the same command again."
    if isinstance(error, FileNotFoundError):
        return f"{where}no such file or folder; check the path."
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return f"{where}permission denied; choose a place that you may read and write."
    return f"{where}{error.strerror or error}."
