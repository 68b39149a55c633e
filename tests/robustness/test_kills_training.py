"""A training that is killed at any moment and resumed ends like one that was never killed."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import train_rasgan
from rasgan.training import checkpoints
from rasgan.training.checkpoints import Position
from rasgan.voxel_io import write_raw

pytestmark = [
    pytest.mark.slow,
    pytest.mark.system,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is POSIX's"),
]

EPOCHS = 40
OPTIONS = [
    "-n", "run", "-d", "data", "-e", str(EPOCHS), "--schedule", "mine.csv", "--recipe", "stable",
    "--seed", "1", "-save", "1", "-sample", "7", "-graph", "20", "-graph3d", "1000",
    "--width", "8", "--resolution", "32", "-b", "2", "--device", "cpu",
]  # fmt: skip
KILLED_AT_FSYNC = """
import os, runpy, signal, sys
from pathlib import Path
from rasgan import demo
at, real, calls = sys.argv.pop(1), os.fsync, 0
demo.prepare = lambda say: None
def fsync(descriptor):
    global calls
    calls += 1
    if str(calls) == at or "*" in at and list(Path("checkpoint/run").glob(at)):
        os.kill(os.getpid(), signal.SIGKILL)
    real(descriptor)
os.fsync = fsync
sys.argv.pop(0)
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script that kills itself at the n-th fsync, or while a file of a pattern exists."""


@pytest.fixture
def folder(tmp_path):
    """Return four shapes and a schedule."""
    return prepare(tmp_path)


def prepare(folder):
    rng = np.random.default_rng(1)
    for number in range(4):
        write_raw(folder / "data" / f"{number}.raw", rng.random((32, 32, 32)) > 0.9)
    rows = ["epochs,generator,discriminator", "0-20,0.002,0.0001", "20-40,0.001,0.0002"]
    (folder / "mine.csv").write_text("\n".join(rows), encoding="utf-8")
    return folder


def start(folder, *more, fsync=0):
    command = [sys.executable, "-c", KILLED_AT_FSYNC, str(fsync), train_rasgan.__file__, *OPTIONS, *more]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def end_of(folder):
    """Return the last checkpoint of a run and its files."""
    run = folder / "checkpoint" / "run"
    position = Position(EPOCHS)
    saved = checkpoints.load_checkpoint(run, position, with_optimizers=True)
    return flat(vars(saved)), sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def flat(state, name=""):
    """Flatten nested dictionaries and lists."""
    if isinstance(state, (dict, list, tuple)):
        items = state.items() if isinstance(state, dict) else enumerate(state)
        return {key: value for k, v in items for key, value in flat(v, f"{name}.{k}").items()}
    return {name: state}


@pytest.fixture(scope="module")
def never_killed(tmp_path_factory):
    """Return the end of a run that was left alone."""
    alone = prepare(tmp_path_factory.mktemp("alone"))
    process = start(alone)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return end_of(alone)[0]


def resume_until_done(folder, moments):
    """Kill and resume the run at each of the `moments`, then let it end; return the number of kills."""
    kills = 0
    for moment in moments:
        has_checkpoint = bool(checkpoints.saved_positions(folder / "checkpoint" / "run"))
        process = start(folder, *(["-l"] if has_checkpoint else []), **moment.get("options", {}))
        if "seconds" in moment:
            while process.poll() is None and not progressed(folder, moment["from"]):
                time.sleep(0.005)
            time.sleep(moment["seconds"])
            process.kill()
        _, err = process.communicate(timeout=300)
        if process.returncode == -signal.SIGKILL:
            kills += 1
        else:  # it ended before
            assert process.returncode == 0, err
            break
    process = start(folder, "-l")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return kills


def progressed(folder, epoch):
    """Return whether the run has saved `epoch` or a later one."""
    positions = checkpoints.saved_positions(folder / "checkpoint" / "run")
    return bool(positions) and positions[-1].epoch >= epoch


def check(folder, never_killed):
    state, files = end_of(folder)
    assert state.keys() == never_killed.keys()
    for key, value in never_killed.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(state[key], value, rtol=0, atol=0, equal_nan=True)
        else:
            assert state[key] == value, key
    checkpoint_files = [name for name in files if name.startswith("checkpoint/")]
    expected = [f"checkpoint/run/{e}.pt" for e in range(1, EPOCHS + 1)]
    expected += [f"checkpoint/run/{e}.optim.pt" for e in (EPOCHS - 1, EPOCHS)] + ["checkpoint/run/latest"]
    assert set(checkpoint_files) == set(expected)


def while_training(rng, count):
    return [{"from": 1 + 5 * i, "seconds": rng.uniform(0, 0.15)} for i in range(count)]


def while_writing(rng, count):
    """Choose one of the first writes of a process: a checkpoint has three files, each with two fsyncs."""
    return [{"options": {"fsync": int(rng.integers(2, 32))}} for _ in range(count)]


def test_run_killed_at_random_moments_ends_like_one_never_killed(folder, never_killed):
    rng = np.random.default_rng()
    kills = resume_until_done(folder, while_training(rng, 5) + while_writing(rng, 5))
    assert kills == 10
    check(folder, never_killed)


@pytest.mark.parametrize("options", [[], ["--demo"]], ids=["run", "demo"])
@pytest.mark.parametrize("written", [".1.optim-*.pt", ".1-*.pt"])
def test_run_killed_during_its_first_save_starts_again(folder, options, written):
    options = ["-n", "run", "-d", "data", "-e", "1", *options]
    options += ["--width", "8", "-b", "2", "--resolution", "32"]
    script = [sys.executable, "-c", KILLED_AT_FSYNC]
    for pattern, code in ((written, -signal.SIGKILL), ("none", 0)):
        command = [*script, pattern, train_rasgan.__file__, *options, "--device", "cpu"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        assert done.returncode == code, done.stderr
        there = {path.name for path in (folder / "checkpoint/run").iterdir()}
        assert (".1" in {name[:2] for name in there}) == bool(code)
    assert there == {"1.pt", "1.optim.pt", "latest"}
