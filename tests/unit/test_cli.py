import argparse
import ast
import errno
import importlib
import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from rasgan import cli
from rasgan.errors import UserError

ROOT = Path(cli.__file__).parents[1]


def script(error):
    @cli.ends_cleanly
    def main(argv=None):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UserError("do this."), "do this."),
        (OSError(errno.ENOSPC, "x", "a.pt"), "a.pt: the disk is full"),
        (UserError("\x1b[2J\x9b.off\nerror: x"), r"\x1b[2J\x9b.off\nerror: x"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (MemoryError(), "memory"),
        (KeyboardInterrupt(), "Ctrl-C"),
    ],
)
def test_errors_are_one_sentence_with_exit_code_1(error, words, capsys):
    assert script(error)() == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert words in err


def test_indented_lines_of_a_message_are_kept(capsys):
    cli.complain("error", "it failed. Its last lines:\n  one\n  two\rthree")
    assert capsys.readouterr().err == "error: it failed. Its last lines:\n  one\n  two\\rthree\n"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (cli.positive, "1", ["0", "-3", "x", "1.5"]),
        (cli.whole_number, "0", ["-1", "x"]),
        (cli.positive_real, "2e-3", ["0", "-1", "inf", "nan", "x"]),
        (cli.number(float, at_least=0, under=1), "0.5", ["1", "-0.1", "nan"]),
        (cli.real, "-2.5", ["inf", "-inf", "nan", "1e400", "x"]),
        (cli.number(float, at_least=0.5, at_most=9), "0.5", ["0.4", "9.1", "nan", "x"]),
    ],
)
def test_numbers_out_of_range_are_usage_errors(kind, good, bad):
    assert kind(good) == float(good)
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match="must be"):
            kind(text)


def test_paths_with_spaces_are_quoted_in_commands():
    quoted = cli.command_line("python", "convert_data.py", "-m", "My chairs/chair")
    assert shlex.split(quoted.replace('"', "'")) == ["python", "convert_data.py", "-m", "My chairs/chair"]
    error = UserError("no grids here.", about="no grids", value="My chairs")
    advised = cli.advised(error, {"no grids": "Type: python convert_data.py -m {}"})
    assert advised.replace('"', "'") == "no grids here. Type: python convert_data.py -m 'My chairs'"


@pytest.mark.parametrize(
    ("advice", "added"), [({}, ""), ({cli.STOPPED: "Type it again."}, " Type it again."), ({"x": "y"}, "")]
)
def test_ctrl_c_is_reported_with_the_advice_of_the_command(advice, added, capsys):
    @cli.ends_cleanly
    def main(argv=None):
        with cli.advising(advice):
            raise KeyboardInterrupt

    assert main() == 1
    assert capsys.readouterr().err == f"Stopped by Ctrl-C. Files written so far are complete.{added}\n"


def test_keys_of_errors_and_of_advice_are_the_same():
    raised, advised = {cli.EMPTY}, {*cli.ADVICE} - {cli.STOPPED}
    for path in [*ROOT.glob("*.py"), *ROOT.glob("rasgan/**/*.py"), *ROOT.glob("render/*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "about":
                raised |= {n.value for n in ast.walk(node) if isinstance(getattr(n, "value", None), str)}
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "advising":
                for part in ast.walk(node):
                    keys = getattr(part, "elts", []) + getattr(part, "keys", [])
                    advised |= {key.value for key in keys if isinstance(key, ast.Constant)}
        if path.parent == ROOT:
            advised |= {*getattr(importlib.import_module(path.stem), "ADVICE", {})} - {cli.STOPPED}
    assert raised == advised


@pytest.fixture
def parser():
    parser = cli.Parser("Do things.")
    parser.add_argument("-n", "--name")
    parser.add_argument("-e", "--epochs", type=cli.positive)
    parser.add_argument("-b", "--batchsize", type=cli.positive)
    parser.add_argument("-glr", "--generator-learning-rate", type=cli.positive_real)
    parser.add_argument("--recipe", choices=["stable", "tutorial"])
    parser.add_argument("-l", "--load", action="store_true")
    parser.add_argument("-a", "--azimuth", type=cli.real)
    parser.add_argument("files", nargs="*")
    return parser


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--recipie stable", "--recipe"),
        ("--recipe=stabel", "stable"),
        ("--epoch=3", "--epochs"),
        ("--nmae x", "--name"),
        ("--learning-rate 1", "--generator-learning-rate"),
        ("-gl 1", "-glr"),
        ("-name x", "--name"),
        ("-load", "--load"),
        ("—epochs 3", "--epochs"),
        ("–e 3", "-e"),
        ("--zzz", None),
        ("-x", None),
        ("--recipe foo", None),
        ("-e 0", None),
    ],
)
def test_a_mistyped_option_or_choice_is_one_line_with_a_suggestion(parser, typed, meant, capsys):
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args(typed.split())
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert re.findall(r"did you mean (\S+)\?", message) == ([meant] if meant else [])


def test_all_usual_spellings_are_parsed(parser):
    for typed in ("-n -5 -e 3 -a -3.5 -l x", "-n=-5 -e3 -a=-3.5 --load x", "-n-5 --epochs=3 -a-3.5 -l -- x"):
        args = parser.parse_args(typed.split())
        assert (args.name, args.epochs, args.azimuth, args.load, args.files) == ("-5", 3, -3.5, True, ["x"])
    assert parser.parse_args(["-nchair", "--", "--epoch", "-bs"]).files == ["--epoch", "-bs"]
    assert parser.parse_args(["- a file"]).files == ["- a file"]


@pytest.mark.parametrize(
    ("is_terminal", "in_notebook", "shown"), [(True, False, True), (False, False, False), (True, True, False)]
)
def test_bars_are_shown_on_terminals_but_not_in_notebooks(monkeypatch, is_terminal, in_notebook, shown):
    """Processes of a notebook have a terminal, but the notebook keeps every state of a bar."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    if in_notebook:
        monkeypatch.setenv("JPY_PARENT_PID", "1")
    assert cli.shows_bars() == shown
