"""Commands that train_rasgan.py and the demo print work in the folder where the user is."""

import importlib
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import train_rasgan
from rasgan import cli, demo
from rasgan.training import run as training_run
from rasgan.training.step import train_step
from rasgan.voxel_io import write_raw

COMMAND = re.compile(r"^  (\S+ (?:\S+\.py|-m) .*)$", re.MULTILINE)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Work in a folder with a space in its name, elsewhere than the scripts."""
    here = tmp_path / "my work"
    for number in range(4):
        write_raw(here / "my data" / f"{number}.raw", np.ones((32, 32, 32), bool))
    monkeypatch.chdir(here)
    return here


def type_(command):
    """Run a printed command in this process as a shell would; return its exit code."""
    python, *words = shlex.split(command)
    assert Path(shutil.which(python)).samefile(sys.executable)
    if words[0] == "-m":
        return importlib.import_module(words[1]).main(words[2:])
    assert Path(words[0]).samefile(cli.ROOT / Path(words[0]).name)
    return importlib.import_module(Path(words[0]).stem).main(words[1:])


def stopped_in_the_first_step(monkeypatch, argv):
    def interrupted_step(*args):
        signal.raise_signal(signal.SIGINT)
        return train_step(*args)

    with monkeypatch.context() as patch:
        patch.setattr(training_run, "train_step", interrupted_step)
        assert train_rasgan.main(argv) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="splits words as a POSIX shell does")
def test_commands_of_a_stopped_run_work(monkeypatch, capsys):
    argv = ["-n", "a chair", "-d", "my data", "--width", "8", "--resolution", "32", "-b", "2", "-e", "1"]
    argv += ["--recipe", "stable", "--seed", "0"]  # its shapes are not empty, so they have meshes
    stopped_in_the_first_step(monkeypatch, [*argv, "--device", "cpu"])
    (resume,) = COMMAND.findall(capsys.readouterr().out)
    assert type_(resume) == 0
    following = COMMAND.findall(capsys.readouterr().out)
    assert len(following) == 2
    assert [type_(command) for command in following] == [0, 0]
    assert Path("savepoint/a chair/generated/1/seed0.png").is_file()
    assert Path("savepoint/a chair/models/1.obj").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="splits words as a POSIX shell does")
def test_commands_of_a_stopped_demo_work(monkeypatch, capsys):
    monkeypatch.setattr(demo, "TRAINED_ON", 16)
    monkeypatch.setattr(demo, "TEST", 2)
    argv = ["--demo", "-n", "d 2", "--width", "8", "-b", "8", "-e", "1", "--device", "cpu"]
    stopped_in_the_first_step(monkeypatch, argv)
    (resume,) = COMMAND.findall(capsys.readouterr().out)
    assert type_(resume) == 0
    out = capsys.readouterr().out
    assert not Path("savepoint/demo").exists()
    assert out.count("savepoint/d 2/chairs.html") == 1
    generate, graph, obj, train = COMMAND.findall(out)
    assert [type_(generate), type_(graph)] == [0, 0]
    assert type_(f"{obj} --threshold 0") == 0  # after one epoch no voxel is above 0.3
    assert type_(f"{train} -e 1 --width 8 --device cpu") == 0


def test_script_is_printed_with_its_path_from_the_current_folder(elsewhere, monkeypatch):
    for folder in (cli.ROOT, cli.ROOT / "render", elsewhere):
        monkeypatch.chdir(folder)
        assert Path(cli.script("train_rasgan.py")).samefile(train_rasgan.__file__)
    monkeypatch.chdir(cli.ROOT / "render")
    assert shlex.split(cli.as_typed_here("x: python train_rasgan.py -n a"))[2:] == [
        f"..{'/' if sys.platform != 'win32' else chr(92)}train_rasgan.py", "-n", "a",
    ]  # fmt: skip
    assert cli.as_typed_here("python mine.py; the python package") == "python mine.py; the python package"


def test_interpreter_that_is_not_on_the_path_is_printed_with_its_path(monkeypatch):
    assert Path(shutil.which(cli.interpreter())).samefile(sys.executable)
    monkeypatch.setattr(cli.shutil, "which", lambda name: f"/another/{name}")
    assert cli.interpreter() == sys.executable
    monkeypatch.setattr(cli.shutil, "which", lambda name: None)
    assert cli.as_typed_here("python -m rasgan.generate").startswith(cli.command_line(sys.executable))


def test_several_processes_are_resumed_with_torchrun(monkeypatch):
    typed = ["-n", "a chair", "-d", "data", "-le", "3", "-e", "9", "-l"]
    kept = cli.command_line("-n", "a chair", "-d", "data", "-e", "9", "--load")
    assert train_rasgan.resume_command(typed).endswith(kept)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "torchrun --nproc_per_node=2 " in train_rasgan.resume_command(typed)
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert "on every machine" in train_rasgan.resume_command(typed)
