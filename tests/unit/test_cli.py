import argparse
import errno
import io
import shlex
import sys

import pytest

from rasgan import cli
from rasgan.errors import UserError


def script(error=None, result=0):
    @cli.ends_cleanly
    def main(argv=None):
        if error is not None:
            raise error
        return result

    return main


def test_the_exit_code_is_the_scripts():
    assert script()() == 0
    assert script(result=1)([]) == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UserError("do this."), "do this."),
        (OSError(errno.ENOSPC, "x", "a.pt"), "a.pt: the disk is full"),
        (FileNotFoundError(errno.ENOENT, "x", "b.npy"), "b.npy: no such file"),
        (PermissionError(errno.EACCES, "x", "c"), "c: permission denied"),
        (FileExistsError(errno.EEXIST, "x", "d"), "d: a file stands where a folder is needed"),
        (NotADirectoryError(errno.ENOTDIR, "x", "e"), "e: a file stands where a folder is needed"),
        (IsADirectoryError(errno.EISDIR, "x", "f"), "f: a folder stands where a file is needed"),
        (OSError(errno.ELOOP, "x", "g"), "g: a link that leads in a circle"),
        (OSError(errno.EROFS, "x", "h"), "h: the disk is read-only"),
        (OSError(errno.ENOMEM, "x", "i"), "i: does not fit into this machine's memory"),
        (UserError("\x1b[2J\x9b.off\nerror: x"), r"\x1b[2J\x9b.off\nerror: x"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (MemoryError(), "memory"),
        (KeyboardInterrupt(), "Ctrl-C"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence_and_exit_code_1(error, words, capsys):
    assert script(error)() == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert words in err


def test_what_another_program_said_keeps_its_lines(capsys):
    cli.fail("it failed. Its last lines:\n  one\n  two\rthree")
    assert capsys.readouterr().err == "error: it failed. Its last lines:\n  one\n  two\\rthree\n"


def test_a_fault_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        script(ZeroDivisionError())()


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (cli.positive, "1", ["0", "-3", "x", "1.5"]),
        (cli.whole_number, "0", ["-1", "x"]),
        (cli.positive_real, "2e-3", ["0", "-1", "inf", "nan", "x"]),
        (cli.number(float, at_least=0, under=1), "0.5", ["1", "-0.1", "nan"]),
        (cli.real, "-2.5", ["inf", "-inf", "nan", "1e400", "x"]),
        (cli.number(int, at_least=2, at_most=9), "9", ["1", "10", "-5", "x", "2.5"]),
        (cli.number(float, at_least=0.5, at_most=9), "0.5", ["0.4", "9.1", "nan", "x"]),
    ],
)
def test_numbers_out_of_range_are_usage_errors(kind, good, bad):
    assert kind(good) == float(good)
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match="must be"):
            kind(text)


def test_a_command_to_copy_has_quotes_where_a_path_has_spaces():
    quoted = cli.command_line("python", "convert_data.py", "-m", "My chairs/chair")
    assert shlex.split(quoted.replace('"', "'")) == ["python", "convert_data.py", "-m", "My chairs/chair"]
    error = UserError("no grids here.", about="no grids", value="My chairs")
    told = cli.advised(error, {"no grids": "Type: python convert_data.py -m {}"})
    assert told.replace('"', "'") == "no grids here. Type: python convert_data.py -m 'My chairs'"


@pytest.mark.parametrize(
    ("is_terminal", "in_notebook", "shown"), [(True, False, True), (False, False, False), (True, True, False)]
)
def test_bars_are_shown_on_terminals_but_not_in_notebooks(monkeypatch, is_terminal, in_notebook, shown):
    """What a notebook starts has a terminal, of which every state of a bar is kept."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    if in_notebook:
        monkeypatch.setenv("JPY_PARENT_PID", "1")
    assert cli.shows_bars() == shown
