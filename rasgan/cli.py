"""What the scripts share at their edge to the shell: exceptions become one sentence and an exit code."""

import argparse
import contextlib
import dataclasses
import errno
import functools
import io
import math
import operator
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rasgan.errors import UserError, describe_os_error

if TYPE_CHECKING:  # other scripts do without scipy, which it needs
    from rasgan.export.batch import ExportSummary

GO_ON = "the same command goes on."

EMPTY = "empty"
"""What the error of a shape without an occupied voxel is about."""

ADVICE = {
    EMPTY: "Take a later epoch or a lower --threshold.",
    "three.js": 'Type: python -m pip install "trimesh==5.2.0"',
    "no checkpoints": "Check the run's name, -n.",
    "only generated": "For those write -f {}",
    "odd checkpoint": "Take another epoch with -le EPOCH.",
}
"""What mends an error in every command; see `advising`."""

ROOT = Path(__file__).parents[1]
"""The folder of the scripts."""
COMMAND = re.compile(r"\bpython ((?:render/)?\w+\.py|-m)(?=\s|$)")

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
        except (UserError, OSError, MemoryError, KeyboardInterrupt) as error:
            return fail(explain(error))

    return wrapped


def explain(error: BaseException, go_on: str = GO_ON) -> str:
    """Return in words what ended a script, and what to do; `go_on` is how to go on afterwards."""
    if isinstance(error, UserError):
        return advised(error, ADVICE)
    if isinstance(error, OSError):
        _leave_broken_stdout()
        sentence = describe_os_error(error)
        return f"{sentence[:-1]}; {go_on}" if error.errno == errno.ENOSPC else sentence
    if isinstance(error, MemoryError):
        return "The memory of this machine is full: close other programs or work on less at a time."
    return f"Stopped by Ctrl-C. Every file written so far is whole; {go_on}"


@contextlib.contextmanager
def advising(advice: Mapping[str, str]) -> Iterator[None]:
    """Add to a `UserError` of the block what to type, which the library does not know.

    Parameters
    ----------
    advice : dict
        By what the error is about: a sentence, in which ``{}`` stands for the error's value.
    """
    try:
        yield
    except UserError as error:
        if error.about not in advice:
            raise
        raise UserError(advised(error, advice)) from error


def advised(error: UserError, advice: Mapping[str, str]) -> str:
    """Return an error's sentence and, where there is one, the advice for it."""
    if error.about not in advice:
        return str(error)
    return f"{error} {advice[error.about].format(command_line(error.value))}"


def fail(sentence: str) -> int:
    """Print `sentence` on stderr and return the exit code 1."""
    complain("error", sentence)
    return 1


def complain(kind: str, sentence: str) -> None:
    """Print ``kind: sentence`` on stderr, after which a script may go on."""
    print(f"{kind}: {printable(as_typed_here(sentence))}", file=sys.stderr)


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


def tell_only_export(summary: "ExportSummary", size: str = "") -> Path:
    """Print which file a single shape became, with its size, and return it; raise its error if none."""
    if summary.failed:
        raise summary.failed[0]
    (target,) = summary.written or summary.replaced
    print(f"{'replaced' if summary.replaced else 'wrote'} {target}{size and f': {size}'}")
    return target


def tell_exports(summary: "ExportSummary", folder: Path, done: str = "written") -> int:
    """Print what became of many shapes; return the exit code. `UserError` if all of them are empty."""
    for error in summary.failed:
        complain(EMPTY if error.about == EMPTY else "failed", str(error))
    empty = sum(error.about == EMPTY for error in summary.failed)
    failed = len(summary.failed) - empty
    counts = f"{len(summary.written)} {done}, {summary.already_there} already there, "
    counts += f"{len(summary.replaced)} replaced, " if summary.replaced else ""
    counts += f"{empty} empty, " if empty else ""
    print(f"{folder}: {counts}{failed} failed")
    is_new = bool(summary.written or summary.replaced)
    if summary.already_there and not is_new:
        print(f"To make them again, with other options, rename or remove {folder} first.")
    if empty and not (failed or is_new or summary.already_there):
        raise UserError(f"all {empty} shapes are empty, so nothing was written.", EMPTY)
    return 1 if failed else 0


def counted(number: int, thing: str) -> str:
    """Return "1 shape" or "2 shapes"."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def command_line(*words: object) -> str:
    """Return a command to copy, quoted where a path or a name has spaces."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if sys.platform == "win32" else shlex.join(texts)


def as_typed_here(text: str) -> str:
    """Make each ``python SCRIPT.py`` and ``python -m`` in a text work in the user's shell and folder."""

    def located(found: re.Match) -> str:
        is_script = (ROOT / found[1]).is_file()
        return command_line(interpreter(), script(found[1]) if is_script else found[1])

    return COMMAND.sub(located, text)


def interpreter() -> str:
    """Return what starts this Python in the user's shell: a bare name if that finds it, else its path."""
    for name in ("python", "python3"):
        found = Path(shutil.which(name) or "")
        if found.parent == Path(sys.executable).parent and found.samefile(sys.executable):
            return name
    return sys.executable


def script(name: str) -> str:
    """Return the path of one of the scripts from the current folder, or the full path if that is shorter."""
    full = str(ROOT / name)
    try:
        return min(os.path.relpath(full), full, key=len)
    except ValueError:  # on another drive of Windows
        return full


def say(sentence: str) -> None:
    """Print a line on stdout at once, also where stdout is a file."""
    print(as_typed_here(sentence), flush=True)


def show(result: Path) -> None:
    """Open a picture or a page in the system's viewer if there is a display and a viewer; else do nothing."""
    if sys.platform == "win32":
        os.startfile(result)  # noqa: S606 - the file we have just written
        return
    if sys.platform == "darwin":
        viewer = None if "SSH_CONNECTION" in os.environ else shutil.which("open")
    else:
        has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        viewer = shutil.which("xdg-open") if has_display else None
    if viewer:
        silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        command = [viewer, str(result.resolve())]  # a session of its own: it goes on after we end
        subprocess.Popen(command, **silent, start_new_session=True)  # noqa: S603 - an argument list


def add_setting(
    parser: argparse._ActionsContainer, setting: dataclasses.Field, default: object = argparse.SUPPRESS
) -> None:
    """Add the option that a field of `rasgan.training.config` describes.

    By default it is not among the parsed arguments where it was not typed.
    """
    about = setting.metadata
    flags = about["flags"] or (f"--{setting.name.replace('_', '-')}",)
    text = about.get("default_text", "on" if setting.default is True else setting.default)
    options = {"dest": setting.name, "default": default, "help": f"{about['text']} (default {text})"}
    if isinstance(setting.default, bool):
        parser.add_argument(*flags, action=argparse.BooleanOptionalAction, **options)
        return
    kind = str if isinstance(setting.default, tuple) else type(setting.default)
    bounds = {name: about[name] for name in ("at_least", "above", "at_most", "under") if name in about}
    parser.add_argument(
        *flags,
        type=number(kind, **bounds) if bounds and "choices" not in about else kind,
        choices=about.get("choices"),
        metavar=about.get("metavar"),
        **options,
    )


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


BOUNDS = {"at least": operator.ge, "above": operator.gt, "at most": operator.le, "under": operator.lt}


def number(kind: type, **bounds: float) -> Callable[[str], float]:
    """Return an argparse type that takes finite numbers of a kind within bounds.

    `bounds` are ``at_least``, ``above``, ``at_most`` and ``under``.
    """
    bounds = {name.replace("_", " "): bound for name, bound in bounds.items()}

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a {parse.__name__}: {text}") from None
        if not math.isfinite(value):
            raise argparse.ArgumentTypeError(f"must be a finite number: {text}")
        if not all(BOUNDS[name](value, bound) for name, bound in bounds.items()):
            words = " and ".join(f"{name} {bound}" for name, bound in bounds.items())
            raise argparse.ArgumentTypeError(f"must be {words}: {text}")
        return value

    parse.__name__ = {int: "whole number", float: "number"}[kind]
    return parse


positive = number(int, at_least=1)
whole_number = number(int, at_least=0)
real = number(float)
positive_real = number(float, above=0)


def add_grid_options(parser: argparse.ArgumentParser, folder: str, result: str) -> None:
    """Describe the options of a script that makes a file of each voxel grid.

    They are ``-n RUN`` and ``-f FILE``, of which exactly one is needed, and ``--threshold``. `folder` is the
    name of the folder for the results, and `result` their suffix.
    """
    from rasgan.voxel_io import VOXEL_SUFFIXES  # here: other scripts do without scipy
    from rasgan.voxels import OCCUPIED_ABOVE

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
        help=f"one voxel file ({' '.join(VOXEL_SUFFIXES)}), for example savepoint/chair-1/1000.npy: becomes "
        f"./{folder}/NAME{result}; of a batch every shape, NAME-00{result} and so on; or a folder of "
        f"such files: ./{folder}/FOLDER",
    )
    parser.add_argument(
        "--threshold",
        type=real,
        default=OCCUPIED_ABOVE,
        metavar="SCORE",
        help="a voxel is occupied above this score (default: %(default)s)",
    )


def script_line(script: str, *words: object) -> str:
    """Return the command of one of the project's scripts, as it can be typed in the current folder."""
    path = Path(__file__).parents[1] / script
    with contextlib.suppress(ValueError):  # on Windows, another drive
        path = Path(os.path.relpath(path))
    return command_line("python", path, *words)


def shows_bars() -> bool:
    """Return whether to show progress bars: on a terminal, but not in a notebook, which prints every step."""
    return sys.stderr is not None and sys.stderr.isatty() and "JPY_PARENT_PID" not in os.environ
