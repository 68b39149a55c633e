"""Every command in the README parses, and every file that it names is there."""

import re
import shlex
import sys
from pathlib import Path

import pytest

import convert_data
import convert_to_graph
import convert_to_obj
import download_data
import train_rasgan
from benchmarks.draw import network, pretrained
from rasgan import evaluate, generate

ROOT = Path(train_rasgan.__file__).parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
sys.path.append(str(ROOT / "render"))
import render_class_view  # noqa: E402  (lies in a folder of scripts, no package)

PARSERS = {
    "download_data.py": download_data,
    "convert_data.py": convert_data,
    "train_rasgan.py": train_rasgan,
    "convert_to_graph.py": convert_to_graph,
    "convert_to_obj.py": convert_to_obj,
    "render_class_view.py": render_class_view,
    "rasgan.generate": generate,
    "rasgan.evaluate": evaluate,
    "benchmarks.draw.network": network,
    "benchmarks.draw.pretrained": pretrained,
}
PROGRAM = r"(?:\w+\.py|(?:rasgan|benchmarks\.draw)\.(?!modes|sheet)\w+)"
COMMANDS = sorted(set(re.findall(rf"python (?:-m )?({PROGRAM}[^\n`&]*)", README)))


def test_the_readme_shows_a_command_of_every_step():
    assert {command.split()[0] for command in COMMANDS} == set(PARSERS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_the_readme_parses(command):
    program, *options = shlex.split(command)
    PARSERS[program].build_parser().parse_args(options)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\((docs/[^)]+)\)", README))))
def test_every_picture_is_there_and_small(name):
    assert 0 < (ROOT / name).stat().st_size < 300_000


def test_every_test_that_the_departures_name_is_there():
    named = set(re.findall(r"\| `(test_\w+\.py)` \|", README))
    assert named <= {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert len(named) > 8


def test_the_option_tables_name_real_options():
    known = {
        flag
        for module in PARSERS.values()
        for a in module.build_parser()._actions
        for flag in a.option_strings
    }
    named = set(re.findall(r"`(--?[a-z][\w-]*)[ `]", README))
    assert named <= known
