"""What the scripts share at their edge to the shell: exceptions become one sentence and an exit code."""

import argparse
import functools
import io
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rasgan.errors import UserError, describe_os_error

Main = Callable[[Sequence[str] | None], int]


def ends_cleanly(main: Main) -> Main:
    """Wrap a script's ``main(argv=None) -> int`` so that what the user can mend is said in one sentence.

    Exit codes: what `main` returns; 1 after a `UserError`, a failed read or write, or Ctrl-C. argparse
    itself ends with 2 on wrong usage.
    """

    @functools.wraps(main)
    def wrapped(argv: Sequence[str] | None = None) -> int:
        # Names of files may hold what a terminal's encoding does not; they must not end in a traceback.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            code = main(argv)
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where a full disk can be told
            return code
        except UserError as error:
            return fail(str(error))
        except OSError as error:
            _leave_broken_stdout()
            return fail(describe_os_error(error))
        except MemoryError:
            return fail("The memory of this machine is full: close other programs or work on less at a time.")
        except KeyboardInterrupt:
            return fail("Stopped by Ctrl-C. Every file written so far is whole; the same command goes on.")

    return wrapped


def fail(sentence: str) -> int:
    """Print `sentence` on stderr and return the exit code 1."""
    complain("error", sentence)
    return 1


def complain(kind: str, sentence: str) -> None:
    """Print ``kind: sentence`` on stderr, after which a script may go on."""
    print(f"{kind}: {printable(sentence)}", file=sys.stderr)


def printable(text: str) -> str:
    """Replace control characters, as a hostile file name may hold: they could clear or fake the terminal.

    Line breaks stay where the next line is indented, as it is where another program is quoted.
    """
    return re.sub(r"(?!\n  )[\x00-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], text)


def _leave_broken_stdout() -> None:
    """Forget what was printed and cannot be written: Python would try once more at its end, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except AttributeError:  # there is no stdout
        return


def say(sentence: str) -> None:
    """Print a line on stdout at once, also where stdout is a file."""
    print(sentence, flush=True)


def add_load_epoch(parser: argparse.ArgumentParser) -> None:
    """Describe the option that takes another checkpoint of a run than its newest."""
    parser.add_argument(
        "-le",
        "--load_epoch",
        "--load-epoch",
        type=whole_number,
        metavar="EPOCH",
        help="epoch to take with -n (default: the newest)",
    )


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


def real(text: str) -> float:
    """Parse an option's finite number (argparse type)."""
    number = float(text)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"must be a finite number: {text}")
    return number


def between(kind: Callable[[str], float], lowest: float, highest: float) -> Callable[[str], float]:
    """Return an argparse type that parses as `kind` does and takes `lowest` to `highest`, both included."""

    def parse(text: str) -> float:
        number = kind(text)
        if not lowest <= number <= highest:
            raise argparse.ArgumentTypeError(f"must be at least {lowest} and at most {highest}: {text}")
        return number

    parse.__name__ = kind.__name__  # argparse names the kind where the text is no number at all
    return parse


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


def add_grid_options(parser: argparse.ArgumentParser, folder: str, result: str, more: str = "") -> None:
    """Describe the options of a script that makes a file of each voxel grid.

    They are ``-n RUN`` and ``-f FILE``, of which exactly one is needed, and ``--threshold``. `folder` is the
    name of the folder for the results, `result` their suffix, and `more` is added to the help of ``-f``.
    """
    from rasgan.voxels import OCCUPIED_ABOVE  # here: other scripts do without scipy

    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "-n",
        "--name",
        metavar="RUN",
        help=f"training run: every savepoint/RUN/EPOCH.npy becomes savepoint/RUN/{folder}/EPOCH{result}; "
        "what is there already is left as it is",
    )
    source.add_argument(
        "-f",
        "--file",
        type=Path,
        metavar="FILE",
        help="one .npy, .raw or .binvox file, for example savepoint/chair-1/1000.npy: becomes "
        f"./{folder}/NAME{result}{more}",
    )
    parser.add_argument(
        "--threshold",
        type=real,
        default=OCCUPIED_ABOVE,
        metavar="SCORE",
        help="a voxel is occupied above this score (default: %(default)s)",
    )
