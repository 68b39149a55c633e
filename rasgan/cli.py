"""Command-line helpers: argument types, messages and exit codes."""

import argparse
import contextlib
import dataclasses
import difflib
import functools
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rasgan.errors import UserError, describe_os_error
from rasgan.limits import broken_limit

if TYPE_CHECKING:  # it imports scipy, which other scripts do not need
    from rasgan.export.batch import ExportSummary

EMPTY = "empty"
"""The key of errors about shapes without an occupied voxel."""
STOPPED = "stopped"
"""The key of the advice after Ctrl-C."""

ADVICE = {
    EMPTY: "Choose a later epoch or a lower --threshold.",
    "no checkpoints": "Check the run's name, -n.",
    "odd checkpoint": "Choose another epoch with -le EPOCH.",
}
"""How to fix an error, by its key, in every command; see `advising`."""

ROOT = Path(__file__).parents[1]
"""The folder of the scripts."""
COMMAND = re.compile(r"\bpython ((?:render/)?\w+\.py|-m)(?=\s|$)")

Main = Callable[[Sequence[str] | None], int]


def ends_cleanly(main: Main) -> Main:
    """Wrap a script's ``main(argv=None) -> int`` so that errors a user can fix are one sentence on stderr.

    Exit codes: that of `main`; 1 after a UserError, a failed read or write, or Ctrl-C; 2 after wrong options.
    """

    @functools.wraps(main)
    def wrapped(argv: Sequence[str] | None = None) -> int:
        # A file name may contain characters that the terminal's encoding lacks.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            code = main(argv)
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where a full disk can be reported
            return code
        except KeyboardInterrupt as error:
            sentence = " ".join(["Stopped by Ctrl-C. Files written so far are complete.", *error.args])
            print(printable(as_typed_here(sentence)), file=sys.stderr)
            return 1
        except (UserError, OSError, MemoryError) as error:
            complain("error", explain(error))
            return 1

    return wrapped


def explain(error: Exception) -> str:
    """Return why a script cannot continue, and how to fix that."""
    if isinstance(error, UserError):
        return advised(error, ADVICE)
    if isinstance(error, OSError):
        _leave_broken_stdout()
        return describe_os_error(error)
    return "Out of memory: close other programs, or process less at a time."


@contextlib.contextmanager
def advising(advice: Mapping[str, str]) -> Iterator[None]:
    """Add how to fix it to each UserError raised in the block, and how to continue to Ctrl-C.

    Parameters
    ----------
    advice : dict
        A sentence for each key of an error (`UserError.about`) and for `STOPPED`, in which ``{}`` stands for
        `UserError.value`.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if STOPPED in advice:
            raise KeyboardInterrupt(advice[STOPPED]) from error
        raise
    except UserError as error:
        if error.about in advice:
            raise UserError(advised(error, advice)) from error
        raise


def advised(error: UserError, advice: Mapping[str, str]) -> str:
    """Return the message of an error and, if there is any, the advice for it."""
    if error.about not in advice:
        return str(error)
    return f"{error} {advice[error.about].format(command_line(error.value))}"


def complain(kind: str, sentence: str) -> None:
    """Print ``kind: sentence`` on stderr."""
    print(f"{kind}: {printable(as_typed_here(sentence))}", file=sys.stderr)


def say(sentence: str) -> None:
    """Print on stdout and flush."""
    print(as_typed_here(sentence), flush=True)


def printable(text: str) -> str:
    """Escape control characters, because those of a hostile file name could manipulate the terminal.

    A line break before an indented line stays: commands, and the output of other programs, are indented.
    """
    return re.sub(r"(?!\n  )[\x00-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], text)


def _leave_broken_stdout() -> None:
    """Discard output that cannot be written, because Python would try again, and fail, when it exits."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except AttributeError:  # there is no stdout
        return


def tell_only_export(summary: "ExportSummary", size: str = "") -> Path:
    """Print the file written for a single shape, and its `size`; return it, or raise the shape's error."""
    if summary.failed:
        raise summary.failed[0]
    (target,) = summary.written or summary.replaced
    print(f"{'replaced' if summary.replaced else 'wrote'} {target}{size and f': {size}'}")
    return target


def tell_exports(summary: "ExportSummary", folder: Path, done: str = "written") -> int:
    """Print the results for many shapes; return the exit code. Raises UserError if all of them are empty."""
    for error in summary.failed:
        complain(EMPTY if error.about == EMPTY else "failed", str(error))
    empty = sum(error.about == EMPTY for error in summary.failed)
    failed = len(summary.failed) - empty
    counts = f"{len(summary.written)} {done}, {summary.already_there} already there, "
    counts += f"{len(summary.replaced)} replaced, " if summary.replaced else ""
    counts += f"{empty} empty, " if empty else ""
    say(f"{folder}: {counts}{failed} failed")
    is_new = bool(summary.written or summary.replaced)
    if summary.already_there and not is_new:
        say(f"To regenerate them with different options, rename or delete {folder} first.")
    if empty and not (failed or is_new or summary.already_there):
        raise UserError(f"all {empty} shapes are empty, so nothing was written.", EMPTY)
    return 1 if failed else 0


def counted(number: int, thing: str) -> str:
    """Return "1 shape" or "2 shapes"."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def command_line(*words: object) -> str:
    """Join words into a command that can be copied, with quotes where needed."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if sys.platform == "win32" else shlex.join(texts)


def as_typed_here(text: str) -> str:
    """Rewrite each ``python SCRIPT.py`` and ``python -m`` to work in the user's shell and current folder."""

    def located(found: re.Match) -> str:
        is_script = (ROOT / found[1]).is_file()
        return command_line(interpreter(), script(found[1]) if is_script else found[1])

    return COMMAND.sub(located, text)


def interpreter() -> str:
    """Return the command that starts this Python in the user's shell: its name if that works, or its path."""
    for name in ("python", "python3"):
        found = Path(shutil.which(name) or "")
        if found.parent == Path(sys.executable).parent and found.samefile(sys.executable):
            return name
    return sys.executable


def script(name: str) -> str:
    """Return the path of a script, relative to the current folder unless the full path is shorter."""
    full = str(ROOT / name)
    try:
        return min(os.path.relpath(full), full, key=len)
    except ValueError:  # on another drive of Windows
        return full


def show(result: Path) -> None:
    """Open a picture or a page in the system's viewer if there is a display and a viewer; else do nothing."""
    if sys.platform == "win32":
        os.startfile(result)  # noqa: S606 - this process has just written it
        return
    if sys.platform == "darwin":
        viewer = None if "SSH_CONNECTION" in os.environ else shutil.which("open")
    else:
        has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        viewer = shutil.which("xdg-open") if has_display else None
    if viewer:
        silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        command = [viewer, str(result.resolve())]  # in a new session, so that it outlives this process
        subprocess.Popen(command, **silent, start_new_session=True)  # noqa: S603 - an argument list


class Formatter(argparse.HelpFormatter):
    """Fill the paragraphs of a description, but not its indented lines; use N as the name of numbers."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = re.sub(r"(?<=\S)\n(?=\S)", " ", text.strip()).split("\n")
        return "\n".join(line if line.startswith(" ") else textwrap.fill(line, width) for line in lines)

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        return getattr(action.type, "metavar", action.dest.upper())


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, with a suggestion for a mistyped option or choice."""

    def __init__(self, description: str, prog: str | None = None) -> None:
        super().__init__(prog, description=description, formatter_class=Formatter, allow_abbrev=False)

    def parse_args(self, args: Sequence[str] | None = None, namespace: None = None) -> argparse.Namespace:
        """Parse the options; exit with code 2 if they are wrong."""
        words = sys.argv[1:] if args is None else args
        if unknown := next(filter(self._is_unknown, words[: [*words, "--"].index("--")]), None):
            name = unknown.partition("=")[0]
            self.error(f"there is no option {name}{did_you_mean(name, self._option_string_actions)}")
        return super().parse_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit with code 2."""
        complain("error", f"{message} (see --help)")
        self.exit(2)

    def _is_unknown(self, word: str) -> bool:
        """Return whether a word looks like an option that this parser lacks."""
        name, known = word.partition("=")[0], self._option_string_actions
        if name in known or " " in word or not re.match("[-–—]+[^\\W\\d]", word):
            return False
        short = known.get(word[:2])  # -b24 is -b 24
        return short is None or short.nargs == 0 or f"-{name}" in known

    def _check_value(self, action: argparse.Action, value: object) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += did_you_mean(str(value), action.choices)
            raise


def did_you_mean(typed: str, known: Iterable[object]) -> str:
    """Suggest a known word that contains `typed`, or else the most similar one; "" if there is none."""
    words = [str(word) for word in known]
    longer = sorted((word for word in words if typed.strip("-–—") in word), key=len)
    close = longer or difflib.get_close_matches(typed, words, 1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""


def add_setting(
    parser: argparse._ActionsContainer, setting: dataclasses.Field, default: object = argparse.SUPPRESS
) -> None:
    """Add the option that a field of `rasgan.training.config` describes.

    By default, the parsed arguments contain it only if the user typed it.
    """
    about, kind = setting.metadata, type(setting.default)
    name = about.get("option", setting.name)
    spellings = (f"--{name}", f"--{name.replace('_', '-')}")
    flags = dict.fromkeys((*about["flags"], *spellings) if about["flags"] else spellings[1:])
    shown = about.get("default_text", plain(setting.default))
    options = {"dest": setting.name, "default": default, "help": f"{about['text']} (default {shown})"}
    if kind is bool:
        parser.add_argument(*flags, action=argparse.BooleanOptionalAction, **options)
        return
    choices = about.get("choices")
    if kind in (int, float) and not choices:
        kind = number(kind, **about)
    kind = str if kind is tuple else kind
    parser.add_argument(*flags, type=kind, choices=choices, metavar=about.get("metavar"), **options)


def plain(value: object) -> str:
    """Format the value of an option as a user types it: 0.00005, not 5e-05."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{Decimal(str(value)).normalize():f}" if isinstance(value, float) else str(value)


def add_load_epoch(
    parser: argparse._ActionsContainer,
    text: str = "epoch of the checkpoint to use with -n (default: the newest)",
) -> None:
    """Add the option that chooses a checkpoint other than the newest."""
    flags = ("-le", "--load_epoch", "--load-epoch")
    parser.add_argument(*flags, type=whole_number, metavar="EPOCH", help=text)


def number(kind: type, **limits: float) -> Callable[[str], float]:
    """Return an argparse type for finite numbers within limits (`rasgan.limits.LIMITS`)."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            fault = f"must be a {'whole ' if kind is int else ''}number"
        else:
            fault = broken_limit(value, limits)
        if fault:
            raise argparse.ArgumentTypeError(f"{fault}: {text}")
        return value

    parse.metavar = "N"
    return parse


positive = number(int, at_least=1)
whole_number = number(int, at_least=0)
real = number(float)
positive_real = number(float, above=0)


def add_grid_options(parser: argparse.ArgumentParser, folder: str, result: str) -> None:
    """Add the options of a script that converts each voxel grid to a file.

    They are ``-n RUN`` and ``-f FILE``, exactly one of which is required, and ``--threshold``. `folder` is
    the name of the folder for the results, and `result` their suffix.
    """
    from rasgan.voxel_io import VOXEL_SUFFIXES  # here because other scripts do not need scipy
    from rasgan.voxels import OCCUPIED_ABOVE

    source = parser.add_mutually_exclusive_group(required=True)
    text = f"of a training run: savepoint/RUN/EPOCH.npy becomes savepoint/RUN/{folder}/EPOCH{result}, unless "
    source.add_argument("-n", "--name", metavar="RUN", help=f"{text}that file exists")
    text = (
        f"one voxel file ({' '.join(VOXEL_SUFFIXES)}), for example savepoint/chair-1/1000.npy, which becomes "
        f"./{folder}/NAME{result}. A file with several shapes becomes NAME-00{result} and so on, a folder of "
        f"such files ./{folder}/FOLDER"
    )
    source.add_argument("-f", "--file", type=Path, metavar="FILE", help=text)
    text = "a voxel is occupied above this score (default: %(default)s)"
    parser.add_argument("--threshold", type=real, default=OCCUPIED_ABOVE, metavar="SCORE", help=text)


def shows_bars() -> bool:
    """Return whether to show progress bars: on a terminal, but not in a notebook, which prints every step."""
    return sys.stderr is not None and sys.stderr.isatty() and "JPY_PARENT_PID" not in os.environ
